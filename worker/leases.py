"""A lease kept alive while its work goes on: a dead process renews nothing, and the run goes elsewhere."""

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator

from triage import domain, errors, logs
from triage.db import runs, session

BEATS = 3
"""Renewals in one lease time: two may fail before the lease is lost."""

log = logs.get(__name__)


@contextlib.contextmanager
def kept(
    db: session.Database, ticket: domain.Ticket, seconds: float, clock: Callable[[], dt.datetime]
) -> Iterator[None]:
    """Renew a lease in the background for as long as the block runs."""
    done = threading.Event()
    beat = threading.Thread(target=_renew, args=(db, ticket, seconds, clock, done), name="lease", daemon=True)
    beat.start()
    try:
        yield
    finally:
        done.set()
        beat.join()


def _renew(
    db: session.Database,
    ticket: domain.Ticket,
    seconds: float,
    clock: Callable[[], dt.datetime],
    done: threading.Event,
) -> None:
    while not done.wait(seconds / BEATS):
        try:
            runs.renew(db, ticket, seconds, clock())
        except errors.LeaseLost:
            return  # finishing will say so
        except errors.StorageError:
            log.warning("The lease could not be renewed.", action="lease_not_renewed", run=ticket.run_id)
