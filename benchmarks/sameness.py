"""Do windows around candidates and whole images give the same finding? A property, over many volumes."""

import collections
import dataclasses
import sys

import numpy as np

from cac import components, finding, fusion, heart, pipeline, sheets, sparse, views, volume
from cac.phantom import scan
from worker import inference

TOLERANCE = 1e-5
FULL = 10
"""Of the volumes, so many are whole phantoms through the whole pipeline; the others are small ones, at nets' cost."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Hold what was compared, what differed, and what the cases held: an empty test shows."""

    volumes: int
    differences: tuple[str, ...]
    held: collections.Counter[str]

    def sentence(self) -> str:
        """Say it in one sentence."""
        held = ", ".join(f"{count} {name}" for name, count in sorted(self.held.items()))
        same = self.volumes - len(self.differences)
        return f"{same} of {self.volumes} volumes have identical results both ways; they held {held}."


def differences(one: finding.CalciumFinding, other: finding.CalciumFinding) -> list[str]:
    """Name what differs between two findings of one volume."""
    wrong = []
    if (one.outcome, one.reasons, one.agatston) != (other.outcome, other.reasons, other.agatston):
        wrong.append("outcome, reasons or score")
    if one.lesions != other.lesions:
        wrong.append("lesions")
    if len(one.candidates) != len(other.candidates):
        return [*wrong, "candidates"]
    for left, right in zip(one.candidates, other.candidates, strict=True):
        if (left.status, left.doubt, left.voxels) != (right.status, right.doubt, right.voxels):
            wrong.append(f"candidate {left.number}")
        if any(abs(left.probabilities[p] - right.probabilities[p]) > TOLERANCE for p in finding.Plane):
            wrong.append(f"probabilities of candidate {left.number}")
    for name in ("mask", "doubt_mask"):
        a, b = getattr(one, name), getattr(other, name)
        if (a is None) != (b is None) or (a is not None and not np.array_equal(a, b)):
            wrong.append(name)
    return wrong


def check(engine: inference.Engine, volumes: int) -> Report:
    """Compare both ways over `volumes` volumes, up to FULL of them whole phantoms."""
    held: collections.Counter[str] = collections.Counter()
    wrong = []
    full = min(FULL, volumes // 10)
    for number in range(volumes):
        print(f"\rsameness {number + 1} of {volumes}", end="", file=sys.stderr, flush=True)
        found = _phantom(engine, number, held) if number < full else _small(engine, number, held)
        wrong += [f"volume {number}: {', '.join(found)}"] if found else []
    print(file=sys.stderr)
    return Report(volumes=volumes, differences=tuple(wrong), held=held)


def _phantom(engine: inference.Engine, number: int, held: "collections.Counter[str]") -> list[str]:
    made = scan.make(
        agatston=(0.0, 5.0, 30.0, 200.0)[number % 4], seed=950 + number, increment=(1.5, 3.0)[number % 2], mimics=5
    )
    spec = engine.spec
    near, whole = (
        pipeline.find_calcium(made.volume, engine.predict, dataclasses.replace(spec, evaluation=each))
        for each in finding.Evaluation
    )
    held.update({"candidates": len(near.candidates)})
    held.update(f"candidates {candidate.status}" for candidate in near.candidates)
    for plane in finding.Plane:
        probabilities = [candidate.probabilities[plane] for candidate in near.candidates]
        held.update({"ties at a threshold": _ties(probabilities, spec.levels[plane])})
    return differences(near, whole)


def _small(engine: inference.Engine, number: int, held: "collections.Counter[str]") -> list[str]:
    """Compare on noise with bright spots, some at the borders: the nets and the fusion, without a heart to find."""
    random = np.random.default_rng(number)
    profile = list(finding.Profile)[number % 2]
    slices = int(random.choice([8, 15, 31, 125], p=[0.35, 0.35, 0.25, 0.05]))
    hu = random.normal(40, 25, (slices, 64, 80)).astype(np.float32)
    for _ in range(int(random.integers(1, 10))):
        centre, reach = random.integers(0, hu.shape), random.integers(0, 4, 3)
        hu[tuple(slice(max(c - r, 0), c + r + 1) for c, r in zip(centre, reach, strict=True))] += random.uniform(
            80, 500
        )
    pixel = float(random.choice([0.35, 0.5, 0.7]))
    made = volume.Volume(hu=hu, spacing=(float(random.choice([1.5, 3.0])), pixel, pixel), thickness=3.0)
    found = components.find(hu >= volume.CALCIUM_HU)
    box = heart.Box(centre=(31.5, 39.5), size_mm=(16.0, 16.0), slices=(0, slices))
    crop = views.crop(made, views.enclosing(box, found, made, engine.spec), engine.spec, profile)
    fused = []
    ways = (
        sparse.probabilities(crop, engine.predict, found, engine.spec),
        sheets.probabilities(crop, engine.predict, engine.spec),
    )
    for answers in ways:
        per_voxel = {plane: views.to_source(crop, answer, found) for plane, answer in answers}
        fused.append(fusion.fuse(made, found, per_voxel, engine.spec, profile))
    near, whole = fused
    held.update({"candidates": found.count})
    held.update({"border windows": int((hu[:, [0, -1]] >= 130).sum() + (hu[[0, -1]] >= 130).sum() > 0)})
    held.update(f"candidates {status}" for status in near.status)
    wrong = [] if (near.status, near.doubt) == (whole.status, whole.doubt) else ["status"]
    wrong += [] if np.array_equal(near.lesions.mask(), whole.lesions.mask()) else ["mask"]
    joint = engine.spec.joint
    held.update({"ties at a threshold": _near(near.together, (joint.other, joint.speck))})
    held.update({"ties at a threshold": _near(near.shared - near.accept, (0.0,))})
    if np.abs(near.together - whole.together).max(initial=0.0) > TOLERANCE:
        wrong.append("joint probabilities")
    for plane in finding.Plane:
        held.update({"ties at a threshold": _ties(near.best[plane], engine.spec.levels[plane])})
        held.update({"ties at a threshold": _near(near.best[plane], (near.alone,))})
        if np.abs(near.best[plane] - whole.best[plane]).max(initial=0.0) > TOLERANCE:
            wrong.append(f"{plane} probabilities")
    return wrong


def _ties(probabilities: "np.typing.ArrayLike", levels: finding.Levels) -> int:
    return _near(probabilities, (fusion.EXTENT, levels.low, levels.high))


def _near(probabilities: "np.typing.ArrayLike", thresholds: tuple[float, ...]) -> int:
    values = np.asarray(probabilities, dtype=np.float64)
    return sum(int((np.abs(values - level) <= TOLERANCE).sum()) for level in thresholds)
