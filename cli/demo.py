"""`cac-triage demo`: a node, two phantoms, and the worklist as it changes."""

import contextlib
import dataclasses
import pathlib
import socket
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import console

if TYPE_CHECKING:
    from cli import node
    from triage import settings

FINAL_SECONDS = 240.0
LOOK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Hold one phantom of the demonstration, and what must become of it."""

    name: str
    agatston: float
    seed: int
    increment: float
    priority: str
    outcome: str


CASES = (
    Case(name="without calcium", agatston=0, seed=900002, increment=3.0, priority="low", outcome="absent"),
    Case(name="with calcium", agatston=120, seed=900001, increment=1.5, priority="routine", outcome="present"),
)


def demo(
    home: Annotated[pathlib.Path, typer.Option(help="Folder for the demonstration's node.")] = pathlib.Path(".home"),
    once: Annotated[bool, typer.Option("--once", help="Stop the node at the end instead of leaving it on.")] = False,
) -> None:
    """Start a node, send it one phantom with calcium and one without, and show the worklist as it changes.

    Leaves with 1 unless the one without calcium ends low / absent, and the other one routine / present.
    """
    from cli import node
    from triage import logs

    logs.configure("WARNING")
    right = False
    with contextlib.suppress(node.Stopped), node.running(_config(home)) as running:
        console.say(f"The node is up: DICOM {running.ae_title}@{running.dicom_host}:{running.dicom_port}")
        studies = [_send(case, running) for case in CASES]
        right = _judge(_follow(studies, running))
        console.say(f"Worklist   {node.address(running)}/api/v1/worklist")
        for case, study in zip(CASES, studies, strict=True):
            console.say(f"Flag       {node.address(running)}/api/v1/studies/{study}/flag   ({case.name})")
        console.say(f"Interface  {node.address(running)}/docs")
        if not once:
            console.say("The node runs until Ctrl-C.")
            node.watch(running)
    if not right:
        raise typer.Exit(1)


def _config(home: pathlib.Path) -> "settings.Settings":
    """Take the configured ports where they are free, others where not."""
    from triage import settings

    config = settings.load()
    return settings.load(
        home=home,
        log_level="WARNING",
        dicom_port=_free_or_zero(config.dicom_port),
        http_port=_free_or_zero(config.http_port),
    )


def _free_or_zero(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _send(case: Case, running: "node.Node") -> str:
    """Make one phantom and send it; return its study's UID."""
    import pydicom

    from cac.phantom import scan
    from cli import send
    from triage import errors
    from triage.dicom import phantom_series, sending

    folder = running.home / "phantoms" / f"{case.seed}"
    made = scan.make(agatston=case.agatston, seed=case.seed, increment=case.increment)
    paths = phantom_series.write_series(made, folder, seed=case.seed)
    what = f"Agatston {made.agatston:.1f}" if made.agatston else f"mimics only: {', '.join(made.mimics) or 'none'}"
    console.say(f"Phantom {case.name} ({what}): {len(paths)} slices, sent by C-STORE.")
    target = sending.Target(aet=running.ae_title, host=running.dicom_host, port=running.dicom_port)
    report = send.with_bar(paths, target, "DEMO")
    if report.failed:
        raise errors.StorageError(f"{len(report.failed)} images were refused: {report.failed[0].text}.")
    return str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def _follow(studies: list[str], running: "node.Node") -> list[dict[str, Any]]:
    """Show the worklist until both studies have their end; return them in the order given."""
    import rich.live

    from cli import node, rest, worklist

    address, end = node.address(running), time.monotonic() + FINAL_SECONDS
    shown, last = console.out(), ""
    with rich.live.Live(console=shown, auto_refresh=False) if shown.is_terminal else contextlib.nullcontext() as live:
        while True:
            running.roles.look()
            items = rest.get(address, "/api/v1/worklist", limit=20)["items"]
            mine = [rest.get(address, f"/api/v1/studies/{study}") for study in studies]
            state = str([item["flag"] for item in mine])
            if state != last and live:
                live.update(worklist.table(items), refresh=True)
            elif state != last:
                shown.print(worklist.table(items))
            last = state
            if all(_final(item) for item in mine) or time.monotonic() > end:
                return mine
            time.sleep(LOOK_SECONDS)


def _final(study: dict[str, Any]) -> bool:
    """Tell whether a flag is one that stays: not pending, and not held back until spool and database agree."""
    flag = study["flag"]
    return flag["outcome"] != "pending" and all(reason["code"] != "node_not_agreed" for reason in flag["reasons"])


def _judge(studies: list[dict[str, Any]]) -> bool:
    """Say honestly what became of the phantoms; tell whether it is what must become of them."""
    right = True
    for case, study in zip(CASES, studies, strict=True):
        flag = study["flag"]
        as_wanted = (flag["priority"], flag["outcome"]) == (case.priority, case.outcome)
        right = right and as_wanted
        verdict = "as it must be" if as_wanted else f"WRONG: {case.priority} / {case.outcome} was wanted"
        why = " ".join(reason["text"] for reason in flag["reasons"])
        console.answer(f"{case.name}: {flag['priority']} / {flag['outcome']} ({verdict}). {why}")
    return right
