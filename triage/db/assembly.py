"""What the assembler asks and says: what is arriving, what is complete, which runs need a ring or a new worker."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from cac import reasons
from triage import domain, eligibility, rules
from triage.db import flags, results, session, tables, transfers

AGREED_SECONDS = 30.0
"""An agreement older than this is no longer believed: the assembler that repeats it may be dead."""


def arriving(db: session.Database, now: dt.datetime, silent: float = 0.0) -> list[domain.SeriesSnapshot]:
    """Return every series that is arriving, with what completeness judges it by; all its images are read.

    `silent` leaves out those that got an image within so many seconds, of which nothing can be said yet.
    """
    with db.read() as open_session:
        query = sa.select(tables.Series).where(tables.Series.state == domain.SeriesState.RECEIVING)
        if silent > 0:
            query = query.where(tables.Series.last_image_at <= now - dt.timedelta(seconds=silent))
        series = list(open_session.scalars(query.order_by(tables.Series.last_image_at)))
        held = _instances(open_session, [one.series_instance_uid for one in series])
        sent = transfers.of_series(open_session, {one.series_instance_uid: one.images_received for one in series}, now)
        return [_snapshot(one, held[one.series_instance_uid], sent[one.series_instance_uid]) for one in series]


def settles_at(db: session.Database, now: dt.datetime, settle: float) -> dt.datetime | None:
    """Return when the next arriving series will have been silent for `settle` seconds; None where none is to be."""
    last = tables.Series.last_image_at
    with db.read() as open_session:
        first = open_session.scalar(
            sa.select(sa.func.min(last)).where(
                tables.Series.state == domain.SeriesState.RECEIVING, last > now - dt.timedelta(seconds=settle)
            )
        )
    return None if first is None else first + dt.timedelta(seconds=settle)


def complete(
    db: session.Database,
    snapshot: domain.SeriesSnapshot,
    missing: Sequence[reasons.Reason],
    site: rules.Rules,
    now: dt.datetime,
) -> bool:
    """End the waiting for a series; False when it moved since the snapshot.

    A series that its header rules out is DONE at once; any other gets a run, and `missing` goes with it.
    """

    def work(open_session: orm.Session) -> bool:
        study, series = flags.lock_series(open_session, snapshot.series_instance_uid)
        if series.state is not domain.SeriesState.RECEIVING or series.content_version != snapshot.content_version:
            return False
        held = _instances(open_session, [series.series_instance_uid])[series.series_instance_uid]
        series.content_hash = content_hash(held)
        counts = _counts(held)
        series.standing, series.standing_reasons = eligibility.standing(
            _headers(held, series.description), site.limits, unreadable=counts["unreadable"], aside=counts["aside"]
        )
        flags.move(series, domain.SeriesState.COMPLETE)
        if series.standing is domain.Standing.ELIGIBLE:
            doubts = (*missing, *_doubts(series, counts["unreadable"]))
            add_run(open_session, series, trigger=None, completeness=doubts, now=now)
        else:
            flags.move(series, domain.SeriesState.DONE)
        flags.refresh(open_session, study, site, now)
        return True

    return db.transact(work)


def due(db: session.Database, now: dt.datetime, ring_every: float, held: Callable[[], int] = lambda: 0) -> list[str]:
    """Return the series whose run waits and was not rung for lately (in seconds), and mark them as rung.

    `held` tells how many rings the broker still holds: as many runs as that need no second one. It is asked only
    where one seems to have been lost; a backlog would otherwise be rung for anew all the time.
    """
    run = results.Run
    waiting = (
        run.phase == domain.RunPhase.QUEUED,
        sa.or_(run.not_before.is_(None), run.not_before <= now),
    )
    with db.read() as open_session:
        rows = open_session.execute(
            sa.select(run.id, run.series_instance_uid, run.rung_at).where(*waiting).order_by(run.id)
        ).all()
    new = [(number, uid) for number, uid, rung in rows if rung is None]
    stale = [
        (number, uid)
        for number, uid, rung in rows
        if rung is not None and rung <= now - dt.timedelta(seconds=ring_every)
    ]
    if stale:
        stale = stale[: max(len(rows) - len(new) - held(), 0)]
    chosen = sorted(new + stale)
    if chosen:
        marked = sa.update(run).where(run.id.in_([number for number, _ in chosen]), run.phase == domain.RunPhase.QUEUED)
        db.transact(
            lambda open_session: open_session.execute(
                marked.values(rung_at=now).execution_options(synchronize_session=False)
            )
        )
    return list(dict.fromkeys(uid for _, uid in chosen))


def expire_leases(db: session.Database, now: dt.datetime, max_attempts: int, site: rules.Rules) -> list[str]:
    """Take runs from workers whose lease ran out: back to the queue, or FAILED after `max_attempts` leases."""
    run = results.Run
    expired = (run.phase == domain.RunPhase.RUNNING, sa.or_(run.lease_until.is_(None), run.lease_until < now))
    with db.read() as open_session:
        rows = open_session.execute(sa.select(run.id, run.series_instance_uid).where(*expired)).all()

    def take(open_session: orm.Session, run_id: int, series_uid: str) -> bool:
        study, series = flags.lock_series(open_session, series_uid)
        lost = open_session.get_one(results.Run, run_id, populate_existing=True)
        if lost.phase is not domain.RunPhase.RUNNING or (lost.lease_until is not None and lost.lease_until >= now):
            return False
        requeue_or_fail(series, lost, may_again=lost.attempt < max_attempts, now=now)
        flags.refresh(open_session, study, site, now)
        return True

    return [
        uid
        for number, uid in rows
        if db.transact(lambda open_session, number=number, uid=uid: take(open_session, number, uid))  # type: ignore[misc]
    ]


def agree(db: session.Database, boot_id: str, agreed: bool, now: dt.datetime) -> None:
    """Note whether spool and database agree, as the node's assembler found since its start."""

    def work(open_session: orm.Session) -> None:
        values = {"boot_id": boot_id, "agreed": agreed, "at": now}
        flags.insert_missing(open_session, tables.Node, [{"id": 1, **values}])
        open_session.execute(sa.update(tables.Node).where(tables.Node.id == 1).values(**values))

    db.transact(work)


def agreed(db: session.Database, now: dt.datetime) -> bool:
    """Tell whether spool and database were found to agree, and lately."""
    node = tables.Node.__table__.c
    with db.look() as connection:
        row = connection.execute(sa.select(node.agreed, node.at).where(node.id == 1)).one_or_none()
    return row is not None and row.agreed and abs((now - row.at).total_seconds()) < AGREED_SECONDS


def add_run(
    db: orm.Session,
    series: tables.Series,
    *,
    trigger: domain.RunTrigger | None,
    completeness: Sequence[reasons.Reason],
    now: dt.datetime,
) -> results.Run:
    """Add a queued run on the present content; without a trigger, whether it is the first says which."""
    past = flags.runs_of(db, [series.series_instance_uid])[series.series_instance_uid]
    run = results.Run(
        series_instance_uid=series.series_instance_uid,
        number=past[-1].number + 1 if past else 1,
        trigger=trigger or (domain.RunTrigger.LATE_IMAGES if past else domain.RunTrigger.IMAGES),
        phase=domain.RunPhase.QUEUED,
        content_hash=series.content_hash or "",
        completeness=tuple(completeness),
        attempt=0,
        created_at=now,
        worker="",
        lease_token="",
        outcome=domain.Outcome.PENDING,
        reasons=(),
        models_hash="",
        provider="",
        profile="",
        images=0,
        seconds={},
    )
    db.add(run)
    flags.move(series, domain.SeriesState.QUEUED)
    db.flush()
    return run


def requeue_or_fail(
    series: tables.Series,
    run: results.Run,
    *,
    may_again: bool,
    now: dt.datetime,
    not_before: dt.datetime | None = None,
    why: reasons.Reason | None = None,
) -> None:
    """Take a run from its worker: back to the queue, or, where it may not be tried again, FAILED."""
    run.lease_token, run.lease_until, run.rung_at = "", None, None
    if may_again:
        run.phase, run.not_before = domain.RunPhase.QUEUED, not_before
        flags.move(series, domain.SeriesState.QUEUED)
        return
    gave_up = reasons.reason(reasons.ReasonCode.OUT_OF_RETRIES, attempts=run.attempt)
    run.phase, run.outcome, run.ended_at = domain.RunPhase.FAILED, domain.Outcome.FAILED, now
    run.reasons = (why,) if why is not None else (gave_up,)
    flags.move(series, domain.SeriesState.FAILED)


def content_hash(instances: Iterable[tables.Instance]) -> str:
    """Return the hash of what a series consists of: its objects' UIDs, bytes and kinds, in any order."""
    lines = sorted(f"{one.sop_instance_uid} {one.sha256} {one.kind.value}" for one in instances)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _instances(db: orm.Session, series_uids: Sequence[str]) -> defaultdict[str, list[tables.Instance]]:
    held: defaultdict[str, list[tables.Instance]] = defaultdict(list)
    query = sa.select(tables.Instance).where(tables.Instance.series_instance_uid.in_(series_uids))
    for one in db.scalars(query.order_by(tables.Instance.sop_instance_uid)):
        held[one.series_instance_uid].append(one)
    return held


def _counts(held: Sequence[tables.Instance]) -> dict[str, int]:
    return {kind.value: sum(one.kind is kind for one in held) for kind in domain.InstanceKind}


def _doubts(series: tables.Series, unreadable: int) -> list[reasons.Reason]:
    doubts = []
    if unreadable:
        doubts.append(reasons.reason(reasons.ReasonCode.UNREADABLE_IMAGE, count=unreadable))
    if series.in_two_studies:
        doubts.append(reasons.reason(reasons.ReasonCode.SERIES_IN_TWO_STUDIES))
    return doubts


def _snapshot(
    series: tables.Series, held: Sequence[tables.Instance], sent: transfers.Transfers
) -> domain.SeriesSnapshot:
    counts = _counts(held)
    return domain.SeriesSnapshot(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        content_version=series.content_version,
        last_image_at=series.last_image_at,
        poses=tuple(_pose(one) for one in held if one.kind is domain.InstanceKind.IMAGE),
        headers=_headers(held, series.description),
        images=counts["image"],
        unreadable=counts["unreadable"],
        aside=counts["aside"],
        other=counts["other"],
        declared=series.declared_images,
        open_last_images=sent.open_last_images,
        aborted=sent.aborted,
    )


def _pose(one: tables.Instance) -> domain.Pose:
    return domain.Pose(
        position=one.position,  # type: ignore[arg-type]
        orientation=one.orientation,  # type: ignore[arg-type]
        pixel_spacing=one.pixel_spacing,  # type: ignore[arg-type]
        rows=one.rows,
        columns=one.columns,
        thickness=one.thickness,
    )


def _headers(held: Sequence[tables.Instance], description: str) -> tuple[domain.HeaderFacts, ...]:
    """Return the different headers among the images."""
    facts = (
        domain.HeaderFacts(
            sop_class_uid=one.sop_class_uid,
            modality=one.modality,
            image_type=one.image_type,
            orientation=one.orientation,  # type: ignore[arg-type]
            thickness=one.thickness,
            kvp=one.kvp,
            kernel=one.kernel,
            contrast_agent=one.contrast_agent,
            lossy=one.lossy,
            rescale_present=one.rescale_present,
            rescale_type=one.rescale_type,
            frame_of_reference_uid=one.frame_of_reference_uid,
            acquisition=one.acquisition,
            description=description,
        )
        for one in held
        if one.kind is domain.InstanceKind.IMAGE
    )
    return tuple(dict.fromkeys(facts))
