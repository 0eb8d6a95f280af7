"""Servers and databases for the tests: real ones, started here and gone afterwards. A missing wheel is a failure."""

import itertools
import pathlib
from collections.abc import Iterator

import pytest
import servers

from triage.db import session

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Run one PostgreSQL server for the session, with a migrated database to copy."""
    with servers.postgres() as url:
        servers.ask(url, "CREATE DATABASE migrated")
        session.upgrade(_named(url, "migrated"))
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Run one Redis-compatible server for the session."""
    with servers.redis() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """Give the URL of a migrated, empty database: once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'cac-triage.sqlite'}"
        session.upgrade(url)
        yield url
        return
    server = request.getfixturevalue("postgres_url")
    name = f"test_{next(_numbers)}"
    servers.ask(server, f"CREATE DATABASE {name} TEMPLATE migrated")
    yield _named(server, name)
    servers.ask(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def db(database_url: str) -> Iterator[session.Database]:
    """Give a migrated, empty database."""
    database = session.Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def free_port() -> int:
    """Give a TCP port of the loopback that nobody listens on."""
    return servers.free_port()


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """Give an empty home folder for a node."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def _named(url: str, name: str) -> str:
    return f"{url.rsplit('/', 1)[0]}/{name}"
