"""The assembler: judges which series are complete, queues them, rings for them, and makes good what a crash left."""

import dataclasses
import datetime as dt
import signal
import threading
import uuid
from collections.abc import Callable

from service import reconcile
from triage import completeness, domain, eligibility, errors, logs, queue, rules, settings, spool
from triage.db import assembly, session

_log = logs.get(__name__)
_ROUND_SECONDS = 0.5
_SHORTEST_PAUSE_SECONDS = 0.02
_AGREE_SECONDS = 5.0
"""How often an unchanged agreement is said again: each is a commit, and its reader believes it for 30 s."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """Hold the waiting times, in seconds, and how often a run may be tried."""

    settle: float = 2.0
    quiet: float = 20.0
    ring_every: float = 10.0
    max_attempts: int = 4


class Assembler:
    """Do one round of work at each `tick`; every round starts from the database, so a crash loses none."""

    def __init__(
        self,
        db: session.Database,
        files: spool.Spool,
        ring: queue.Doorbell,
        site: rules.Rules,
        timing: Timing,
        held: queue.HeldRings = lambda: 0,
    ) -> None:
        self._db = db
        self._spool = files
        self._ring = ring
        self._held = held
        self._rules = site
        self._timing = timing
        self._boot = uuid.uuid4().hex
        self._reconciled = False
        self._said: tuple[bool, dt.datetime] | None = None
        self._failing: dict[str, str] = {}

    def tick(self, now: dt.datetime) -> None:
        """Do what is due at `now`; never raises. A step that fails is done again in the next round, and logged once."""
        steps: list[Callable[[dt.datetime], None]] = [self._agree, self._judge, self._expire, self._ring_due]
        for step in steps:
            try:
                step(now)
            except errors.TriageError as exc:
                self._failed(step.__name__, str(exc))
            except Exception:  # one step must not keep the others from their work
                _log.exception("A step of the assembler crashed.", action="step_crashed", step=step.__name__)
            else:
                if self._failing.pop(step.__name__, None):
                    _log.info("A step of the assembler works again.", action="step_works", step=step.__name__)

    def _failed(self, step: str, cause: str) -> None:
        if self._failing.get(step) != cause:
            _log.warning("A step of the assembler failed.", action="step_failed", step=step, cause=cause)
        self._failing[step] = cause

    def pause(self, began: dt.datetime, now: dt.datetime) -> float:
        """Return how long to rest after the round that `began`, in seconds: no longer than until a series settles.

        One that settled during the round is due at once: the round may have looked too early to see it.
        """
        try:
            due = assembly.settles_at(self._db, began, self._timing.settle)
        except errors.StorageError:
            due = None
        left = _ROUND_SECONDS if due is None else (due - now).total_seconds()
        return min(max(left, _SHORTEST_PAUSE_SECONDS), _ROUND_SECONDS)

    def _agree(self, now: dt.datetime) -> None:
        """Say whether spool and database agree: not before a start's reconciliation, nor while objects wait unnoted."""
        if self._said is None:
            self._say(False, now)
        if not self._reconciled:
            reconcile.spool_into_database(self._db, self._spool, self._rules, now)
            self._reconciled = True
        waiting = reconcile.unnoted(self._db, self._spool, self._rules, now)
        agreed = waiting == 0
        # The clock may have been set back: then, too, the agreement has to be said anew.
        if (
            self._said is None
            or self._said[0] != agreed
            or abs((now - self._said[1]).total_seconds()) >= _AGREE_SECONDS
        ):
            self._say(agreed, now)
        if waiting:
            raise errors.StorageError(f"{waiting} objects kept earlier cannot be noted yet")

    def _say(self, agreed: bool, now: dt.datetime) -> None:
        assembly.agree(self._db, self._boot, agreed, now)
        self._said = (agreed, now)

    def _judge(self, now: dt.datetime) -> None:
        for snapshot in assembly.arriving(self._db, now, self._timing.settle):
            hopeless = eligibility.hopeless(snapshot, self._rules.limits)
            verdict = completeness.judge(snapshot, now, self._timing.settle, self._timing.quiet, hopeless=hopeless)
            if verdict.decision is not completeness.Decision.COMPLETE:
                continue
            if assembly.complete(self._db, snapshot, verdict.reasons, self._rules, now):
                _log.info(
                    "A series is complete.",
                    action="complete",
                    series=snapshot.series_instance_uid,
                    reasons=[reason.code.value for reason in verdict.reasons],
                )

    def _expire(self, now: dt.datetime) -> None:
        for series in assembly.expire_leases(self._db, now, self._timing.max_attempts, self._rules):
            _log.warning("A worker let its lease run out.", action="lease_expired", series=series)

    def _ring_due(self, now: dt.datetime) -> None:
        for series in assembly.due(self._db, now, self._timing.ring_every, self._held):
            self._ring(series)
            _log.debug("Rang for a series.", action="rang", series=series)


def timing_of(config: settings.Settings) -> Timing:
    """Take from the settings what the assembler needs."""
    return Timing(settle=config.settle_seconds, quiet=config.quiet_seconds, max_attempts=config.max_attempts)


def run(config: settings.Settings, stop: threading.Event | None = None) -> None:
    """Assemble until SIGTERM or SIGINT, or until `stop` is set by a caller that minds the signals itself."""
    db = session.Database(config.database)
    app = queue.make_app(config.broker_url, config.home, task_seconds=config.task_seconds)
    site = rules.from_settings(config)
    files, ring, held = spool.Spool(config.spool), queue.doorbell(app), queue.held_rings(app)
    assembler = Assembler(db, files, ring, site, timing_of(config), held)
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    try:
        while not stop.is_set():
            began = domain.utc_now()
            assembler.tick(began)
            stop.wait(assembler.pause(began, domain.utc_now()))
    finally:
        db.dispose()
