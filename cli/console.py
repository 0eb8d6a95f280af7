"""What every command shares: where it prints, how it refuses, and the options that override settings."""

import sys
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    import rich.console

WIDTH = 160


def out() -> "rich.console.Console":
    """Return the console for answers: standard output."""
    import rich.console

    # Where nobody looks at a terminal, a table need not fit one.
    return rich.console.Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def notes() -> "rich.console.Console":
    """Return the console for everything that is no answer: standard error."""
    import rich.console

    return rich.console.Console(stderr=True, highlight=False)


def answer(sentence: str) -> None:
    """Print a line on standard output as it is."""
    out().print(sentence, markup=False, soft_wrap=True)


def say(sentence: str) -> None:
    """Print a line on standard error as it is."""
    notes().print(sentence, markup=False, soft_wrap=True)


def refuse(sentence: str, code: int = 1) -> NoReturn:
    """Say in one line what is wrong and leave."""
    sys.stderr.write(f"cac-triage: {sentence}\n")
    raise typer.Exit(code)
