"""Find the studies of a page. Which filter finds is decided here, so that none walks or sorts the whole table."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from triage import domain
from triage.db import days, names, order, tables

_SHOWN = (
    "study_instance_uid",
    "accession_number",
    "patient_id",
    "patient_name",
    "study_date",
    "description",
    "received_at",
    "priority",
    "outcome",
    "reasons",
    "agatston",
    "category",
    "flag_updated_at",
    "flag_version",
    "change_number",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """Say which studies are wanted; None wants all. A study without a date lies outside every range of dates."""

    date_from: dt.date | None = None
    date_to: dt.date | None = None
    priority: domain.Priority | None = None
    outcome: domain.Outcome | None = None
    accession: str | None = None
    patient_id: str | None = None
    patient_name: str | None = None


def shown() -> sa.Select[Any]:
    """Select of studies what a line of the worklist shows; rows cost less than objects that could be changed."""
    return sa.select(*(order.STUDY[name] for name in _SHOWN), *_images())


@functools.cache
def _images() -> tuple[sa.Label[Any], ...]:
    """Return a study's images received and expected, over its series; of the page's studies alone."""
    series = tables.Series.__table__.c
    sums = {"images_received": series.images_received, "images_expected": series.declared_images}
    of_study = series.study_instance_uid == order.STUDY.study_instance_uid
    return tuple(
        sa.select(sa.func.sum(counted)).where(of_study).correlate(tables.Study.__table__).scalar_subquery().label(name)
        for name, counted in sums.items()
    )


def place_of(row: sa.Row[Any]) -> order.Place:
    """Return where a study stands in the reading order."""
    return order.Place(priority=row.priority, received_at=row.received_at, study_instance_uid=row.study_instance_uid)


def find(db: orm.Session, filters: Filters, place: order.Place | None, number: int) -> Sequence[sa.Row[Any]]:
    """Return the first `number` studies after a place, in reading order.

    A patient's number or an accession number finds first, then a patient's name that is not all too common, then a
    range of dates, then an outcome or a priority. The others only sift what is found.
    """
    query = shown().order_by(*order.key(order.STUDY)).limit(number)
    uids = None if _by_key(filters) else _uids(db, filters, place, number)
    if uids is None:
        where = [*_found(order.STUDY, filters), *order.after(order.STUDY, place, filters.priority)]
        where += [names.matching(order.STUDY, filters.patient_name)] if filters.patient_name else []
        return db.execute(query.where(*where)).all()
    return db.execute(query.where(order.among(db, order.STUDY.study_instance_uid, uids))).all() if uids else []


def _uids(db: orm.Session, filters: Filters, place: order.Place | None, number: int) -> list[str] | None:
    """Return the UIDs of studies among which the page is; None where walking in reading order finds them."""
    name, priority = filters.patient_name, filters.priority
    if name:
        after = order.after(names.WORD, place, priority)
        found = names.first(db, name, after, _sifted(names.WORD, filters), number)
        if found is not None:
            return found
    if filters.date_from is None and filters.date_to is None:
        return None
    wanted = days.Wanted(outcome=filters.outcome, priority=priority, place=place, name=name)
    return days.first(db, (filters.date_from, filters.date_to), wanted, number)


def _by_key(filters: Filters) -> bool:
    return filters.accession is not None or filters.patient_id is not None


def _found(study: order.Entity, filters: Filters) -> list[order.Condition]:
    """Return the condition whose index finds, and the others as conditions that no index is chosen for."""
    if filters.patient_id is not None:
        return [study.patient_id == filters.patient_id, *_sifted(study, filters)]
    if filters.accession is not None:
        return [study.accession_number == filters.accession, *_sifted(study, filters)]
    return [] if filters.outcome is None else [study.outcome == filters.outcome]


def _sifted(study: order.Entity, filters: Filters) -> list[order.Condition]:
    """Return the conditions on what is found already.

    SQLite keeps no statistics: without `coalesce` it might choose the index of a filter that half of the studies meet.
    """
    date, none = sa.func.coalesce(study.study_date, ""), sa.literal("")
    sifted: list[order.Condition] = []
    if filters.date_from is not None:
        sifted.append(date >= _day(filters.date_from))
    if filters.date_to is not None:
        sifted += [date != none, date <= _day(filters.date_to)]
    if filters.outcome is not None:
        sifted.append(sa.func.coalesce(study.outcome, none) == filters.outcome)
    if filters.accession is not None:
        sifted.append(sa.func.coalesce(study.accession_number, none) == filters.accession)
    if filters.patient_id is not None:
        sifted.append(sa.func.coalesce(study.patient_id, none) == filters.patient_id)
    return sifted


def _day(day: dt.date) -> str:
    return day.isoformat().replace("-", "")
