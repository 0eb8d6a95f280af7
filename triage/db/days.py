"""Pages of a range of study dates: many short lists, each kept in reading order by an index, merged as far as needed.

No index holds a range of dates and the reading order at once: walking the order meets the newest studies last, and
sorting the range costs what the range holds. So a range is cut into whole months and the days at its ends; each of
these with each outcome is a list that one index keeps in order. Of all lists the first study is looked up, and only
those lists are read whose first study may stand on the page. The cost grows with months, not with studies.
"""

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import orm

from triage import domain
from triage.db import columns, order, tables

AT_ONCE = 6
"""Lists read by the first statement: the outcomes of one day. Each further one reads twice as many."""

_DAY, _MONTH = "study_date", "study_month"

# Made once: to name a table anew costs more than to ask it.
_INNER, _FOUND = orm.aliased(tables.Study), orm.aliased(tables.Study)

MOST_AT_ONCE = 96
"""SQLite takes no more than 500 parts in a statement."""

Also = Callable[[order.Entity], Sequence[order.Condition]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """Say what a page holds beside its dates; `also` are conditions that no list is made for."""

    outcome: domain.Outcome | None
    priority: domain.Priority | None
    place: order.Place | None
    also: Also

    def of(self, study: order.Entity) -> list[order.Condition]:
        """Return the conditions on a list."""
        return [*order.after(study, self.place, self.priority), *self.also(study)]


class _Span(NamedTuple):
    """Name the days of a range, bounds and all, or the months between two bounds; None is open."""

    column: str
    first: str
    last: str | None

    def upper(self, column: Any) -> list[order.Condition]:
        """Return the condition that ends the span."""
        if self.last is None:
            return []
        return [column <= self.last if self.column == _DAY else column < self.last]

    def bounds(self, column: Any) -> list[order.Condition]:
        """Return the conditions that hold within the span."""
        return [column >= self.first if self.column == _DAY else column > self.first, *self.upper(column)]


class _Head(NamedTuple):
    """Hold a list, by its day or month and its outcome, and the key of its first study."""

    column: str
    unit: str
    outcome: domain.Outcome
    priority: domain.Priority
    received_at: dt.datetime

    def key(self) -> tuple[int, dt.datetime]:
        """Return where the list begins; UIDs are left for the database to order, as its collation does."""
        return columns.READING_ORDER.index(self.priority), self.received_at


def first(db: orm.Session, dates: tuple[dt.date | None, dt.date | None], wanted: Wanted, number: int) -> list[str]:
    """Return the UIDs among which the first `number` studies of a range of dates are, in no order."""
    heads = [head for span in _spans(*dates) for head in _heads(db, span, wanted, number)]
    heads.sort(key=_Head.key)
    found: list[tuple[tuple[int, dt.datetime], str]] = []
    size = AT_ONCE
    while heads and not (len(found) >= number and heads[0].key() > found[number - 1][0]):
        group, heads = heads[:size], heads[size:]
        found = sorted([*found, *_read(db, group, wanted, number)])
        size = min(2 * size, MOST_AT_ONCE)
    # Studies received at the same moment as the last one are kept: which of them come first, the database says.
    return [uid for key, uid in found if len(found) <= number or key <= found[number - 1][0]]


def _spans(first: dt.date | None, last: dt.date | None) -> Iterator[_Span]:
    """Cut a range into whole months and the days before and after them."""
    start, end = (None if day is None else day.isoformat().replace("-", "") for day in (first, last))
    if start is not None and end is not None and (start[:6] == end[:6] or start > end):
        yield _Span(_DAY, start, end)
        return
    if start is not None:
        yield _Span(_DAY, start, start[:6] + "31")
    if end is not None:
        yield _Span(_DAY, end[:6], end)
    # A study without a date has an empty month, which lies before the digit.
    yield _Span(_MONTH, "0" if start is None else start[:6], None if end is None else end[:6])


def _heads(db: orm.Session, span: _Span, wanted: Wanted, number: int) -> Iterator[_Head]:
    """Look up the first study of each list of a span; of so many lists as may stand on a page."""
    column = getattr(tables.Study, span.column)
    unit = sa.select(sa.func.min(column).label("name")).where(*span.bounds(column)).cte("unit", recursive=True)
    following = sa.select(sa.func.min(column)).where(column > unit.c.name, *span.upper(column)).scalar_subquery()
    unit = unit.union_all(sa.select(following).where(unit.c.name.is_not(None)))
    kind = _outcomes(wanted.outcome)
    listed = (
        sa.select(*order.key(_INNER))
        .where(getattr(_INNER, span.column) == unit.c.name, _INNER.outcome == kind.c.outcome, *wanted.of(_INNER))
        .order_by(*order.key(_INNER))
        .limit(1)
        .correlate(unit, kind)
    )
    if db.get_bind().dialect.name == "postgresql":
        found = listed.lateral("found")  # a join by the UID may become a hash of the whole table
        lists, key = unit.join(kind, sa.true()).join(found, sa.true()), tuple(found.c)
    else:  # SQLite joins no table to what stands before it but by a value
        uid = listed.with_only_columns(_INNER.study_instance_uid).scalar_subquery()
        lists, key = unit.join(kind, sa.true()).join(_FOUND, _FOUND.study_instance_uid == uid), order.key(_FOUND)
    query = sa.select(unit.c.name, kind.c.outcome, *key[:2]).select_from(lists).order_by(*key).limit(number)
    return (_Head(span.column, *row) for row in db.execute(query))


def _read(db: orm.Session, heads: Sequence[_Head], wanted: Wanted, number: int) -> list[tuple[Any, str]]:
    """Read the first studies of lists: of each so many as a page may hold."""
    study, parts = tables.Study, []
    key = order.key(study)
    for head in heads:
        listed = sa.select(*key).where(
            getattr(study, head.column) == head.unit, study.outcome == head.outcome, *wanted.of(study)
        )
        parts.append(sa.select(listed.order_by(*key).limit(number).subquery()))
    rows = db.execute(sa.union_all(*parts))
    return [((columns.READING_ORDER.index(priority), moment), uid) for priority, moment, uid in rows]


@functools.cache
def _outcomes(only: domain.Outcome | None) -> sa.Subquery:
    """Return a table of all outcomes, or of one."""
    word = columns.Word(domain.Outcome)
    each = (sa.select(sa.literal(one, word).label("outcome")) for one in ([only] if only else domain.Outcome))
    return sa.union_all(*each).subquery("kind")
