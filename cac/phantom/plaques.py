"""Coronary plaques grown until the finished, noisy scan has the wanted Agatston score."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cac import volume
from cac.phantom import arteries, canvas, deposits, scoring, shapes

SEEN_HU = 40.0
"""A voxel belongs to a plaque's clean mask where the plaque alone, blurred, raises it by this much."""
CODES: Mapping[str, int] = {"lm": 2, "lad": 3, "lcx": 4, "rca": 5, "pda": 5, "diagonal": 3, "marginal": 4}
"""What marks an artery's calcium, a branch's as that of the artery it leaves; 1 is kept for 'some artery'."""
SCATTERED = (math.log(2.0), math.log(120.0))
"""Agatston scores that scattered plaques are drawn for; their size is then changed by a factor. Both as logarithms."""
RESIZED = (math.log(0.6), math.log(3.0))
GROWTH = tuple(float(f) for f in np.geomspace(0.3, 5.0, 20))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Hold a scan under construction: anatomy before blurring, finished HU with noise, point spread in px.

    `edge` is how much its kernel sharpens, `motion` the SD in mm of the path that smears a plaque.
    """

    ground: canvas.Canvas
    noisy: volume.FloatArray
    sigma: float
    edge: float = 0.0
    motion: float = 0.4

    def score(self, hu: volume.FloatArray, calcium: volume.BoolArray) -> float:
        """Return the Agatston score of some slices."""
        return scoring.agatston(hu, calcium, self.ground.pixel, self.ground.increment)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Marked:
    """Hold a scan with plaques: integer HU, the voxels a reader would mark, each's artery (`CODES`), their score."""

    hu: volume.FloatArray
    truth: volume.BoolArray
    owners: NDArray[np.uint8]
    score: float


def put(scan: Scan, tree: Sequence[arteries.Artery], wanted: float, scattered: int, rng: np.random.Generator) -> Marked:
    """Place plaques that score what is wanted, none for 0, or a number of them whatever they score."""
    if scattered:
        return scatter(scan, tree, scattered, rng)
    return fit(scan, tree, wanted, rng) if wanted > 0 else none(scan)


def scatter(scan: Scan, tree: Sequence[arteries.Artery], count: int, rng: np.random.Generator) -> Marked:
    """Place plaques of many sizes all over the arteries: one scan then teaches what dozens would."""
    patches = []
    for share in np.exp(rng.uniform(*SCATTERED, count)):
        lesion = _lesion(tree, share, scan.motion, rng).scaled(math.exp(rng.uniform(*RESIZED)))
        patches.append(deposits.render(lesion, scan.ground, scan.sigma, scan.edge))
    return _finish(scan, patches)


def none(scan: Scan) -> Marked:
    """Finish a scan without coronary calcium."""
    clean = np.zeros(scan.noisy.shape, bool)
    return Marked(hu=np.rint(scan.noisy), truth=clean, owners=clean.astype(np.uint8), score=0.0)


def fit(scan: Scan, tree: Sequence[arteries.Artery], wanted: float, rng: np.random.Generator) -> Marked:
    """Place plaques that score what is wanted; each try draws others, and the nearest one stands."""
    best: Marked | None = None
    for _ in range(8):
        found = _attempt(scan, tree, wanted, rng)
        if found.score > 0 and (best is None or abs(found.score - wanted) < abs(best.score - wanted)):
            best = found
        if best is not None and abs(best.score - wanted) <= max(0.6, 0.05 * wanted):
            break
    if best is None:
        raise ValueError(f"no plaque scores {wanted:g} on this grid")
    return best


def _attempt(scan: Scan, tree: Sequence[arteries.Artery], wanted: float, rng: np.random.Generator) -> Marked:
    shares = _shares(wanted, rng)
    plan = [_lesion(tree, share, scan.motion, rng) for share in shares]
    patches: list[deposits.Patch] = []
    total = 0.0
    for number, (lesion, share) in enumerate(zip(plan, shares, strict=True)):
        last = number == len(plan) - 1
        patch = _grow(scan, lesion, max(wanted - total, 1.0) if last else share)
        patches.append(patch)
        total += _local(scan, patch)
    return _refined(scan, plan, patches, wanted)


def _refined(scan: Scan, plan: list[deposits.Deposit], patches: list[deposits.Patch], wanted: float) -> Marked:
    """Regrow single lesions until all together, which may touch, score what is wanted."""
    best = _finish(scan, patches)
    for number in sorted(range(len(plan)), key=lambda i: -_local(scan, patches[i]))[:6]:
        if abs(best.score - wanted) <= max(0.5, 0.04 * wanted):
            break
        goal = _local(scan, patches[number]) + wanted - best.score
        if goal <= 0.5:
            continue
        trial = [*patches]
        trial[number] = _grow(scan, plan[number], goal)
        found = _finish(scan, trial)
        if abs(found.score - wanted) < abs(best.score - wanted):
            best, patches = found, trial
    return best


def _finish(scan: Scan, patches: Sequence[deposits.Patch]) -> Marked:
    hu = scan.noisy.copy()
    clean = np.zeros(hu.shape, np.float32)
    owners = np.zeros(hu.shape, np.uint8)
    for patch in patches:
        owners[patch.where][patch.extra > clean[patch.where]] = patch.kind
        hu[patch.where] += patch.extra
        clean[patch.where] += patch.extra
    np.rint(hu, out=hu)
    truth = (clean >= SEEN_HU) & (hu >= volume.CALCIUM_HU)
    owners *= truth
    slices = np.flatnonzero(truth.any(axis=(1, 2)))
    return Marked(hu=hu, truth=truth, owners=owners, score=scan.score(hu[slices], truth[slices]))


def _local(scan: Scan, patch: deposits.Patch) -> float:
    hu = np.rint(scan.noisy[patch.where] + patch.extra)
    return scan.score(hu, (patch.extra >= SEEN_HU) & (hu >= volume.CALCIUM_HU))


def _grow(scan: Scan, lesion: deposits.Deposit, share: float) -> deposits.Patch:
    """Find the size at which a lesion scores its share: a coarse ladder, then a finer one about the best rung."""
    best, factor, miss = None, 1.0, np.inf
    for ladder in (GROWTH, np.linspace(0.88, 1.12, 9)):
        centre = factor if ladder is not GROWTH else 1.0
        for rung in ladder:
            patch = deposits.render(lesion.scaled(rung * centre), scan.ground, scan.sigma, scan.edge)
            score = _local(scan, patch)
            off = abs(score - share) + (share if score == 0 else 0)
            if off < miss:
                best, factor, miss = patch, rung * centre, off
            if ladder is GROWTH and score > 2.5 * share + 4:
                break
    if best is None:
        raise ValueError("a ladder without rungs")
    return best


def _shares(wanted: float, rng: np.random.Generator) -> list[float]:
    """Split a score over lesions: single ones are common where it is small."""
    most = 1 + int(wanted / 8) if wanted < 40 else 4 + int(wanted / 40)
    count = 1 if wanted < 8 or rng.random() < 0.15 else int(rng.integers(1, min(most, 18) + 1))
    parts = rng.dirichlet(np.full(count, 1.3)) * wanted
    kept = sorted(float(p) for p in parts if p >= 1.5 or count == 1) or [wanted]
    return [p * wanted / sum(kept) for p in kept]


def _lesion(tree: Sequence[arteries.Artery], share: float, motion: float, rng: np.random.Generator) -> deposits.Deposit:
    """Draw one plaque in the wall of one artery, larger and in more pieces for a larger share."""
    names = {a.name: a for a in tree}
    odds = {"lm": 0.1, "lad": 0.34, "lcx": 0.16, "rca": 0.24, "pda": 0.04, "diagonal": 0.07, "marginal": 0.05}
    artery = names[str(rng.choice(list(odds), p=list(odds.values())))]
    place = int(rng.beta(1.1, 1.7) * (len(artery.points) - 2)) + 1
    along = artery.points[min(place + 1, len(artery.points) - 1)] - artery.points[place - 1]
    hint = rng.normal(0, 1, 3)
    axes = shapes.frame(along + 1e-3, hint)
    side = axes[1] * artery.radii[place] * rng.uniform(0.55, 1.05)
    anchor = artery.points[place] + side
    count = 1 + min(int(rng.poisson(share / 14)), 7)
    spread = np.column_stack([rng.uniform(-1, 1, count) * 1.3 * count**0.8, rng.normal(0, 0.25, (count, 2))])
    spread[0] = 0
    radii = rng.uniform(0.5, 1.0, (count, 1)) * np.array([1.5, 0.8, 0.9]) * rng.uniform(0.8, 1.2, (count, 3))
    density = np.exp(rng.uniform(np.log(190 if share < 20 else 280), np.log(1200)))
    peaks = 1.3 * density * rng.uniform(0.75, 1.2, count)
    return deposits.Deposit(
        anchor=anchor,
        centres=anchor + spread @ axes,
        radii=radii,
        axes=axes,
        peaks=np.clip(peaks, 200, 1560),
        motion=(float(rng.normal(0, motion)), float(rng.normal(0, motion))),
        kind=CODES[artery.name],
    )
