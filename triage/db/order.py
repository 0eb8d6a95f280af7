"""The reading order, and how a page goes on from where another ended: by its last study's key, never by counting."""

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

from triage import domain, errors, uids
from triage.db import columns, session, tables

STUDY = tables.Study.__table__.c
"""The columns of studies themselves: a statement over them costs less to send than one over mapped classes."""

Entity = sa.sql.base.ReadOnlyColumnCollection[str, Any]
Condition = sa.ColumnElement[bool]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Hold a study's place in the reading order."""

    priority: domain.Priority
    received_at: dt.datetime
    study_instance_uid: str


def key(of: Entity) -> tuple[Any, Any, Any]:
    """Return what studies are ordered by: high, routine, low, then the oldest received first."""
    return of.priority, of.received_at, of.study_instance_uid


def after(of: Entity, place: Place | None, priority: domain.Priority | None) -> list[Condition]:
    """Return the conditions that bring the studies after a place, of one priority or of all.

    With a priority asked for, the place is compared within it: PostgreSQL would else start at the priority's first
    study and walk through all that earlier pages showed. The values bear names (`values`), so that a statement may be
    kept and asked again from another place of the same priority.
    """
    asked: list[Condition] = [] if priority is None else [of.priority == priority]
    if place is None:
        return asked
    moment = sa.bindparam("place_moment", place.received_at, type_=columns.UtcDateTime())
    uid = sa.bindparam("place_uid", place.study_instance_uid, type_=sa.String())
    if priority is None:
        start = sa.literal(place.priority, columns.ReadingPlace())
        return [sa.tuple_(*key(of)) > sa.tuple_(start, moment, uid)]
    if priority is place.priority:
        return [*asked, sa.tuple_(of.received_at, of.study_instance_uid) > sa.tuple_(moment, uid)]
    return asked if _number(priority) > _number(place.priority) else [sa.false()]


def among(db: orm.Session, column: sa.ColumnElement[str], uids: Sequence[str]) -> Condition:
    """Return the condition that a UID is one of these: one value where the database knows lists, not fifty."""
    if not session.is_postgresql(db):
        return column.in_(uids)
    return column == sa.any_(sa.bindparam("uids", list(uids), type_=postgresql.ARRAY(sa.Text())))


def values(place: Place | None) -> dict[str, Any]:
    """Return the named values of `after`."""
    return {} if place is None else {"place_moment": place.received_at, "place_uid": place.study_instance_uid}


def encode(last: Place) -> str:
    """Return a place as a cursor."""
    parts = [_number(last.priority), last.received_at.isoformat(), last.study_instance_uid]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def decode(cursor: str) -> Place:
    """Return the place that a cursor names; raises NotFound for one that no page gave."""
    try:
        number, received_at, uid = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if type(number) is not int or number < 0:
            raise ValueError(number)
        return Place(
            priority=columns.READING_ORDER[number],
            received_at=dt.datetime.fromisoformat(received_at).astimezone(dt.UTC),
            study_instance_uid=uids.check(uid),
        )
    except (ValueError, TypeError, IndexError, OverflowError, errors.InvalidUid) as exc:
        raise errors.NotFound("no page gave this cursor") from exc


def _number(priority: domain.Priority) -> int:
    return columns.READING_ORDER.index(priority)
