"""`cac-triage doctor`: what is right, and what to do about what is not."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli import console

if TYPE_CHECKING:
    from triage import settings

    Check = Callable[[settings.Settings], str]


def doctor(
    role: Annotated[
        Literal["listener", "assembler", "api", "worker"] | None,
        typer.Option(help="Check one running role only, as a container's health check does."),
    ] = None,
) -> None:
    """Check models, database, broker, ports and disk: a line each. Leaves with 1 if something is wrong."""
    from cli import checks
    from triage import errors, logs, settings

    logs.configure("ERROR")
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what is wrong is said here
    config = settings.load()
    wrong = 0
    for name, check in _chosen(role).items():
        try:
            sentence, mark = check(config), "right"
        except (checks.Wrong, errors.TriageError) as failure:
            sentence, mark = str(failure), "WRONG"
            wrong += 1
        console.answer(f"{mark}  {name:<10} {sentence}")
    if wrong:
        raise typer.Exit(1)


def _chosen(role: str | None) -> "Mapping[str, Check]":
    from cli import checks

    every: Mapping[str, Check] = {
        "models": checks.models,
        "database": checks.database,
        "broker": checks.broker,
        "dicom port": checks.dicom_port,
        "http port": checks.http_port,
        "disk": checks.disk,
    }
    roles: Mapping[str, Check] = {
        "listener": checks.listener,
        "assembler": checks.assembler,
        "api": checks.api,
        "worker": checks.worker,
    }
    return every if role is None else {role: roles[role]}
