"""A listener on a free port with its own spool and database, and senders to try it with."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator

import pynetdicom
from pynetdicom import association

from service import receiver
from triage import domain, rules, settings, spool
from triage.db import arrivals, assembly, session
from triage.dicom import sending


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """Hold a running listener and what it writes to."""

    receiver: receiver.Receiver
    spool: spool.Spool
    db: session.Database
    rules: rules.Rules

    @property
    def target(self) -> sending.Target:
        return sending.Target(aet="CACTRIAGE", host="127.0.0.1", port=self.receiver.port)

    def files(self) -> list[pathlib.Path]:
        return [self.spool.absolute(path) for path in self.spool.walk()]

    def known(self, sop_uid: str) -> arrivals.Known | None:
        return arrivals.find(self.db, sop_uid)

    def arriving(self) -> dict[str, domain.SeriesSnapshot]:
        found = assembly.arriving(self.db, domain.utc_now())
        return {snapshot.series_instance_uid: snapshot for snapshot in found}


@contextlib.contextmanager
def node(home: pathlib.Path, database_url: str, **changes: object) -> Iterator[Node]:
    """Run a listener until the block ends; `changes` are fields of `receiver.Listening`."""
    listening = receiver.Listening(**{"port": 0, "min_free_bytes": 0, **changes})
    db = session.Database(database_url, receiver.DATABASE_PATIENCE_SECONDS)
    site = rules.from_settings(settings.load(home=home))
    files = spool.Spool(home / "spool")
    running = receiver.Receiver(db, files, site, listening)
    running.start()
    try:
        yield Node(receiver=running, spool=files, db=db, rules=site)
    finally:
        running.stop()
        db.dispose()


def sqlite(home: pathlib.Path) -> str:
    """Make an empty SQLite database under `home` and return its URL."""
    url = f"sqlite:///{home / 'node.sqlite'}"
    session.upgrade(url)
    return url


def associate(port: int, *contexts: tuple[str, str], called: str = "CACTRIAGE") -> association.Association:
    """Open an association proposing (SOP class, transfer syntax) pairs."""
    entity = pynetdicom.AE(ae_title="SENDER")
    built = [pynetdicom.build_context(sop_class, syntax) for sop_class, syntax in contexts]
    return entity.associate("127.0.0.1", port, contexts=built, ae_title=called)


def until(met: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until a condition is met; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition was not met in time")
        time.sleep(0.02)
