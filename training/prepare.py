"""Make one dataset of phantoms, of a varied real scan, and of a site's labelled scans: `python -m training.prepare`."""

import argparse
import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import pathlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeAlias

from cac import errors as cac_errors
from cac.phantom import anatomy
from training import cases, crops, dataset, errors, knobs, sets, splits
from training.readers import coca, dicom, nifti, orcascore, site
from triage import errors as triage_errors

READERS = {"coca": coca, "orcascore": orcascore, "nifti": nifti, "dicom": dicom}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """Hold what became of one case: what to say of it, or why it was refused."""

    name: str
    said: str = ""
    refused: str = ""

    @property
    def line(self) -> str:
        """Return the line that a person reads."""
        return f"{self.name}: REFUSED: {self.refused}" if self.refused else f"{self.name}: {self.said}"


_Job: TypeAlias = Callable[[], Done]


def phantom(seed: int, jitter_mm: float, path: pathlib.Path, body: pathlib.Path | None) -> Done:
    """Make the crop of a phantom, of the standard anatomy or the one of a file."""
    shape = anatomy.read(body.read_text()) if body else anatomy.STANDARD
    return _made(path, seed, cases.PHANTOMS, lambda: crops.of_phantom(seed, jitter_mm, shape))


def varied(seed: int, jitter_mm: float, path: pathlib.Path, real: tuple[pathlib.Path, pathlib.Path]) -> Done:
    """Make the crop of a real scan (its series, its courses), varied and with plaques drawn into it."""
    source = json.loads(real[1].read_text())["series"]
    return _made(path, seed, source, lambda: crops.of_background(crops.background(*real), seed, jitter_mm))


def imported(kind: str, entry: site.Entry, folder: pathlib.Path, shares: splits.Shares, jitter_mm: float) -> Done:
    """Read a labelled scan and put it where its patient belongs."""
    name = dataset.safe(kind, entry.name)
    if part := dataset.held(folder, name):
        return Done(name=name, said=f"{part}, already there")
    try:
        scan = dataclasses.replace(entry.read(), name=name)
        return Done(name=name, said=dataset.put(scan, folder, shares, jitter_mm))
    except errors.RefusedCase as exc:
        return Done(name=name, refused=exc.reason)
    except Exception as exc:  # a defect met in one case must not lose the others; it is reported like a refusal
        return Done(name=name, refused=f"unexpected {type(exc).__name__}: {exc}")


def _made(path: pathlib.Path, seed: int, source: str, make: Callable[[], cases.Case]) -> Done:
    start = time.monotonic()
    case = make()
    cases.save(case, path, source)
    points = f"{len(case.points)} points, {int(case.calcium.sum())} on calcium"
    return Done(name=str(seed), said=f"{points}, {time.monotonic() - start:.1f} s")


def run(jobs: Iterable[_Job], processes: int) -> list[Done]:
    """Do jobs, some at a time, each with a line as it ends."""
    # One thread each: OpenBLAS's own threads would fight over the cores.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(processes)) if processes > 1 else None
        done = []
        for each in pool.imap_unordered(_call, jobs) if pool else map(_call, jobs):
            print(each.line, flush=True)
            done.append(each)
    return done


def _call(job: _Job) -> Done:
    return job()


def summary(done: Iterable[Done], folder: pathlib.Path) -> int:
    """Print what was prepared and refused, write down what was refused, and return the exit code."""
    good = [each for each in done if not each.refused]
    bad = {each.name: each.refused for each in done if each.refused}
    noted = dataset.note(folder, [each.name for each in good], bad)
    parts = Counter(each.said.split(",")[0] for each in good)
    print(f"{len(good)} prepared ({', '.join(f'{parts[part]} {part}' for part in ('train', 'tune', 'test'))})")
    if bad:
        print(f"{len(bad)} refused, see {noted}:")
        print("\n".join(f"  {name}: {why}" for name, why in sorted(bad.items())))
    return int(bool(bad))


def _seeds(options: argparse.Namespace) -> list[_Job]:
    """Return a job for every training phantom that the folder does not hold yet; DatasetError for reserved seeds."""
    data = knobs.data(options.config)
    first = data["train_first"] if options.first is None else options.first
    seeds = range(first, first + (data["train_cases"] if options.cases is None else options.cases))
    if any(max(seeds.start, kept.start) < min(seeds.stop, kept.stop) for kept in sets.RESERVED):
        msg = f"seeds {seeds.start}-{seeds.stop - 1} hold some that judge, tune or test the node: never trained on"
        raise errors.DatasetError(msg)
    kind = "real" if options.kind == "background" else ""
    paths = {seed: options.out / "train" / f"{kind}{seed}" for seed in seeds}
    wanted = [(seed, data["jitter_mm"], path) for seed, path in paths.items() if not cases.stored(path)]
    if kind:
        return [functools.partial(varied, *task, (options.series, options.courses)) for task in wanted]
    return [functools.partial(phantom, *task, options.anatomy) for task in wanted]


def _import(options: argparse.Namespace) -> int:
    """Bring a site's labelled scans into the dataset."""
    said = site.Site(
        names=site.parse(options.name),
        zeros=_zeros(options.zeros) if options.zeros else frozenset(),
        empty_is_zero=options.empty_is_zero,
        thickness=options.thickness,
        automatic=options.automatic,
        **({"patient": options.patient} if options.patient else {}),
    )
    if options.kind == "coca" and options.patient:
        raise errors.DatasetError("in COCA the folder is the patient: --patient has nothing to say")
    shares = splits.Shares(**dict(zip(("train", "tune", "test"), options.shares, strict=True)))
    dataset.agree(options.out, shares, options.kind, said.patient)
    found = READERS[options.kind].find(*options.folders, said)
    if not found:
        raise errors.DatasetError(f"no case is found in {' and '.join(map(str, options.folders))}")
    jitter_mm = knobs.data(options.config)["jitter_mm"]
    jobs = [functools.partial(imported, options.kind, entry, options.out, shares, jitter_mm) for entry in found]
    code = summary(run(jobs, options.jobs), options.out)
    if strangers := sorted(said.zeros - {entry.name for entry in found}):
        print(f"{options.zeros} names what is no case here: {', '.join(strangers)}")
    return code


def _zeros(path: pathlib.Path) -> frozenset[str]:
    """Read the names of the cases in which a reader found no calcium; DatasetError."""
    try:
        names = map(str.strip, path.read_text(encoding="utf-8-sig").splitlines())
    except UnicodeDecodeError as exc:
        msg = f"{path} is no text in UTF-8"
        raise errors.DatasetError(msg) from exc
    return frozenset(name for name in names if name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--out", type=pathlib.Path, default=cases.SCRATCH, help="the dataset's folder")
    shared.add_argument("--config", type=pathlib.Path, default=cases.CONFIG)
    shared.add_argument("--jobs", type=int, default=2, help="cases prepared at a time")
    for kind, what in (("phantoms", "synthetic anatomy"), ("background", "a real calcium-free scan, varied")):
        made = kinds.add_parser(kind, parents=[shared], help=what)
        made.add_argument("--first", type=int, help="first seed, instead of the configuration's")
        made.add_argument("--cases", type=int, help="how many, instead of the configuration's")
        if kind == "background":
            made.add_argument("series", type=pathlib.Path, help="folder of the scan's DICOM files")
            made.add_argument("courses", type=pathlib.Path, help="JSON of its coronary courses")
        else:
            made.add_argument("--anatomy", type=pathlib.Path, help="JSON of another heart: see config/anatomy")
    for kind, reader in READERS.items():
        read = kinds.add_parser(kind, parents=[shared], help=reader.SOURCE, description=reader.__doc__)
        count, told = (2, ("IMAGES", "MASKS")) if kind == "nifti" else (1, "FOLDER")
        read.add_argument("folders", type=pathlib.Path, nargs=count, metavar=told)
        _ask(read)
    return parser


def _ask(parser: argparse.ArgumentParser) -> None:
    """Add what a site may say of its data."""
    parser.add_argument("--name", action="append", default=[], metavar="NAME=ARTERY", help="what a label means")
    parser.add_argument("--zeros", type=pathlib.Path, help="file naming the cases without calcium, one a line")
    parser.add_argument("--empty-is-zero", action="store_true", help="an empty mask says that a reader found none")
    parser.add_argument("--thickness", type=float, help="slice thickness in mm, where the format states none")
    parser.add_argument("--patient", help="pattern whose first group in a case's name is the patient")
    parser.add_argument("--automatic", action="store_true", help="accept segments that an algorithm drew")
    parser.add_argument(
        "--shares", type=float, nargs=3, default=(0.60, 0.15, 0.25), metavar=("TRAIN", "TUNE", "TEST"), help="of all"
    )


def main() -> int:
    """Prepare what the command line names; return 1 where any case was refused."""
    options = _parser().parse_args()
    try:
        if options.kind in READERS:
            return _import(options)
        made = run(_seeds(options), options.jobs)
        print(f"{len(made)} prepared; {options.out / 'train'} holds {len(cases.stored_in(options.out / 'train'))}")
    except (errors.DatasetError, triage_errors.TriageError, cac_errors.CacError, OSError, ValueError) as exc:
        print(f"Nothing was prepared: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
