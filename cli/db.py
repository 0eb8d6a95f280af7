"""The database's schema."""

import typer

from cli import console

commands = typer.Typer(help="Look after the database.", no_args_is_help=True, rich_markup_mode=None)


@commands.callback()
def group() -> None:
    """Look after the database."""


@commands.command()
def upgrade() -> None:
    """Bring the database to the newest revision; safe to run at any time, by one process."""
    from triage import settings
    from triage.db import session

    config = settings.load()
    if not config.database_url:
        config.home.mkdir(parents=True, exist_ok=True)
    session.upgrade(config.database)
    console.out().print("The database is at the newest revision.")
