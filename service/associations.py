"""Which transfers are open: rows that tell the assembler whether a sender may still have images."""

import datetime as dt
import os
import socket
import threading
import uuid
import weakref
from collections.abc import Callable

from triage import errors, logs
from triage.db import arrivals, session

_log = logs.get(__name__)


def listener_name() -> str:
    """Return a name no other process has or will have: a restarted listener's old transfers must count as broken."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{uuid.uuid4().hex}"


class Associations:
    """Keep one row for each association that has sent an object; safe to call from any thread.

    A row that cannot be written is tried again at the next beat, so that a database outage costs nothing else.
    """

    def __init__(self, db: session.Database, listener: str, clock: Callable[[], dt.datetime]) -> None:
        self._db = db
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, int] = {}
        self._closing: dict[int, bool] = {}
        self._making: weakref.WeakKeyDictionary[threading.Thread, threading.Lock] = weakref.WeakKeyDictionary()
        self._heard = True

    def row_of(self, association: threading.Thread, calling: str) -> int:
        """Return the association's row, made at its first object, once. Raises StorageError."""
        with self._lock:
            making = self._making.setdefault(association, threading.Lock())
        with making:
            with self._lock:
                row = self._open.get(association)
            if row is None:
                row = arrivals.open_association(self._db, self._listener, calling, self._clock())
                with self._lock:
                    self._open[association] = row
        return row

    def ended(self, *gone: threading.Thread, aborted: bool) -> None:
        """Close the associations' rows, of those that have one."""
        with self._lock:
            rows = [row for one in gone if (row := self._open.pop(one, None)) is not None]
            self._closing.update(dict.fromkeys(rows, aborted))
        if rows:
            self._write_closings()

    def beat(self) -> None:
        """Say that this listener lives, and close the rows of associations that ended unheard."""
        with self._lock:
            lost = [association for association in self._open if not association.is_alive()]
        self.ended(*lost, aborted=True)
        try:
            arrivals.heartbeat(self._db, self._listener, self._clock())
        except errors.StorageError as exc:
            if self._heard:  # said once, not at every beat
                why = str(exc)
                _log.warning("The listener's sign of life cannot be written.", action="heartbeat_failed", cause=why)
            self._heard = False
            return
        self._heard = True
        self._write_closings()

    def end_all(self) -> None:
        """Close every row still open as broken off; the listener is going."""
        with self._lock:
            still = list(self._open)
        self.ended(*still, aborted=True)

    def _write_closings(self) -> None:
        with self._lock:
            closing, self._closing = self._closing, {}
        try:
            while closing:
                row, aborted = next(iter(closing.items()))
                arrivals.close_association(self._db, row, aborted, self._clock())
                del closing[row]
        except errors.StorageError:  # the rest would wait for the database as long
            with self._lock:
                self._closing.update(closing)
