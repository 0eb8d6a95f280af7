"""Run migrations on the database of the caller, or of the settings: one of the three places that read them."""

import sqlalchemy as sa

from alembic import context
from triage.db import results


def _url() -> str:
    given = context.config.attributes.get("url")
    if given:
        return str(given)
    from triage import settings

    home = settings.load()
    home.home.mkdir(parents=True, exist_ok=True)
    return home.database


def run() -> None:
    """Apply the revisions in one transaction; SQLite copies a table to alter it."""
    engine = sa.create_engine(_url(), poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            context.configure(
                connection=connection,
                target_metadata=results.tables.Base.metadata,
                render_as_batch=connection.dialect.name == "sqlite",
                compare_server_default=True,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


run()
