"""Write rows together: whoever writes takes along all that wait, so many senders cost one commit."""

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable

from triage import domain, errors, rules
from triage.db import arrivals, session


@dataclasses.dataclass(kw_only=True, eq=False)
class _Waiting:
    instance: domain.Instance
    association: int | None
    failure: errors.StorageError | None = None


class Noter:
    """Note objects from many threads; each call returns once its own row is committed."""

    def __init__(self, db: session.Database, site: rules.Rules, clock: Callable[[], dt.datetime]) -> None:
        self._db = db
        self._rules = site
        self._clock = clock
        self._queue_lock = threading.Lock()
        self._writing = threading.Lock()
        self._queue: list[_Waiting] = []

    def note(self, instance: domain.Instance, association: int | None) -> None:
        """Commit the row of one object. Raises StorageError; then there is no row."""
        own = _Waiting(instance=instance, association=association)
        with self._queue_lock:
            self._queue.append(own)
        with self._writing:
            with self._queue_lock:
                batch, self._queue = self._queue, []
            if batch:  # empty: an earlier writer took this one along
                self._write(batch)
        if own.failure is not None:
            raise own.failure

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            pairs = [(waiting.instance, waiting.association) for waiting in batch]
            arrivals.note_many(self._db, pairs, self._rules, self._clock())
        except errors.StorageError as exc:
            if len(batch) == 1:
                batch[0].failure = exc
                return
            for waiting in batch:  # one row may be to blame: the others must not fail with it
                try:
                    self._write([waiting])
                except Exception as failure:
                    waiting.failure = errors.StorageError(f"the row could not be written: {type(failure).__name__}")
        except BaseException:
            for waiting in batch:
                waiting.failure = errors.StorageError("the rows could not be written")
            raise
