"""Time one scan, DICOM files in to finding and SEG out: windows around candidates against all images of the crop.

`python -m benchmarks.scan` prints the table and fails where the two ways differ in anything that is kept. Both run in
turns in one process. Synthetic cases measure the software, never clinical performance.
"""

import argparse
import dataclasses
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pydicom

from benchmarks import sameness
from cac import finding
from cac.phantom import scan
from triage import manifest
from triage.dicom import phantom_series
from worker import analyse, inference, results

MODELS = pathlib.Path(__file__).parents[1] / "models"
HASHES = results.Hashes(content="0" * 64, models="0" * 64)
STEPS = ("read", "slabs", "heart", "candidates", "nets", "fusion", "scores", "write")
SLICES = 100
REAL = ("lidc_idri_0002_zero", 115, 215)
"""A suitable real series, and the slices (from the head) that its heart and some margin lie in."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Name a folder of DICOM files to be analysed."""

    name: str
    files: Sequence[pathlib.Path]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """Hold one analysis of a case: seconds of each step, and what was found."""

    seconds: Mapping[str, float]
    found: finding.CalciumFinding

    @property
    def total(self) -> float:
        """Return the seconds from files to SEG."""
        return sum(self.seconds.values())


def cases(folder: pathlib.Path, quick: bool) -> Iterator[Case]:
    """Write the phantoms, 512 x 512 x 100 at 1.5 mm, and find the real series where it is."""
    for seed, agatston in ((900, 0.0), (901, 0.0), (902, 20.0), (903, 400.0)):
        if quick and seed in (901, 902):
            continue
        # The stack's length in mm is shared between above and below the heart's centre.
        style = scan.Style(above=76.0, below=(SLICES - 1) * 1.5 - 76.0, noise=18.0)
        made = scan.make(agatston=agatston, seed=seed, increment=1.5, mimics=6, style=style)
        what = f"Agatston {made.agatston:.0f}" if agatston else f"zero with {len(made.mimics)} mimics"
        name = f"phantom {seed}, {what}"
        yield Case(name=name, files=phantom_series.write_series(made, folder / str(seed), seed=seed))
    data = os.environ.get("CAC_TRIAGE_TEST_DATA")
    real = pathlib.Path(data) / "series" / REAL[0] if data else None
    if real and real.is_dir():
        yield Case(name=f"{REAL[0]}, heart range", files=_from_head(real)[REAL[1] : REAL[2]])


def _from_head(folder: pathlib.Path) -> list[pathlib.Path]:
    def height(path: pathlib.Path) -> float:
        return float(pydicom.dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2])

    return sorted(folder.glob("*.dcm"), key=height, reverse=True)


def run(case: Case, engine: inference.Engine, folder: pathlib.Path) -> Round:
    """Analyse a case and write its results, timed."""
    analysis = analyse.analyse(case.files, engine, analyse.Method())
    start = time.perf_counter()
    results.write(analysis, HASHES, folder)
    return Round(seconds={**analysis.seconds, "write": time.perf_counter() - start}, found=analysis.finding)


def compare(case: Case, engine: inference.Engine, rounds: int, folder: pathlib.Path) -> dict[str, list[Round]]:
    """Run windows several times, the first to warm up, and all images once between them."""
    ways = {each.value: dataclasses.replace(engine, evaluation=each) for each in finding.Evaluation}
    timed: dict[str, list[Round]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            if name == finding.Evaluation.DENSE and number != 1:
                continue  # it takes long, and its parts are long enough to need no second look
            done = run(case, way, folder)
            if number:
                timed[name].append(done)
    return timed


def table(timed: Mapping[str, Mapping[str, list[Round]]]) -> str:
    """Write medians in seconds, windows first, then whole images and the ratios."""
    lines = [
        "| case | candidates | outcome | "
        + " | ".join(STEPS)
        + " | total | dense nets | dense total | nets ratio | total ratio |",
        "|---" * (len(STEPS) + 8) + "|",
    ]
    for name, ways in timed.items():
        sparse, dense = ways["sparse"], ways["dense"]
        steps = [statistics.median(each.seconds.get(step, 0.0) for each in sparse) for step in STEPS]
        total = statistics.median(each.total for each in sparse)
        dense_nets = statistics.median(each.seconds.get("nets", 0.0) for each in dense)
        dense_total = statistics.median(each.total for each in dense)
        numbers = [*steps, total, dense_nets, dense_total]
        found = sparse[0].found
        ratios = f"{dense_nets / max(steps[STEPS.index('nets')], 1e-9):.1f}x | {dense_total / total:.1f}x"
        lines.append(
            f"| {name} | {len(found.candidates)} | {found.outcome} | "
            + " | ".join(f"{value:.2f}" for value in numbers)
            + f" | {ratios} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; return 1 where the two ways differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, default=MODELS)
    parser.add_argument("--architecture")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--volumes", type=int, default=200, help="volumes that both ways must answer alike")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(argv)
    rounds, volumes = (2, 30) if options.quick else (options.rounds, options.volumes)
    stated = manifest.load(options.models / "manifest.json")
    engine = inference.load(stated, options.models, options.architecture, threads=options.threads)
    timed: dict[str, Mapping[str, list[Round]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for case in cases(folder, options.quick):
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            timed[case.name] = compare(case, engine, rounds, folder / "results")
    print(f"Seconds, medians of {rounds}; nets {engine.model_set.architecture} on {engine.provider}.\n")
    print(table(timed))
    differences = [_differs(name, ways) for name, ways in timed.items()]
    report = sameness.check(engine, volumes)
    print(f"\n{report.sentence()}")
    wrong = [*filter(None, differences), *report.differences]
    print("\n".join(wrong))
    return 1 if wrong else 0


def _differs(name: str, ways: Mapping[str, Iterable[Round]]) -> str | None:
    first = [next(iter(rounds)).found for rounds in ways.values()]
    differences = sameness.differences(*first)
    return f"{name}: {', '.join(differences)}" if differences else None


if __name__ == "__main__":
    sys.exit(main())
