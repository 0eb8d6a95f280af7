"""`cac-triage send` and `cac-triage phantom`: something to send, and a way to send it."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console

if TYPE_CHECKING:
    from triage.dicom import sending

SHOWN_FAILURES = 20


def send(
    paths: Annotated[list[pathlib.Path], typer.Argument(metavar="PATH...", help="DICOM files, or folders of them.")],
    to: Annotated[str, typer.Option(metavar="AET@HOST:PORT", help="Where to, e.g. CACTRIAGE@127.0.0.1:11112.")],
    calling: Annotated[str, typer.Option(help="The AE title to call as.")] = "CACTRIAGE-SCU",
) -> None:
    """Send DICOM files by C-STORE, as they are: nothing is re-encoded."""
    from triage import logs
    from triage.dicom import sending

    logs.configure("ERROR")
    for path in paths:
        if not path.exists():
            console.refuse(f"{path} does not exist.")
    report = with_bar(paths, sending.Target.parse(to), calling)
    for failure in report.failed[:SHOWN_FAILURES]:
        status = "no status" if failure.status is None else f"0x{failure.status:04X}"
        console.notes().print(f"{failure.path}: {status}: {failure.text}", markup=False)
    if report.failed:
        console.refuse(f"{len(report.failed)} of {report.sent + len(report.failed)} objects were not stored.")
    if not report.sent:
        console.refuse("There is no DICOM object to send.")
    skipped = f", {report.skipped} other files skipped" if report.skipped else ""
    console.out().print(f"{report.sent} objects stored by {to}{skipped}.", markup=False)


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
    out: Annotated[pathlib.Path, typer.Argument(help="The folder to write into.")],
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
    console.out().print(
        f"{len(paths)} slices in {out}: Agatston {made.agatston:.1f}, {int(made.truth.sum())} voxels of calcium, "
        f"mimics: {mimics}.",
        markup=False,
    )
