"""Run the node's own pipeline on held-out phantoms with mimics, beside a plain >= 130 HU rule.

`python -m benchmarks.phantoms` prints the table and fails where a positive is called absent or fewer than half of
the zero cases are. Synthetic data: this measures the software, never clinical performance.
"""

import argparse
import collections
import dataclasses
import multiprocessing
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Iterable, Sequence

import numpy as np

from cac import finding, pipeline
from cac.phantom import scan
from triage import manifest
from worker import inference

MODELS = pathlib.Path(__file__).parents[1] / "models"
HELD_OUT = 200
"""First of the evaluation seeds, 0-999; training and calibration use seeds from a million on."""
EACH = 20
INCREMENTS = (1.5, 3.0)
NOTE = "Synthetic phantoms with mimics: these numbers measure the software, never clinical performance."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Name one phantom to be made."""

    seed: int
    agatston: float
    increment: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Hold what one phantom came to.

    `lesion` (one truth a candidate) tells which candidates are true calcium; `plain_present` is the answer of the
    rule 'any voxel >= 130 HU near the heart is calcium'; `seconds` counts the pipeline alone.
    """

    case: Case
    agatston: float
    mimics: tuple[str, ...]
    outcome: finding.Outcome
    reasons: tuple[str, ...]
    score: float | None
    candidates: tuple[finding.Candidate, ...]
    lesion: tuple[bool, ...]
    plain_present: bool
    seconds: float


def cases(first: int, each: int, *, low: float = 12.0, high: float = 85.0) -> list[Case]:
    """List `each` positives (log-uniform from `low` to `high` Agatston), then `each` zero cases, increments in turn."""
    random = np.random.default_rng(first)
    scores = np.exp(random.uniform(np.log(low), np.log(high), each))
    wanted = [float(score) for score in scores] + [0.0] * each
    return [
        Case(seed=first + n, agatston=agatston, increment=INCREMENTS[n % len(INCREMENTS)])
        for n, agatston in enumerate(wanted)
    ]


def examine(engine: inference.Engine, case: Case, levels: finding.Levels | None = None) -> Row:
    """Make one phantom, with 1 to 10 mimics, and run the pipeline on it; `levels` replaces the manifest's."""
    phantom = scan.make(agatston=case.agatston, seed=case.seed, increment=case.increment, mimics=1 + case.seed % 10)
    return judge(engine, case, phantom, levels)


def judge(engine: inference.Engine, case: Case, phantom: scan.Phantom, levels: finding.Levels | None = None) -> Row:
    """Run the pipeline on a scan whose truth is known."""
    spec = engine.spec
    if levels is not None:
        spec = dataclasses.replace(spec, levels=dict.fromkeys(finding.Plane, levels))
    start = time.perf_counter()
    found = pipeline.find_calcium(phantom.volume, engine.predict, spec)
    seconds = time.perf_counter() - start
    return Row(
        case=case,
        agatston=phantom.agatston,
        mimics=phantom.mimics,
        outcome=found.outcome,
        reasons=tuple(str(reason.code) for reason in found.reasons),
        score=found.agatston,
        candidates=found.candidates,
        lesion=_are_lesions(phantom, found.candidates),
        plain_present=bool(found.candidates) or found.outcome is finding.Outcome.UNSUITABLE,
        seconds=seconds,
    )


def run(
    wanted: Iterable[Case],
    models: pathlib.Path,
    architecture: str | None,
    jobs: int,
    levels: finding.Levels | None = None,
) -> list[Row]:
    """Examine phantoms, `jobs` at a time, one thread each; rows come in the order of the cases."""
    # spawn: ONNX Runtime's threads do not survive a fork. One thread each: OpenBLAS's own would fight over the cores.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_open, initargs=(models, architecture, levels)) as pool:
        rows = []
        for row in pool.imap(_job, wanted, chunksize=1):
            print(f"{len(rows) + 1} {row.case.seed}", end=" ", file=sys.stderr, flush=True)
            rows.append(row)
        return rows


def table(rows: list[Row]) -> str:
    """Write the rows' counts as a Markdown table: the pipeline and the plain rule side by side."""
    lines = [
        NOTE,
        "",
        "| phantoms | increment | n | absent | indeterminate | present | unsuitable | plain >= 130 HU: absent |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, positive in (("Agatston 10-100", True), ("zero, with mimics", False)):
        for increment in INCREMENTS:
            group = [r for r in rows if (r.agatston > 0) is positive and r.case.increment == increment]
            counts = collections.Counter(row.outcome for row in group)
            numbers = [counts[o] for o in ("absent", "indeterminate", "present", "unsuitable")]
            plain = sum(not row.plain_present for row in group)
            lines.append(f"| {name} | {increment:g} mm | {len(group)} | {' | '.join(map(str, numbers))} | {plain} |")
    seconds = statistics.median(row.seconds for row in rows)
    return "\n".join([*lines, "", f"Median {seconds:.1f} s a scan on one thread."])


def listing(rows: list[Row]) -> str:
    """Write one line a phantom: what was wanted, what came out, and the candidates nearest to deciding."""
    lines = []
    for row in rows:
        best = sorted(row.candidates, key=lambda c: -sorted(c.probabilities.values())[1])[:2]
        shown = " ".join(
            "/".join(f"{c.probabilities[plane]:.2f}" for plane in finding.Plane) + f"({c.voxels})" for c in best
        )
        lines.append(
            f"{row.case.seed:8d} {row.case.increment:3.1f} mm  Agatston {row.agatston:5.1f}  {row.outcome:13s} "
            f"{','.join(row.reasons):40s} {len(row.candidates):4d} candidates {shown}"
        )
    return "\n".join(lines)


def failures(rows: list[Row]) -> list[str]:
    """Say what must not be: positives called absent, or too few zero cases called absent."""
    missed = [row.case.seed for row in rows if row.agatston > 0 and row.outcome is finding.Outcome.ABSENT]
    zero = [row for row in rows if row.agatston == 0]
    excluded = sum(row.outcome is finding.Outcome.ABSENT for row in zero)
    said = [f"positives called absent: seeds {missed}"] if missed else []
    return said + ([f"only {excluded} of {len(zero)} zero cases called absent"] if 2 * excluded < len(zero) else [])


def _are_lesions(phantom: scan.Phantom, candidates: tuple[finding.Candidate, ...]) -> tuple[bool, ...]:
    """Tell of each candidate whether true calcium lies within 2.5 mm of its centre."""
    slices, rows, columns = np.nonzero(phantom.truth)
    (x, y, z), (increment, row_mm, column_mm) = phantom.volume.origin, phantom.volume.spacing
    places = np.stack([x + columns * column_mm, y + rows * row_mm, z - slices * increment], axis=1)
    return tuple(
        bool((np.linalg.norm(places - np.asarray(candidate.centre), axis=1) <= 2.5).any()) for candidate in candidates
    )


_engine: inference.Engine | None = None
_levels: finding.Levels | None = None


def _open(models: pathlib.Path, architecture: str | None, levels: finding.Levels | None) -> None:
    global _engine, _levels
    _engine = inference.load(manifest.load(models / "manifest.json"), models, architecture, threads=1)
    _levels = levels


def _job(case: Case) -> Row:
    assert _engine is not None
    return examine(_engine, case, _levels)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where the pipeline is not good enough."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phantoms", description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, default=MODELS)
    parser.add_argument("--architecture", help="the manifest's default if not named")
    parser.add_argument("--each", type=int, default=EACH, help="positives, and as many zero cases")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cases", action="store_true", help="one line a phantom, too")
    options = parser.parse_args(argv)
    rows = run(cases(HELD_OUT, options.each), options.models, options.architecture, options.jobs)
    if options.cases:
        print(listing(rows))
    print(table(rows))
    wrong = failures(rows)
    print("\n".join(wrong) or "No positive was called absent.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
