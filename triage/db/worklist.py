"""What the worklist shows: studies in reading order, page by page, and what moved since."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from cac import reasons
from triage import domain, errors
from triage.db import flags, order, pages, results, runs, session, tables

Filters = pages.Filters


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlagRecord:
    """Hold a flag as it was written."""

    priority: domain.Priority
    outcome: domain.Outcome
    reasons: tuple[reasons.Reason, ...]
    agatston: float | None
    category: str | None
    updated_at: dt.datetime
    version: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRow:
    """Hold one line of the worklist."""

    study_instance_uid: str
    accession_number: str
    patient_id: str
    patient_name: str
    study_date: str
    description: str
    received_at: dt.datetime
    images_received: int
    images_expected: int | None
    flag: FlagRecord


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesRow:
    """Hold a series of a study; `standing` is what it counts for among the others."""

    series_instance_uid: str
    description: str
    modality: str
    state: domain.SeriesState
    standing: domain.Standing
    reasons: tuple[reasons.Reason, ...]
    images_received: int
    images_expected: int | None
    newest_run: runs.RunRecord | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyDetail(StudyRow):
    """Hold a study with its series."""

    series: tuple[SeriesRow, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Hold a page of the worklist and the cursor of the next, None on the last."""

    items: list[StudyRow]
    next: str | None


def page(db: session.Database, filters: Filters, cursor: str | None, limit: int) -> Page:
    """Return studies in reading order: high, routine, low, then the oldest received first.

    Raises NotFound for a cursor that no page gave.
    """
    place = None if cursor is None else order.decode(cursor)
    with db.read() as open_session:
        studies = pages.find(open_session, filters, place, limit + 1)
    rows = [_row(one, one.images_received, one.images_expected) for one in studies[:limit]]
    more = len(studies) > limit and limit > 0
    return Page(items=rows, next=order.encode(pages.place_of(studies[limit - 1])) if more else None)


def changes(db: session.Database, since: int, limit: int) -> tuple[list[StudyRow], int]:
    """Return studies whose flag changed after a change's number, in order of change, and the number to go on from.

    A number beyond the newest change comes from before a restored database: everything is told again.
    """
    with db.read() as open_session:
        newest = open_session.scalar(sa.select(sa.func.max(tables.Study.change_number))) or 0
        since = since if since <= newest else 0
        query = pages.shown().where(tables.Study.change_number > since)
        studies = open_session.execute(query.order_by(tables.Study.change_number).limit(limit)).all()
    rows = [_row(one, one.images_received, one.images_expected) for one in studies]
    return rows, studies[-1].change_number if studies else since


def study(db: session.Database, study_uid: str) -> StudyDetail:
    """Return a study with its series; raises NotFound."""
    with db.read() as open_session:
        row = open_session.get(tables.Study, study_uid)
        if row is None:
            raise errors.NotFound("no such study is known")
        series, votes = flags.votes_of(open_session, row)
        past = flags.runs_of(open_session, [one.series_instance_uid for one in series])
        declared = [one.declared_images for one in series if one.declared_images is not None]
        line = _row(row, sum(one.images_received for one in series), sum(declared) if declared else None)
        fields = {field.name: getattr(line, field.name) for field in dataclasses.fields(StudyRow)}
        return StudyDetail(
            **fields,
            series=tuple(
                _series_row(one, vote, past[one.series_instance_uid]) for one, vote in zip(series, votes, strict=True)
            ),
        )


def _row(one: Any, received: int | None, expected: int | None) -> StudyRow:
    return StudyRow(
        study_instance_uid=one.study_instance_uid,
        accession_number=one.accession_number,
        patient_id=one.patient_id,
        patient_name=one.patient_name,
        study_date=one.study_date,
        description=one.description,
        received_at=one.received_at,
        images_received=int(received or 0),
        images_expected=None if expected is None else int(expected),
        flag=FlagRecord(
            priority=one.priority,
            outcome=one.outcome,
            reasons=one.reasons,
            agatston=one.agatston,
            category=one.category,
            updated_at=one.flag_updated_at,
            version=one.flag_version,
        ),
    )


def _series_row(one: tables.Series, vote: domain.SeriesVote, past: Sequence[results.Run]) -> SeriesRow:
    return SeriesRow(
        series_instance_uid=one.series_instance_uid,
        description=one.description,
        modality=one.modality,
        state=one.state,
        standing=vote.standing,
        reasons=vote.reasons,
        images_received=one.images_received,
        images_expected=one.declared_images,
        newest_run=runs.record(past[-1]) if past else None,
    )
