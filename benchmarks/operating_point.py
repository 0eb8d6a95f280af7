"""Choose the doubt thresholds on validation phantoms and write them into the manifest.

`python -m benchmarks.operating_point` runs the pipeline with every candidate kept in doubt, and then looks for the
thresholds that exclude most zero cases among those that call no positive absent, with a margin (SCIENCE.md section 6).
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from benchmarks import phantoms
from cac import finding, reasons
from cac.phantom import backgrounds
from triage import manifest
from triage.dicom import reading
from worker import inference

FIRST = 2_000_000
MARGIN = 1.0
"""A positive must still be seen with its probabilities lowered by this much on the logit scale."""
OPEN = finding.Levels(accept=0.5, low=1e-9, high=1e-9)
GRID = np.arange(-5.0, 13.0, 0.5)
"""Thresholds tried, as logits. They may lie far above 0.5: training shows calcium a hundred times too often."""

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Hold what the thresholds can change of one scan.

    `logits` (candidate, plane) of its candidates; for a positive only its true lesions', without those that the 2D
    rule drops. `settled`: the scan is not ABSENT whatever the thresholds.
    """

    positive: bool
    settled: bool
    logits: Array

    def doubted(self, low: Array, high: Array) -> bool:
        """Tell whether some candidate passes `low` in two planes or `high` in one; logits, one a plane."""
        two = (self.logits >= low).sum(axis=1) >= 2
        return bool((two | (self.logits >= high).any(axis=1)).any())


def read(row: phantoms.Row) -> Scan:
    """Turn a row, run with OPEN thresholds, into what they can change."""
    positive = row.agatston > 0
    # Of a positive only its true lesions count: a scan kept back by a mimic alone was saved by luck.
    counted = [
        candidate
        for candidate, lesion in zip(row.candidates, row.lesion, strict=True)
        if not positive or (lesion and candidate.status is not finding.CandidateStatus.REJECTED)
    ]
    codes = reasons.ReasonCode
    usual = {codes.CANDIDATE_IN_DOUBT, codes.CALCIUM_ACCEPTED, codes.NO_CALCIUM, codes.THIN_LESION}
    settled = not positive and bool(set(row.reasons) - {str(code) for code in usual})
    probability = np.array([[c.probabilities[plane] for plane in finding.Plane] for c in counted]).reshape(-1, 3)
    clipped = np.clip(probability, 1e-7, 1 - 1e-7)
    return Scan(positive=positive, settled=settled, logits=np.log(clipped / (1 - clipped)))


def excluded(scans: Iterable[Scan], low: Array, high: Array) -> int:
    """Count the scans that these thresholds leave ABSENT."""
    return sum(not (scan.settled or scan.doubted(low, high)) for scan in scans)


def choose(scans: list[Scan]) -> tuple[Array, Array]:
    """Return low and high as logits, one a plane, that exclude most zero cases and call no positive absent.

    First one pair for all planes, then each threshold by itself, up or down, for as long as that excludes more. Of
    equals the lowest: as cautious as is free. In the end each goes down half way to where it would cost an exclusion.
    """
    # Where the 2D rule leaves nothing of a positive's lesions, no threshold can help; `main` counts those.
    positives, zeros = [s for s in scans if s.positive and len(s.logits)], [s for s in scans if not s.positive]

    def worth(levels: Array) -> tuple[int, float]:
        low, high = np.minimum(*levels), levels[1]
        if excluded(positives, low + MARGIN, high + MARGIN):
            return -1, 0.0
        return excluded(zeros, low, high), -float(levels.sum())

    pairs = (np.array([[a] * 3, [b] * 3]) for a, b in itertools.product(GRID, GRID) if a <= b)
    levels = max(pairs, key=worth)
    if worth(levels)[0] < 0:
        raise SystemExit("No thresholds find every positive: the nets need more training.")
    places = list(np.ndindex(levels.shape))
    for place in places * 3:
        trials = [_with(levels, place, value) for value in GRID]
        levels = max([levels, *trials], key=worth)
    best = worth(levels)[0]
    for place in places:
        kept = [value for value in GRID if worth(_with(levels, place, value))[0] >= best]
        levels = _with(levels, place, (levels[place] + min(kept)) / 2)
    return np.minimum(*levels), levels[1]


def _with(levels: Array, place: tuple[int, ...], value: float) -> Array:
    changed = levels.copy()
    changed[place] = value
    return changed


def validation(each: int) -> list[phantoms.Case]:
    """List the validation phantoms: positives of 10-100 and of 1-10, as many zero cases, and many more positives.

    The weakest lesion of all decides what is safe, so positives must be many: with ten of them, one in twenty unseen
    ones was called absent.
    """
    small = phantoms.cases(FIRST + 1000, each, low=2.0, high=10.0)
    more = phantoms.cases(FIRST + 2000, 4 * each)[: 4 * each]
    return phantoms.cases(FIRST, each) + small + more


def real(engine: inference.Engine, series: pathlib.Path, courses: pathlib.Path, copies: int) -> list[phantoms.Row]:
    """Run the pipeline on a real calcium-free scan as it is, and on copies with plaques of Agatston 5-20 drawn in."""
    scan = reading.load_series(reading.read_headers(sorted(series.glob("*.dcm")))).volume
    nowhere = np.zeros(scan.hu.shape, dtype=bool)
    ground = backgrounds.Background(scan=scan, heart=nowhere, courses=backgrounds.courses(courses.read_text()))
    rows = []
    for number in range(copies + 1):
        random = np.random.default_rng([FIRST, number])
        wanted = float(random.uniform(5, 20)) if number else 0.0
        drawn = backgrounds.draw(ground, wanted, random)
        case = phantoms.Case(seed=number, agatston=wanted, increment=scan.spacing[0])
        rows.append(phantoms.judge(engine, case, drawn, OPEN))
    return rows


def main() -> None:
    """Choose the thresholds of one architecture and write them into the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, default=phantoms.MODELS)
    parser.add_argument("--architecture", default="dilated")
    parser.add_argument("--each", type=int, default=14)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--background", type=pathlib.Path, nargs=2, metavar=("SERIES", "COURSES"))
    parser.add_argument("--copies", type=int, default=24, help="of the background, with plaques")
    options = parser.parse_args()
    rows = phantoms.run(validation(options.each), options.models, options.architecture, options.jobs, OPEN)
    if options.background:
        engine = inference.load(manifest.load(options.models / "manifest.json"), options.models, options.architecture)
        rows += real(engine, *options.background, options.copies)
    print(phantoms.listing(rows))
    scans = [read(row) for row in rows]
    print(f"{sum(s.positive and not len(s.logits) for s in scans)} positives lie outside what thresholds can decide.")
    low, high = (1 / (1 + np.exp(-levels)) for levels in choose(scans))
    path = options.models / "manifest.json"
    document = json.loads(path.read_text())
    for net in document["nets"]:
        if net["architecture"] == options.architecture:
            index = list(finding.Plane).index(finding.Plane(net["plane"]))
            # Accepted is never less than in doubt.
            accept = max(OPEN.accept, low[index])
            levels = {"accept": accept, "low": low[index], "high": high[index]}
            net["levels"] = {name: round(float(level), 7) for name, level in levels.items()}
            print(net["plane"], net["levels"])
    path.write_text(json.dumps(document, indent=2) + "\n")
    zeros = [scan for scan in scans if not scan.positive]
    count = excluded(zeros, *(np.log(levels / (1 - levels)) for levels in (low, high)))
    print(f"{count} of {len(zeros)} zero validation cases excluded; {len(scans) - len(zeros)} positives, none absent.")


if __name__ == "__main__":
    main()
