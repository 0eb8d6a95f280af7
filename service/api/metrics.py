"""What a Prometheus server reads: how long flags take, step by step, and what waits. No patient data, no UIDs."""

import shutil
import threading

import fastapi

from service.api import deps, problems
from triage import errors, metrics
from triage.db import session, timings

router = fastapi.APIRouter(tags=["health"])

TOTAL_SECONDS = (2.5, 3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 60, 120, 300, 900)
STEP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5, 10, 30, 60, 300)
_LIVE = frozenset(timings.LIVE)


class Meter:
    """Count every run of the node that ends while this process lives, each once, whichever worker did it.

    Truth is in the rows, so workers need no metrics of their own. Counting begins at the first reading: what ended
    earlier was counted by the process before this one.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._lock = threading.Lock()
        self._known: set[int] = set()
        self._below: int | None = None  # every run up to here has ended and is dealt with
        self.total = metrics.Histogram(
            "cac_triage_time_to_flag_seconds", "From a series' last image to its flag.", TOTAL_SECONDS
        )
        self.steps = metrics.Histogram(
            "cac_triage_step_seconds", "What each step of the way to a flag took.", STEP_SECONDS
        )
        self.runs = metrics.Counter("cac_triage_runs_total", "Runs that ended, by outcome.")

    def read(self, db: session.Database) -> None:
        """Count the runs that have ended since the reading before; raises StorageError."""
        with self._lock:
            if self._below is None:
                self._below = timings.before_live(db)
                phases = timings.phases(db, self._below)
                self._known = {number for number, phase in phases.items() if phase not in _LIVE}
                return
            phases = timings.phases(db, self._below)
            ended = {number for number, phase in phases.items() if phase not in _LIVE}
            for run in timings.finished(db, ended - self._known):
                self._count(run)
            live = phases.keys() - ended
            self._below = min(live) - 1 if live else max(phases, default=self._below)
            self._known = {number for number in ended if number > self._below}

    def _count(self, run: timings.Finished) -> None:
        self.runs.add((("outcome", run.outcome.value),))
        if run.time_to_flag is not None:
            self.total.observe(run.time_to_flag)
        for step, seconds in run.steps(self._settle).items():
            self.steps.observe(seconds, (("step", step),))


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=fastapi.responses.PlainTextResponse,
    responses=problems.documented(),
)
def read_metrics(desk: deps.AtDesk, request: fastapi.Request) -> fastapi.Response:
    """Return histograms of the time to flag and of its steps, and gauges of what waits.

    Histograms count what ended while this process has been read; with several REST processes read one of them.
    """
    meter: Meter = request.app.state.meter
    meter.read(desk.db)
    families = [meter.total.family(), meter.steps.family(), meter.runs.family(), *_now(desk)]
    return fastapi.Response(metrics.render(families), media_type=metrics.CONTENT_TYPE)


def _now(desk: deps.Desk) -> list[metrics.Family]:
    waiting = timings.waiting(desk.db)
    oldest = 0.0 if waiting.oldest is None else max((desk.clock() - waiting.oldest).total_seconds(), 0.0)
    by_state: dict[metrics.Labels, float] = {
        (("state", state.value),): count for state, count in waiting.series.items()
    }
    try:
        free = shutil.disk_usage(desk.spool).free
    except OSError as exc:
        raise errors.StorageError(f"The spool is out of reach: {exc.strerror}.") from exc
    return [
        metrics.gauge("cac_triage_series", "Series by state; those that are done are not counted.", by_state),
        metrics.gauge("cac_triage_queued_runs", "Runs that wait for a worker.", {(): waiting.queued}),
        metrics.gauge("cac_triage_oldest_queued_seconds", "How long the first of them has waited.", {(): oldest}),
        metrics.gauge("cac_triage_spool_free_bytes", "Room in the spool.", {(): free}),
        metrics.gauge("cac_triage_agreed", "1 while `low` is served.", {(): deps.agreed(desk)}),
    ]
