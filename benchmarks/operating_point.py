"""Choose the doubt thresholds on validation phantoms and write them into the manifest.

`python -m benchmarks.operating_point` runs the pipeline with every candidate kept in doubt, and then looks for the
thresholds that exclude most zero cases among those that call no positive absent, with a margin (SCIENCE.md section 6).
"""

import argparse
import json
import pathlib

import numpy as np

from benchmarks import levels, phantoms
from cac import finding, reasons
from cac.phantom import backgrounds
from triage import manifest
from triage.dicom import reading
from worker import inference

FIRST = 2_000_000
OPEN = finding.Levels(accept=0.5, low=1e-9, high=1e-9)


def read(row: phantoms.Row) -> levels.Scan:
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
    return levels.Scan(positive=positive, settled=settled, logits=np.log(clipped / (1 - clipped)))


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
    parser.add_argument("--copies", type=int, default=60, help="of the background, with plaques")
    parser.add_argument("--missed", type=int, default=0, help="positives that may be called absent, as by the 2D rule")
    options = parser.parse_args()
    rows = phantoms.run(validation(options.each), options.models, options.architecture, options.jobs, OPEN)
    if options.background:
        engine = inference.load(manifest.load(options.models / "manifest.json"), options.models, options.architecture)
        rows += real(engine, *options.background, options.copies)
    print(phantoms.listing(rows))
    scans = [read(row) for row in rows]
    chosen = levels.choose(scans)
    if chosen is None:
        raise SystemExit("No thresholds find every positive: the nets need more training.")
    groups = {positive: [scan for scan in scans if scan.positive is positive] for positive in (True, False)}
    missed, count = (levels.Doubts(groups[positive]).excluded(*chosen) for positive in (True, False))
    print(f"{count} of {len(groups[False])} zero validation cases excluded, {missed} of {len(groups[True])} positives.")
    if missed > options.missed:
        raise SystemExit("Nothing is written: more positives would be called absent than --missed allows.")
    low, high = (1 / (1 + np.exp(-each)) for each in chosen)
    path = options.models / "manifest.json"
    document = json.loads(path.read_text())
    for net in document["nets"]:
        if net["architecture"] == options.architecture:
            index = list(finding.Plane).index(finding.Plane(net["plane"]))
            # Accepted is never less than in doubt.
            accept = max(OPEN.accept, low[index])
            named = {"accept": accept, "low": low[index], "high": high[index]}
            net["levels"] = {name: round(float(level), 7) for name, level in named.items()}
            print(net["plane"], net["levels"])
    path.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
