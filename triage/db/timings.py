"""How long flags take and where the time goes, read from the rows of finished runs; and what waits now."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from triage import domain
from triage.db import results, runs, session, tables

BY_IMAGES = frozenset({domain.RunTrigger.IMAGES, domain.RunTrigger.LATE_IMAGES})
LIVE = (domain.RunPhase.QUEUED, domain.RunPhase.RUNNING)
UNDER_WAY = tuple(state for state in domain.SeriesState if state is not domain.SeriesState.DONE)
_CHUNK = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """Hold a run that gave its series an end.

    `arrived_at` is when the last image came; None where a person asked for the run, or images came after it was
    made. `seconds` is what the worker measured, by step; those of failed runs are empty.
    """

    id: int
    outcome: domain.Outcome
    arrived_at: dt.datetime | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime
    seconds: Mapping[str, float]

    @property
    def time_to_flag(self) -> float | None:
        """Return the seconds from the last image to the flag's commit."""
        if self.arrived_at is None:
            return None
        return _between(self.arrived_at, self.ended_at) + self.seconds.get(runs.DATABASE, 0.0)

    def steps(self, settle: float) -> dict[str, float]:
        """Return each step's seconds, in order; together they are the time to flag.

        `settle` is the settle time in force, `assemble` what the assembler took on top of it (its round, and
        waiting for a sender or for missing images), `queue` the ring and the wait for a free worker, `other` what
        the worker's own steps leave of its time, earlier attempts with it.
        """
        found: dict[str, float] = {}
        if self.arrived_at is not None:
            waited = _between(self.arrived_at, self.created_at)
            found |= {"settle": min(waited, settle), "assemble": max(waited - settle, 0.0)}
        started = self.started_at or self.ended_at
        found["queue"] = _between(self.created_at, started)
        inner = {name: seconds for name, seconds in self.seconds.items() if name != runs.DATABASE}
        rest = {"other": max(_between(started, self.ended_at) - sum(inner.values()), 0.0)}
        last = {name: seconds for name, seconds in self.seconds.items() if name == runs.DATABASE}
        return {**found, **inner, **rest, **last}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiting:
    """Hold what is under way: series by state (without those done), queued runs, and since when the first waits."""

    series: Mapping[domain.SeriesState, int]
    queued: int
    oldest: dt.datetime | None


def phases(db: session.Database, above: int) -> Mapping[int, domain.RunPhase]:
    """Return the phase of every run whose number in the database is higher."""
    with db.read() as open_session:
        query = sa.select(results.Run.id, results.Run.phase).where(results.Run.id > above)
        return dict(open_session.execute(query).all())


def before_live(db: session.Database) -> int:
    """Return the number below every run that waits or runs, and below every run to come."""
    number = results.Run.id
    with db.read() as open_session:
        first = open_session.scalar(sa.select(sa.func.min(number)).where(results.Run.phase.in_(LIVE)))
        newest = open_session.scalar(sa.select(sa.func.max(number))) or 0
    return newest if first is None else first - 1


def finished(db: session.Database, numbers: Collection[int]) -> list[Finished]:
    """Return those of the runs that are done or failed, by number."""
    run, series, wanted = results.Run, tables.Series, sorted(numbers)
    found: list[Finished] = []
    with db.read() as open_session:
        for start in range(0, len(wanted), _CHUNK):
            query = (
                sa.select(run, series.last_image_at)
                .join(series, series.series_instance_uid == run.series_instance_uid)
                .where(run.id.in_(wanted[start : start + _CHUNK]))
                .where(run.phase.in_((domain.RunPhase.DONE, domain.RunPhase.FAILED)))
                .order_by(run.id)
            )
            found += [_finished(one, last) for one, last in open_session.execute(query)]
    return found


def waiting(db: session.Database) -> Waiting:
    """Return what is under way. Series that are done are not counted: that grows with the archive."""
    run, series = results.Run, tables.Series
    with db.read() as open_session:
        by_state = sa.select(series.state, sa.func.count()).where(series.state.in_(UNDER_WAY)).group_by(series.state)
        states = dict(open_session.execute(by_state).all())
        queued, oldest = open_session.execute(
            sa.select(sa.func.count(), sa.func.min(run.created_at)).where(run.phase == domain.RunPhase.QUEUED)
        ).one()
    return Waiting(
        series={**dict.fromkeys(UNDER_WAY, 0), **states},
        queued=queued,
        oldest=oldest,
    )


def _finished(run: results.Run, last_image_at: dt.datetime) -> Finished:
    by_images = run.trigger in BY_IMAGES and last_image_at <= run.created_at
    return Finished(
        id=run.id,
        outcome=run.outcome,
        arrived_at=last_image_at if by_images else None,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at or run.created_at,
        seconds=run.seconds,
    )


def _between(first: dt.datetime, second: dt.datetime) -> float:
    return max((second - first).total_seconds(), 0.0)
