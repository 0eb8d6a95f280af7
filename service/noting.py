"""Write rows together: whoever writes takes along all that wait, so many senders cost one commit."""

import contextlib
import dataclasses
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator

from triage import domain, errors, logs, rules
from triage.db import arrivals, session

_log = logs.get(__name__)
_RETRY_SECONDS = 5.0
"""How long a database that failed is left alone: a sender must not wait for its time-outs at every object."""
_LONGEST_WAIT_SECONDS = 0.005
"""How long a writer waits for objects that are being stored meanwhile: a group costs little more than one row."""


@dataclasses.dataclass(kw_only=True, eq=False)
class _Waiting:
    instance: domain.Instance
    association: int | None
    done: bool = False
    failure: errors.StorageError | None = dataclasses.field(
        default_factory=lambda: errors.StorageError("the row was not written")
    )


class Expected:
    """Stand for one object that is expected to be noted."""

    def __init__(self, noter: "Noter") -> None:
        self._noter = noter
        self.taken = False

    def note(self, instance: domain.Instance, association: int | None) -> None:
        """Commit the object's row. Raises StorageError; then there is no row."""
        self._noter._note(self, _Waiting(instance=instance, association=association))


class Noter:
    """Note objects from many threads; each call returns once its own row is committed."""

    def __init__(self, db: session.Database, site: rules.Rules, clock: Callable[[], dt.datetime]) -> None:
        self._db = db
        self._rules = site
        self._clock = clock
        self._changed = threading.Condition()
        self._expected = 0
        self._queue: list[_Waiting] = []
        self._writing = False
        self._rests_until = 0.0

    @property
    def resting(self) -> bool:
        """Tell whether the database failed a moment ago, and is not to be asked."""
        return time.monotonic() < self._rests_until

    def let_rest(self, exc: errors.StorageError) -> None:
        """Leave the database alone for a while; one that answers, and refused one row, is not away."""
        if not isinstance(exc, session.Refused):
            self._rests_until = time.monotonic() + _RETRY_SECONDS
            _log.error("The database is out of reach; receiving goes on.", action="database_away", cause=str(exc))

    @contextlib.contextmanager
    def expecting(self) -> Iterator[Expected]:
        """Announce an object that will soon be noted or given up: whoever writes before may wait for it."""
        expected = Expected(self)
        with self._changed:
            self._expected += 1
        try:
            yield expected
        finally:
            with self._changed:
                self._settle(expected)

    def _settle(self, expected: Expected) -> None:
        if not expected.taken:
            expected.taken = True
            self._expected -= 1
            self._changed.notify_all()

    def _note(self, expected: Expected, own: _Waiting) -> None:
        with self._changed:
            self._queue.append(own)
            self._settle(expected)
            while not own.done:
                if self._writing:
                    self._changed.wait()
                else:
                    self._lead()
        if own.failure is not None:
            raise own.failure

    def _lead(self) -> None:
        """Write all that wait, and those that come at once; the lock is held before and after, not meanwhile."""
        self._writing = True
        self._changed.wait_for(lambda: self._expected == 0, _LONGEST_WAIT_SECONDS)
        batch, self._queue = self._queue, []
        self._changed.release()
        try:
            self._write(batch)
        finally:
            self._changed.acquire()
            for waiting in batch:
                waiting.done = True
            self._writing = False
            self._changed.notify_all()

    def _write(self, batch: list[_Waiting]) -> None:
        """Write all, or, where one row may be to blame, each alone; one that finds the database away ends that."""
        failure = self._attempt(batch)
        if isinstance(failure, session.Refused) and len(batch) > 1:
            for waiting in batch:
                self._write([waiting])
            return
        for waiting in batch:
            waiting.failure = failure

    def _attempt(self, batch: list[_Waiting]) -> errors.StorageError | None:
        if self.resting:  # since these have come
            return errors.StorageError("the database rests")
        try:
            pairs = [(waiting.instance, waiting.association) for waiting in batch]
            arrivals.note_many(self._db, pairs, self._rules, self._clock())
        except errors.StorageError as exc:
            self.let_rest(exc)
            return exc
        except Exception as exc:  # an odd row must fail alone, not with those beside it
            _log.exception("A row could not be written.", action="note_crashed")
            return session.Refused(f"the row could not be written: {type(exc).__name__}")
        return None
