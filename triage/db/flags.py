"""The flag of a study: decided anew from the rows, written by one conditional UPDATE, numbered in order of change."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql, sqlite

from cac import reasons
from triage import domain, eligibility, errors, flagging, rules
from triage.db import results, session, tables

_DOUBTED = frozenset({domain.Outcome.PRESENT, domain.Outcome.INDETERMINATE})
_LIVE = (domain.RunPhase.QUEUED, domain.RunPhase.RUNNING)


def lock(db: orm.Session, study_uids: Iterable[str]) -> dict[str, tables.Study]:
    """Lock studies, always in the order of their UIDs: the first thing a transaction does that changes anything."""
    query = (
        sa.select(tables.Study)
        .where(tables.Study.study_instance_uid.in_(sorted(set(study_uids))))
        .order_by(tables.Study.study_instance_uid)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {study.study_instance_uid: study for study in db.scalars(query)}


def lock_series(db: orm.Session, series_uid: str) -> tuple[tables.Study, tables.Series]:
    """Lock the study of a series, then read the series; raises NotFound."""
    study_uid = db.scalar(
        sa.select(tables.Series.study_instance_uid).where(tables.Series.series_instance_uid == series_uid)
    )
    if study_uid is None:
        raise errors.NotFound("no such series is known")
    study = lock(db, [study_uid])[study_uid]
    return study, db.get_one(tables.Series, series_uid, populate_existing=True)


def move(series: tables.Series, state: domain.SeriesState) -> None:
    """Bring a series into another state; only along the table of transitions."""
    if state not in domain.TRANSITIONS[series.state]:
        raise RuntimeError(f"a series cannot go from {series.state} to {state}")
    series.state = state


def refresh(db: orm.Session, study: tables.Study, site: rules.Rules, now: dt.datetime) -> None:
    """Decide a locked study's flag anew; write and number it if it changed. Raises Crossed if it moved meanwhile."""
    db.flush()
    series, votes = votes_of(db, study)
    flag = flagging.decide(_facts(study, series, votes, site), votes, high_from_agatston=site.high_from_agatston)
    write(db, study, flag, now)


def withdraw(db: orm.Session, study: tables.Study, now: dt.datetime) -> None:
    """Bring a locked study back to routine and pending: a run of it waits."""
    db.flush()
    waiting = reasons.reason(reasons.ReasonCode.WAITING)
    flag = domain.Flag(priority=domain.Priority.ROUTINE, outcome=domain.Outcome.PENDING, reasons=(waiting,))
    write(db, study, flag, now)


def write(db: orm.Session, study: tables.Study, flag: domain.Flag, now: dt.datetime) -> None:
    """Write and number a flag if it differs; raises Crossed when the study is not the one it was decided on."""
    if flag == current(study):
        return
    written = db.execute(
        sa.update(tables.Study)
        .where(
            tables.Study.study_instance_uid == study.study_instance_uid,
            tables.Study.content_version == study.content_version,
            tables.Study.flag_version == study.flag_version,
        )
        .values(
            priority=flag.priority,
            outcome=flag.outcome,
            reasons=flag.reasons,
            agatston=flag.agatston,
            category=flag.category,
            flag_version=tables.Study.flag_version + 1,
            flag_updated_at=now,
            change_number=next_change(db),
        )
        .execution_options(synchronize_session=False)
    )
    if written.rowcount != 1:  # type: ignore[attr-defined]
        raise session.Crossed("the study moved while its flag was decided")
    db.refresh(study)
    follow(db, study)


def follow(db: orm.Session, study: tables.Study) -> None:
    """Bring what the words of a locked study's patient's name repeat of it to what it is now."""
    db.execute(
        sa.update(tables.PatientWord)
        .where(tables.PatientWord.study_instance_uid == study.study_instance_uid)
        .values(priority=study.priority, outcome=study.outcome, study_date=study.study_date)
        .execution_options(synchronize_session=False)
    )


def next_change(db: orm.Session) -> int:
    """Return the number of this transaction's change; the row stays locked to the commit."""
    value = db.scalar(
        sa.update(tables.Counter)
        .where(tables.Counter.name == "flag")
        .values(value=tables.Counter.value + 1)
        .returning(tables.Counter.value)
        .execution_options(synchronize_session=False)
    )
    if value is None:
        raise errors.StorageError("the counter of changes is missing")
    return value


def current(study: tables.Study) -> domain.Flag:
    """Return the flag that stands in the row."""
    return domain.Flag(
        priority=study.priority,
        outcome=study.outcome,
        reasons=study.reasons,
        agatston=study.agatston,
        category=study.category,
    )


def votes_of(db: orm.Session, study: tables.Study) -> tuple[list[tables.Series], list[domain.SeriesVote]]:
    """Return a study's series and what each contributes, in the order of their UIDs."""
    uid = study.study_instance_uid
    series = list(
        db.scalars(
            sa.select(tables.Series)
            .where(tables.Series.study_instance_uid == uid)
            .order_by(tables.Series.series_instance_uid)
        )
    )
    all_runs = runs_of(db, [one.series_instance_uid for one in series])
    standings = standings_of(series)
    return series, [_vote(one, standings[one.series_instance_uid], all_runs[one.series_instance_uid]) for one in series]


def runs_of(db: orm.Session, series_uids: Sequence[str]) -> Mapping[str, list[results.Run]]:
    """Return the runs of each series, oldest first."""
    found: defaultdict[str, list[results.Run]] = defaultdict(list)
    if series_uids:
        query = sa.select(results.Run).where(results.Run.series_instance_uid.in_(series_uids))
        for run in db.scalars(query.order_by(results.Run.number)):
            found[run.series_instance_uid].append(run)
    return found


def standings_of(series: Sequence[tables.Series]) -> Mapping[str, domain.Standing]:
    """Say what each series of a study counts for among the others."""
    return eligibility.among(
        [
            eligibility.Own(
                series_instance_uid=one.series_instance_uid,
                standing=one.standing,
                reasons=one.standing_reasons,
                frame_of_reference_uid=one.frame_of_reference_uid,
                acquisition=one.acquisition,
            )
            for one in series
        ]
    )


def supersede(db: orm.Session, series_uid: str, now: dt.datetime) -> None:
    """End the live runs of a series, whose content is no longer what they read."""
    db.execute(
        sa.update(results.Run)
        .where(results.Run.series_instance_uid == series_uid, results.Run.phase.in_(_LIVE))
        .values(phase=domain.RunPhase.SUPERSEDED, ended_at=now, lease_token="", lease_until=None)
        .execution_options(synchronize_session="fetch")
    )


def insert_missing(db: orm.Session, table: type[tables.Base], rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, leaving alone those whose key another transaction inserted first."""
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    if rows:
        db.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


def _vote(series: tables.Series, standing: domain.Standing, past: Sequence[results.Run]) -> domain.SeriesVote:
    newest = past[-1] if past else None
    current_content = newest is not None and newest.content_hash == series.content_hash
    outcome, why = domain.Outcome.PENDING, series.standing_reasons
    if series.standing in (domain.Standing.UNSUITABLE, domain.Standing.NO_VOTE):
        outcome = domain.Outcome.UNSUITABLE
    elif newest is not None and current_content and newest.phase in (domain.RunPhase.DONE, domain.RunPhase.FAILED):
        outcome, why = newest.outcome, newest.reasons
    shown = newest if newest is not None and outcome is newest.outcome else None
    return domain.SeriesVote(
        series_instance_uid=series.series_instance_uid,
        standing=standing,
        state=series.state,
        outcome=outcome,
        reasons=why,
        agatston=shown.agatston if shown else None,
        category=shown.category if shown else None,
        earlier_doubt=standing is domain.Standing.ELIGIBLE and _earlier_doubt(past),
    )


def _earlier_doubt(past: Sequence[results.Run]) -> bool:
    """Tell whether an earlier run gave more than a negative, and no person asked for the newest one.

    A doubt counts on the same images only, for late ones may have settled it; calcium once seen counts on any.
    """
    if not past or past[-1].trigger is domain.RunTrigger.PERSON:
        return False
    return any(
        run.outcome is domain.Outcome.PRESENT or (run.content_hash == past[-1].content_hash and run.outcome in _DOUBTED)
        for run in past[:-1]
    )


def _facts(
    study: tables.Study, series: Sequence[tables.Series], votes: Sequence[domain.SeriesVote], site: rules.Rules
) -> domain.StudyFacts:
    eligible = {vote.series_instance_uid for vote in votes if vote.standing is domain.Standing.ELIGIBLE}
    voting = [one for one in series if one.series_instance_uid in eligible]
    texts = eligibility.Study(
        descriptions=_texts(study.description, *(one.study_description for one in series)),
        series_descriptions=_texts(*(one.description for one in voting)),
        body_parts=_texts(*(one.body_part for one in voting)),
        procedure_codes=study.procedure_codes,
    )
    return domain.StudyFacts(
        admitted=site.admission.admits(texts),
        two_patients=study.two_patients,
        arriving=any(one.state is domain.SeriesState.RECEIVING for one in series),
        shares_series=study.shares_series or any(one.in_two_studies for one in series),
    )


def _texts(*texts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def first_flag() -> domain.Flag:
    """Return the flag of a study whose first image has just come."""
    return domain.Flag(
        priority=domain.Priority.ROUTINE,
        outcome=domain.Outcome.PENDING,
        reasons=(reasons.reason(reasons.ReasonCode.ARRIVING),),
    )
