"""Which transfers are open: rows that tell the assembler whether a sender may still have images."""

import datetime as dt
import os
import socket
import threading
import uuid
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
        self._heard = True

    def row_of(self, association: threading.Thread, calling: str) -> int | None:
        """Return the association's row, made at its first object; None while the database is away."""
        with self._lock:
            row = self._open.get(association)
        if row is None:
            try:
                row = arrivals.open_association(self._db, self._listener, calling, self._clock())
            except errors.StorageError:
                return None
            with self._lock:
                self._open[association] = row
        return row

    def ended(self, association: threading.Thread, *, aborted: bool) -> None:
        """Close the association's row, if it has one."""
        with self._lock:
            row = self._open.pop(association, None)
            if row is not None:
                self._closing[row] = aborted
        if row is not None:
            self._write_closings()

    def beat(self) -> None:
        """Say that this listener lives, and close the rows of associations that ended unheard."""
        with self._lock:
            lost = [association for association in self._open if not association.is_alive()]
        for association in lost:
            self.ended(association, aborted=True)
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
        for association in still:
            self.ended(association, aborted=True)

    def _write_closings(self) -> None:
        with self._lock:
            closing, self._closing = self._closing, {}
        for row, aborted in closing.items():
            try:
                arrivals.close_association(self._db, row, aborted, self._clock())
            except errors.StorageError:
                with self._lock:
                    self._closing[row] = aborted
