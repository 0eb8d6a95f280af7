"""Runs: leased by one worker at a time, finished in one transaction with the flag, never overwritten."""

import dataclasses
import datetime as dt
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from cac import reasons
from triage import domain, errors, rules
from triage.db import assembly, flags, results, session, tables

DATABASE = "database"
"""The step of a run that follows its `ended_at`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredImage:
    """Name one stored object; `path` is relative to the spool."""

    path: str
    sop_instance_uid: str
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunInputs:
    """Hold what a run reads. A copy in `aside` has the UID of an image, which may be missing among `images`."""

    images: tuple[StoredImage, ...]
    aside: tuple[StoredImage, ...]
    unreadable: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Hold a run as it stands; `candidates` and `lesions` are filled by `get` alone."""

    id: int
    series_instance_uid: str
    number: int
    trigger: domain.RunTrigger
    phase: domain.RunPhase
    content_hash: str
    completeness: tuple[reasons.Reason, ...]
    attempt: int
    created_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    worker: str
    outcome: domain.Outcome
    reasons: tuple[reasons.Reason, ...]
    models_hash: str
    provider: str
    profile: str
    agatston: float | None
    category: str | None
    cac_drs: str | None
    volume_mm3: float | None
    mass_mg: float | None
    images: int
    seconds: Mapping[str, float]
    segmentation_path: str | None
    segmentation_uid: str | None
    preview_path: str | None
    candidates: tuple[Mapping[str, Any], ...] = ()
    lesions: tuple[Mapping[str, Any], ...] = ()


def lease(db: session.Database, series_uid: str, worker: str, seconds: float, now: dt.datetime) -> domain.Ticket | None:
    """Lease the series' queued run for so many seconds; None when there is nothing to do."""

    def work(open_session: orm.Session) -> domain.Ticket | None:
        try:
            _, series = flags.lock_series(open_session, series_uid)
        except errors.NotFound:
            return None
        past = flags.runs_of(open_session, [series_uid])[series_uid]
        run = past[-1] if past else None
        if run is None or run.phase is not domain.RunPhase.QUEUED or (run.not_before and run.not_before > now):
            return None
        run.phase, run.worker, run.attempt = domain.RunPhase.RUNNING, worker, run.attempt + 1
        run.started_at = run.started_at or now
        run.lease_token, run.lease_until = secrets.token_hex(16), now + dt.timedelta(seconds=seconds)
        flags.move(series, domain.SeriesState.RUNNING)
        return domain.Ticket(
            run_id=run.id,
            series_instance_uid=series_uid,
            study_instance_uid=series.study_instance_uid,
            content_hash=run.content_hash,
            trigger=run.trigger,
            attempt=run.attempt,
            lease_token=run.lease_token,
            completeness=run.completeness,
        )

    return db.transact(work)


def renew(db: session.Database, ticket: domain.Ticket, seconds: float, now: dt.datetime) -> None:
    """Lengthen a lease; raises LeaseLost when the run is no longer this worker's."""

    def work(open_session: orm.Session) -> bool:
        renewed = open_session.execute(
            sa.update(results.Run)
            .where(
                results.Run.id == ticket.run_id,
                results.Run.phase == domain.RunPhase.RUNNING,
                results.Run.lease_token == ticket.lease_token,
            )
            .values(lease_until=now + dt.timedelta(seconds=seconds))
            .execution_options(synchronize_session=False)
        )
        return bool(renewed.rowcount)  # type: ignore[attr-defined]

    if not db.transact(work):
        raise errors.LeaseLost("the run is no longer this worker's")


def inputs(db: session.Database, ticket: domain.Ticket) -> RunInputs:
    """Return what the run reads; raises LeaseLost when the series holds other objects by now."""
    with db.read() as open_session:
        query = sa.select(tables.Instance).where(tables.Instance.series_instance_uid == ticket.series_instance_uid)
        held = list(open_session.scalars(query.order_by(tables.Instance.sop_instance_uid, tables.Instance.variant)))
        if assembly.content_hash(held) != ticket.content_hash:
            raise errors.LeaseLost("the series holds other images by now")
        return RunInputs(
            images=_stored(held, domain.InstanceKind.IMAGE),
            aside=_stored(held, domain.InstanceKind.ASIDE),
            unreadable=sum(one.kind is domain.InstanceKind.UNREADABLE for one in held),
        )


def finish(
    db: session.Database, ticket: domain.Ticket, result: domain.RunResult, site: rules.Rules, now: dt.datetime
) -> None:
    """Write a run's result, its candidates and lesions, and the study's flag, all or nothing.

    Raises LeaseLost, and writes nothing, when the run is no longer this worker's or late images made it old.
    `seconds` gets `database`: from `now` to the commit, waiting for other writers with it.
    """
    began = time.perf_counter()

    def work(open_session: orm.Session) -> None:
        study, series, run = _own(open_session, ticket)
        outcome, why = _bounded(run, result)
        for name in _COPIED:
            setattr(run, name, getattr(result, name))
        run.outcome, run.reasons = outcome, why
        run.phase, run.ended_at = domain.RunPhase.DONE, now
        run.lease_token, run.lease_until = "", None
        if result.candidates:
            rows = [results.candidate_row(run.id, one) for one in result.candidates]
            open_session.execute(sa.insert(results.Candidate.__table__), rows)  # type: ignore[arg-type]
        open_session.add_all(results.lesion_row(run.id, one) for one in result.lesions)
        failed = outcome is domain.Outcome.FAILED
        flags.move(series, domain.SeriesState.FAILED if failed else domain.SeriesState.DONE)
        flags.refresh(open_session, study, site, now)
        run.seconds = {**result.seconds, DATABASE: time.perf_counter() - began}

    db.transact(work)


def give_back(
    db: session.Database,
    ticket: domain.Ticket,
    reason: reasons.Reason,
    *,
    retriable: bool,
    max_attempts: int,
    backoff: float,
    rules: rules.Rules,
    now: dt.datetime,
) -> None:
    """Give a run back unfinished: queued again after `backoff` seconds, or FAILED with the reason for good.

    Raises LeaseLost when the run is no longer this worker's.
    """
    site = rules

    def work(open_session: orm.Session) -> None:
        study, series, run = _own(open_session, ticket)
        again = retriable and run.attempt < max_attempts
        later = now + dt.timedelta(seconds=backoff)
        assembly.requeue_or_fail(series, run, may_again=again, now=now, not_before=later, why=reason)
        flags.refresh(open_session, study, site, now)

    db.transact(work)


def request_again(
    db: session.Database,
    series_uid: str,
    now: dt.datetime,
    trigger: domain.RunTrigger = domain.RunTrigger.PERSON,
) -> int:
    """Queue another run on the same images; return its number in the database.

    One that already waits or runs is returned as it is. Raises NotFound where the series has never been run: it
    is unknown, still arriving, or ruled out by its header.
    """

    def work(open_session: orm.Session) -> int:
        study, series = flags.lock_series(open_session, series_uid)
        past = flags.runs_of(open_session, [series_uid])[series_uid]
        if not past or series.content_hash != past[-1].content_hash:
            raise errors.NotFound("the series has no run on its present images")
        newest = past[-1]
        if newest.phase in (domain.RunPhase.QUEUED, domain.RunPhase.RUNNING):
            return newest.id
        run = assembly.add_run(open_session, series, trigger=trigger, completeness=newest.completeness, now=now)
        flags.withdraw(open_session, study, now)
        return run.id

    return db.transact(work)


def of_series(db: session.Database, series_uid: str) -> list[RunRecord]:
    """Return the runs of a series, oldest first; raises NotFound where the series is unknown."""
    with db.read() as open_session:
        if open_session.get(tables.Series, series_uid) is None:
            raise errors.NotFound("no such series is known")
        return [record(run) for run in flags.runs_of(open_session, [series_uid])[series_uid]]


def get(db: session.Database, run_id: int) -> RunRecord:
    """Return a run with its candidates and lesions; raises NotFound."""
    with db.read() as open_session:
        run = open_session.get(results.Run, run_id)
        if run is None:
            raise errors.NotFound("no such run is known")
        candidates = open_session.scalars(
            sa.select(results.Candidate).where(results.Candidate.run_id == run_id).order_by(results.Candidate.number)
        )
        lesions = open_session.scalars(
            sa.select(results.Lesion).where(results.Lesion.run_id == run_id).order_by(results.Lesion.number)
        )
        return dataclasses.replace(
            record(run),
            candidates=tuple(results.candidate_values(one) for one in candidates),
            lesions=tuple(results.lesion_values(one) for one in lesions),
        )


def record(run: results.Run) -> RunRecord:
    """Return a run's row as a record, without candidates and lesions."""
    names = [field.name for field in dataclasses.fields(RunRecord) if field.name not in ("candidates", "lesions")]
    return RunRecord(**{name: getattr(run, name) for name in names})


_COPIED = (
    *("models_hash", "provider", "profile", "agatston", "category", "cac_drs", "volume_mm3", "mass_mg", "images"),
    *("segmentation_path", "segmentation_uid", "preview_path"),
)


def _own(db: orm.Session, ticket: domain.Ticket) -> tuple[tables.Study, tables.Series, results.Run]:
    """Lock the study and return what the ticket stands for; raises LeaseLost."""
    study, series = flags.lock_series(db, ticket.series_instance_uid)
    run = db.get(results.Run, ticket.run_id, populate_existing=True)
    if (
        run is None
        or run.phase is not domain.RunPhase.RUNNING
        or run.lease_token != ticket.lease_token
        or series.state is not domain.SeriesState.RUNNING
        or series.content_hash != run.content_hash
    ):
        raise errors.LeaseLost("the run is no longer this worker's, or its images changed")
    return study, series, run


def _bounded(run: results.Run, result: domain.RunResult) -> tuple[domain.Outcome, tuple[reasons.Reason, ...]]:
    """Let no negative stand on an incomplete series, whatever the worker says."""
    if result.outcome is domain.Outcome.PENDING:
        return domain.Outcome.FAILED, result.reasons
    if result.outcome is domain.Outcome.ABSENT and run.completeness:
        return domain.Outcome.INDETERMINATE, tuple(dict.fromkeys((*run.completeness, *result.reasons)))
    return result.outcome, result.reasons


def _stored(held: Sequence[tables.Instance], kind: domain.InstanceKind) -> tuple[StoredImage, ...]:
    return tuple(
        StoredImage(path=one.path, sop_instance_uid=one.sop_instance_uid, sha256=one.sha256)
        for one in held
        if one.kind is kind
    )
