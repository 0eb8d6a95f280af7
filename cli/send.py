"""`cac-triage send` and `cac-triage phantom`: something to send, and a way to send it."""

import collections
import logging
import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console

if TYPE_CHECKING:
    from triage.dicom import sending

SHOWN_CAUSES = 20


def send(
    paths: Annotated[list[pathlib.Path], typer.Argument(metavar="PATH", help="DICOM files, or folders of them.")],
    to: Annotated[str, typer.Option(metavar="AET@HOST:PORT", help="Where to, e.g. CACTRIAGE@127.0.0.1:11112.")],
    calling: Annotated[str, typer.Option(help="The AE title to call as.")] = "CACTRIAGE-SCU",
) -> None:
    """Send DICOM files by C-STORE, as they are: nothing is re-encoded."""
    from triage import logs
    from triage.dicom import sending

    logs.configure("ERROR")
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what failed stands in the report
    for path in paths:
        if not path.exists():
            console.refuse(f"{path} does not exist.")
    report = with_bar(paths, sending.Target.parse(to), calling)
    causes = collections.Counter((failure.status, failure.text) for failure in report.failed)
    for (status, text), count in causes.most_common(SHOWN_CAUSES):
        first = next(failure.path for failure in report.failed if (failure.status, failure.text) == (status, text))
        said = "no status" if status is None else f"status 0x{status:04X}"
        console.say(f"{said}: {text}: {count} objects, {first} the first of them")
    if report.failed:
        console.refuse(f"{len(report.failed)} of {report.sent + len(report.failed)} objects were not stored.")
    if not report.sent:
        console.refuse("There is no DICOM object to send.")
    skipped = f", {report.skipped} other files skipped" if report.skipped else ""
    console.answer(f"{report.sent} objects stored by {to}{skipped}.")


def with_bar(paths: list[pathlib.Path], target: "sending.Target", calling: str) -> "sending.Report":
    """Send and show how far it is."""
    import rich.progress

    from triage.dicom import sending

    with rich.progress.Progress(console=console.notes(), transient=True) as bar:
        task = bar.add_task("sending", total=None)
        return sending.send(
            paths, target, calling=calling, on_progress=lambda done, of: bar.update(task, completed=done, total=of)
        )


def phantom(
    out: Annotated[pathlib.Path, typer.Argument(metavar="OUT", help="The folder to write into.")],
    agatston: Annotated[float, typer.Option(min=0, help="The score wanted; 0 gives mimics of calcium only.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same phantom.")],
    increment: Annotated[float, typer.Option(help="Slice increment in mm: 1.5 or 3.")] = 3.0,
) -> None:
    """Write a procedural cardiac CT of a wanted Agatston score as a DICOM series."""
    if increment not in {1.5, 3.0}:
        console.refuse("--increment must be 1.5 or 3.", code=2)
    from cac.phantom import scan
    from triage.dicom import phantom_series

    made = scan.make(agatston=agatston, seed=seed, increment=increment)
    paths = phantom_series.write_series(made, out, seed=seed)
    mimics = ", ".join(str(mimic) for mimic in made.mimics) or "none"
    console.answer(
        f"{len(paths)} slices in {out}: Agatston {made.agatston:.1f}, {int(made.truth.sum())} voxels of calcium, "
        f"mimics: {mimics}."
    )
