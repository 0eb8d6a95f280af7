"""The one way to the database: transactions that lose nothing, on SQLite and on PostgreSQL."""

import datetime as dt
import pathlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import alembic.command
import alembic.config
import alembic.runtime.migration
import alembic.script
import sqlalchemy as sa
from sqlalchemy import event, exc, orm, pool

from triage import errors
from triage.db import statements

T = TypeVar("T")

MIGRATIONS = pathlib.Path(__file__).resolve().parents[2] / "alembic"
TRIES = 5
PATIENCE_SECONDS = 30.0
"""How long a database that is busy, or does not answer, is waited for."""
CACHE_KIB = 32_768
"""Of SQLite, for each connection that reads so much: its usual 2 MiB hold no search through a million studies."""
TIMESTAMPTZ = 1184
"""PostgreSQL's number of the type of moments."""


class Refused(errors.StorageError):
    """Say that the database is there but would not do this work: what it was given may be to blame."""


class Crossed(Refused):
    """Say that another transaction crossed this one's way; the same work may be done again at once."""


class Database:
    """Hold the engine; `write` and `read` open one transaction each and raise StorageError, which is retriable."""

    def __init__(self, url: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.url = url
        # Last in, first out: who writes next meets the pages of who wrote last.
        self._engine = _engine(url, patience_seconds, pool_use_lifo=True, pool_timeout=patience_seconds)
        self._writer = self._engine.execution_options(triage_write=True)

    @contextmanager
    def write(self) -> Iterator[orm.Session]:
        """Open a transaction that may write; it commits at the end, or rolls back on any error."""
        with _translated(), orm.Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[orm.Session]:
        """Open a transaction that only reads, all of it from one moment."""
        with _translated(), orm.Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def look(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads, without the ORM."""
        with _translated(), self._engine.connect() as connection:
            yield connection

    def transact(self, work: Callable[[orm.Session], T]) -> T:
        """Do the work in a transaction that writes, again if another writer crossed its way."""

        def once() -> T:
            with self.write() as session:
                return work(session)

        return _repeated(once)

    def transact_plainly(self, work: Callable[[sa.Connection], T]) -> T:
        """Do the work as `transact` does, without the ORM: for what comes with every image."""

        def once() -> T:
            with _translated(), self._writer.begin() as connection:
                return work(connection)

        return _repeated(once)

    def dispose(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def is_postgresql(db: orm.Session) -> bool:
    """Tell whether the database is PostgreSQL, which plans by statistics and knows lists; SQLite does neither."""
    return db.get_bind().dialect.name == "postgresql"


def upgrade(url: str) -> None:
    """Bring the schema to the newest revision; raises StorageError."""
    with _translated():
        alembic.command.upgrade(_config(url), "head")


def at_head(url: str) -> bool:
    """Tell whether the schema is the one this code was written for; raises StorageError."""
    head = alembic.script.ScriptDirectory.from_config(_config(url)).get_current_head()
    engine = _engine(url, PATIENCE_SECONDS, poolclass=pool.NullPool)
    try:
        with _translated(), engine.connect() as connection:
            return alembic.runtime.migration.MigrationContext.configure(connection).get_current_revision() == head
    finally:
        engine.dispose()


def _config(url: str) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def _engine(url: str, patience_seconds: float, **options: Any) -> sa.Engine:
    # Parameters hold names: no error's text may show them.
    waiting = {"timeout": patience_seconds}  # SQLite's for a lock, PostgreSQL's for whatever it is asked
    options.update(hide_parameters=True, connect_args=waiting, pool_pre_ping=not url.startswith("sqlite:"))
    engine = sa.create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        statements.remember()
        event.listen(engine, "connect", _prepare_postgres)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours: the driver's comes too late to lock
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{CACHE_KIB}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgres(connection: Any, _record: object) -> None:
    # The driver reads a moment by strptime, which costs a page of the worklist as much as finding it.
    connection.register_in_adapter(TIMESTAMPTZ, dt.datetime.fromisoformat)


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("triage_write", False)
    driver: Any = connection.connection.driver_connection  # straight to it: this runs several times an image
    driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error, OSError) as failure:
        if _refused(failure):
            raise Refused(f"the database refused: {type(failure).__name__}") from failure
        raise errors.StorageError(f"the database is out of reach or refused: {type(failure).__name__}") from failure


def _repeated(once: Callable[[], T]) -> T:
    for _ in range(TRIES - 1):
        try:
            return once()
        except errors.StorageError as failure:
            if not isinstance(failure, Crossed) and not _crossed(failure.__cause__):
                raise
    return once()


def _crossed(failure: BaseException | None) -> bool:
    """Tell whether a failure is another transaction's doing: a deadlock, or a row it inserted first."""
    if isinstance(failure, exc.IntegrityError):
        return True
    return _sqlstate(failure) in ("40001", "40P01")


def _refused(failure: BaseException) -> bool:
    """Tell whether a database that answers refused what it was given: a value, a constraint, a crossed way."""
    if isinstance(failure, (exc.IntegrityError, exc.DataError, exc.ProgrammingError)):
        return True
    return type(failure) is exc.StatementError or _sqlstate(failure)[:2] in ("22", "23", "40", "54")


def _sqlstate(failure: BaseException | None) -> str:
    """Return PostgreSQL's code of an error (its manual, appendix A), else nothing."""
    original = getattr(failure, "orig", None)
    told = original.args[0] if original is not None and original.args else None
    return str(told.get("C", "")) if isinstance(told, dict) else ""
