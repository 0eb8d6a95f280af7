"""Choose an operating point: the thresholds that exclude most at a sensitivity that the sample can show.

`python -m training.evaluate --tune` runs the pipeline with every candidate kept in doubt, and then looks for the
thresholds that call no positive absent, with a margin, and exclude most zero scans (SCIENCE.md sections 5 and 6).
Never on a test split or a held-out set. They go into the manifest with the data's hash.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cac import finding, fusion, joint, reasons
from training import levels, sets
from training.judging import rows, running, tables
from training.judging import statistics as figures
from triage import manifest

OPEN = finding.Levels(low=1e-9, high=1e-9)
"""Thresholds that leave every candidate in doubt that is not accepted."""
SENSITIVITY = 0.95
LEAST_SENSITIVITY = 0.9
"""No point is written for less: what is called absent waits, and with it whom it misses."""
LEAST_LOGIT = 1e-7
_CODES = reasons.ReasonCode
DECIDED_BY_LEVELS = {_CODES.CANDIDATE_IN_DOUBT, _CODES.CALCIUM_ACCEPTED, _CODES.NO_CALCIUM, _CODES.THIN_LESION}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """Say what is tuned, what it must show (lower end of the exact 95 % interval), and what it may give up."""

    models: pathlib.Path
    architectures: tuple[str, ...]
    sensitivity: float
    missed: int
    folder: pathlib.Path
    jobs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen:
    """Hold one architecture's thresholds, the same in each plane, and what they come to on the tuning scans.

    `positives` and `missed` are patients: an interval of scans would take those of one patient for so many.
    """

    levels: finding.Levels
    joint: finding.Joint
    positives: int
    missed: tuple[str, ...]
    zeros: int
    excluded: int

    @property
    def sensitivity_low(self) -> float:
        """Return the lower end of the exact interval of the sensitivity."""
        return figures.exact(self.positives - len(self.missed), self.positives)[0]


def run(asked: sets.Asked, wanted: Wanted) -> list[str]:
    """Tune each architecture; return why those without a new operating point were refused.

    ValueError where the scans are for testing, or too few to show the sensitivity.
    """
    refuse_test(asked)
    if not (LEAST_SENSITIVITY <= wanted.sensitivity < 1 and wanted.missed >= 0):
        raise ValueError(
            f"A sensitivity lies between {LEAST_SENSITIVITY:g} and 1, and positives given up are 0 or more."
        )
    tasks = asked.tasks("validation")
    enough(sum(task.may_be_positive for task in tasks), wanted)
    plan = running.Plan(models=wanted.models, architectures=wanted.architectures, levels=OPEN)
    failed = running.run(tasks, plan, wanted.folder, wanted.jobs)
    if failed:
        names = "; ".join(f"{failure.name}: {failure.why}" for failure in failed)
        raise ValueError(f"Nothing is written: not all tuning scans could be judged ({names}).")
    asked_for = {(task.set_name, task.name) for task in tasks}
    judged = [row for row in rows.read(wanted.folder / running.ROWS) if rows.key(row) in asked_for]
    refused = []
    for architecture in wanted.architectures:
        own = [row for row in judged if row.way == architecture]
        try:
            chosen = choose(own, wanted)
        except ValueError as exc:
            refused.append(f"{architecture}: {exc}")
            continue
        write(wanted.models / "manifest.json", architecture, chosen, own)
        print(f"{architecture}: {_said(chosen)}")
    return refused


def refuse_test(asked: sets.Asked) -> None:
    """Refuse scans that are kept for testing; ValueError."""
    held_out = [name for name in asked.phantoms if name in sets.HELD_OUT]
    if held_out:
        raise ValueError(f"Never tuned on a held-out set: {', '.join(held_out)}. Name 'validation'.")
    if asked.dataset and "test" in (asked.dataset / asked.split).resolve().name.lower():
        raise ValueError(f"Never tuned on a test split: {asked.dataset / asked.split}. Name a split for tuning.")


def enough(positives: int, wanted: Wanted, missed: int = 0) -> None:
    """Refuse a sample that cannot show the sensitivity whatever the thresholds; ValueError."""
    if figures.exact(positives - missed, positives)[0] >= wanted.sensitivity:
        return
    needed = figures.positives_needed(wanted.sensitivity, missed)
    raise ValueError(
        f"Nothing is written: {positives} positives, {missed} of them called absent, cannot show a sensitivity of "
        f"{wanted.sensitivity:g} as the lower end of the exact 95 % interval; that needs {needed} positives."
    )


def choose(judged: Sequence[rows.Row], wanted: Wanted) -> Chosen:
    """Choose thresholds from rows of one architecture, run with OPEN; ValueError says why there are none."""
    # A positive that is unsuitable is never called absent, whatever the thresholds: it shows nothing of them.
    positives = [(row, read(row)) for row in judged if row.positive and row.found is not None]
    zeros = [read(row) for row in judged if not row.positive]
    if not zeros:
        raise ValueError("Nothing is written: without a scan that has no calcium there is nothing to choose by.")
    people = len({row.patient for row, _ in positives})
    enough(people, wanted)
    chosen = levels.choose([*(scan for _, scan in positives if scan.findable), *zeros])
    if chosen is None:
        raise ValueError("Nothing is written: no thresholds find the positives; the nets need more training.")
    absent = levels.excluded([scan for _, scan in positives], chosen)
    lost = [row for (row, scan), out in zip(positives, absent, strict=True) if out or not scan.findable]
    missed = tuple(sorted({row.patient for row in lost}))
    if len(missed) > wanted.missed:
        raise ValueError(
            f"Nothing is written: {len(missed)} positives would be called absent "
            f"({', '.join(row.name for row in lost)}), and --missed allows {wanted.missed}."
        )
    enough(people, wanted, len(missed))
    chosen = dataclasses.replace(chosen, accept=max(levels.probability(_accept(judged)), chosen.other))
    claimed = [_claimed(row, chosen.accept) for row in judged if not row.positive]
    zeros = [dataclasses.replace(scan, settled=scan.settled or own) for scan, own in zip(zeros, claimed, strict=True)]
    return Chosen(
        levels=finding.Levels(low=levels.LOW, high=levels.HIGH),
        joint=chosen,
        positives=people,
        missed=missed,
        zeros=len(zeros),
        excluded=sum(levels.excluded(zeros, chosen)),
    )


def read(row: rows.Row) -> levels.Scan:
    """Turn a row, run with OPEN, into what the thresholds can change of it."""
    # Of a positive only its true lesions count: a scan kept back by a mimic alone was saved by luck.
    counted = [s for s in row.spots if not row.positive or (s.true and s.status != finding.CandidateStatus.REJECTED)]
    if row.positive:
        settled = any(spot.true and spot.doubt == _CODES.ERASED_BY_SLABS for spot in row.spots)
    else:
        settled = row.found is None or any(reason not in DECIDED_BY_LEVELS for reason in row.reasons)
    return levels.Scan(
        positive=row.positive,
        settled=settled,
        logits=_logits([triple for spot in counted for triple in spot.voxelwise]),
        speck=np.array([spot.speck for spot in counted for _ in spot.voxelwise], bool),
        margin=levels.MARGIN if row.true >= levels.CERTAIN else levels.LESS,
    )


def write(path: pathlib.Path, architecture: str, chosen: Chosen, judged: Sequence[rows.Row]) -> None:
    """Write thresholds and their origin into the manifest, whole or not at all; ModelError if it became invalid."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for net in document["nets"]:
        if net["architecture"] == architecture:
            net["levels"] = dataclasses.asdict(chosen.levels)
    document["joint"][architecture] = dataclasses.asdict(chosen.joint)
    sets_named = sorted({row.set_name for row in judged})
    point = manifest.OperatingPoint(
        tuning_sha256=digest(judged),
        tuning_set=", ".join(f"{name} ({sum(row.set_name == name for row in judged)} scans)" for name in sets_named),
        positives=chosen.positives,
        missed=len(chosen.missed),
        zeros=chosen.zeros,
        excluded=chosen.excluded,
        sensitivity_low=round(chosen.sensitivity_low, 4),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    document.setdefault("operating_point", {})[architecture] = dataclasses.asdict(point)
    new = path.with_suffix(".new.json")
    new.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    manifest.load(new)
    os.replace(new, path)


def digest(judged: Sequence[rows.Row]) -> str:
    """Return the SHA-256 (hex) of the tuning scans: their sets, names, voxels and truth, in any order."""
    told = sorted(f"{row.set_name}\t{row.name}\t{row.data}\n" for row in judged)
    return hashlib.sha256("".join(told).encode()).hexdigest()


def _accept(judged: Sequence[rows.Row]) -> float:
    spots = [s for row in judged for s in row.spots if s.status != finding.CandidateStatus.REJECTED]
    voxels, true = np.array([s.voxels for s in spots], float), np.array([s.true for s in spots], bool)
    return levels.accept(np.array([_shared(spot) for spot in spots], float), voxels, true)


def _shared(spot: rows.Spot) -> float:
    """Return the largest joint logit of a voxel that each plane calls calcium; -inf where nothing can be accepted."""
    logits = _logits(spot.voxelwise)
    logits = logits[(logits >= levels.logit(fusion.EXTENT)).all(axis=1)]
    kept = spot.status == finding.CandidateStatus.ACCEPTED  # by `OPEN`: what the 2D rule took out scores nothing
    return float(joint.mean(logits).max(initial=-np.inf)) if kept else -np.inf


def _claimed(row: rows.Row, accept: float) -> bool:
    """Tell whether each plane is as sure of a candidate as accepting asks, on whatever voxels: it is in doubt then."""
    spots = (spot for spot in row.spots if spot.status != finding.CandidateStatus.REJECTED)
    return any(min(spot.probabilities) >= accept for spot in spots)


def _logits(probabilities: Sequence[rows.Triple]) -> levels.Array:
    probability = np.array(probabilities, np.float64).reshape(-1, 3)
    clipped = np.clip(probability, LEAST_LOGIT, 1 - LEAST_LOGIT)
    return np.log(clipped / (1 - clipped))


def _said(chosen: Chosen) -> str:
    told = (
        f"together accepted at {chosen.joint.accept:g}, in doubt at {chosen.joint.other:g} "
        f"(a speck at {chosen.joint.speck:g})"
    )
    return (
        f"{tables.share(chosen.excluded, chosen.zeros)} zero scans excluded, {len(chosen.missed)} of "
        f"{chosen.positives} positives (sensitivity at least {chosen.sensitivity_low:.3f}): {told}."
    )
