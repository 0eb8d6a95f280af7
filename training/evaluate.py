"""Judge the node's own pipeline on labelled scans, or choose its operating point: `python -m training.evaluate`.

Writes Markdown, CSV and plots beside the rows they are made of. A stopped run goes on where it was; `--tables` makes
the tables again from rows alone. With `--tune`, see `training.tune`. No torch is needed.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from cac import finding
from training import sets, tune
from training.judging import report, rows, running
from triage import errors, manifest

ROOT = pathlib.Path(__file__).parents[1]
EACH = 50
COPIES = 40


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    made = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    made.add_argument("--out", type=pathlib.Path, help="build/evaluation, or build/tuning, where not named")
    made.add_argument("--tables", type=pathlib.Path, metavar="FOLDER", help="make the tables of a run again, no more")
    made.add_argument("--dataset", type=pathlib.Path, help="a folder of labelled scans")
    made.add_argument("--split", help="which part of it: 'test', or with --tune 'tune', where not named")
    made.add_argument("--phantoms", nargs="+", choices=tuple(sets.FIRST), default=[], help="sets made on the fly")
    made.add_argument("--each", type=int, default=EACH, help="phantoms of each group of a set")
    made.add_argument("--zeros", type=int, default=0, help="phantoms without calcium, where more than of other groups")
    made.add_argument("--background", type=pathlib.Path, nargs=2, metavar=("SERIES", "COURSES"), help="a real zero")
    made.add_argument("--copies", type=int, default=COPIES, help="of the background, with plaques of Agatston 5-20")
    made.add_argument("--models", type=pathlib.Path, default=ROOT / "models")
    made.add_argument("--architectures", nargs="+", help="all of the manifest's where not named")
    made.add_argument("--evaluation", type=finding.Evaluation, choices=list(finding.Evaluation), default="sparse")
    made.add_argument(
        "--profile",
        type=finding.Profile,
        choices=list(finding.Profile),
        default="default",
        help="'paper': as published",
    )
    made.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    made.add_argument("--tune", action="store_true", help="choose thresholds and write them into the manifest")
    made.add_argument("--sensitivity", type=float, default=tune.SENSITIVITY, help="lower bound that must be shown")
    made.add_argument("--missed", type=int, default=0, help="positives that the thresholds may give up")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked; return 1 where a scan failed, 2 where what is asked cannot be done."""
    options = parser().parse_args(argv)
    try:
        if options.tune and (options.profile is not finding.Profile.DEFAULT or options.tables):
            raise ValueError(
                "Thresholds are chosen for the node's own way: --tune goes without --profile and --tables."
            )
        if options.tables:
            return _tables(options.tables, [])
        return _tune(options) if options.tune else _evaluate(options)
    except (ValueError, OSError, errors.ModelError) as exc:
        print(exc, file=sys.stderr)
        return 2


def _evaluate(options: argparse.Namespace) -> int:
    tasks = _asked(options, "test").tasks("held out")
    stated = manifest.load(options.models / "manifest.json")
    plan = running.Plan(
        models=options.models,
        architectures=tuple(options.architectures or stated.architectures),
        evaluation=options.evaluation,
        profile=options.profile,
    )
    folder = options.out or ROOT / "build" / "evaluation"
    return _tables(folder, running.run(tasks, plan, folder, options.jobs))


def _tune(options: argparse.Namespace) -> int:
    stated = manifest.load(options.models / "manifest.json")
    wanted = tune.Wanted(
        models=options.models,
        architectures=tuple(options.architectures or stated.architectures),
        sensitivity=options.sensitivity,
        missed=options.missed,
        folder=options.out or ROOT / "build" / "tuning",
        jobs=options.jobs,
    )
    refused = tune.run(_asked(options, "tune"), wanted)
    print("\n".join(refused), file=sys.stderr)
    return 1 if refused else 0


def _asked(options: argparse.Namespace, split: str) -> sets.Asked:
    return sets.Asked(
        dataset=options.dataset,
        split=options.split or split,
        phantoms=tuple(options.phantoms),
        each=options.each,
        zeros=options.zeros,
        background=tuple(options.background) if options.background else None,
        copies=options.copies,
    )


def _tables(folder: pathlib.Path, failed: Sequence[running.Failure]) -> int:
    judged = rows.read(folder / running.ROWS)
    if not judged:
        raise ValueError(f"{folder} holds no rows to make tables of")
    told = [f"**Not judged: {failure.name}: {failure.why}.**" for failure in failed]
    print(report.write(judged, folder, told))
    print(folder / report.REPORT, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
