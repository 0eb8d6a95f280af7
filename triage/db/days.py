"""Pages of a range of study dates: many short lists, each kept in reading order by an index, merged as far as needed.

No index holds a range of dates and the reading order at once: walking the order meets the newest studies last, and
sorting the range costs what the range holds. So a range is cut into whole months and the days at its ends; each of
these with each outcome is a list that one index keeps in order. Of all lists the first study is looked up, and only
those lists are read whose first study may stand on the page. The cost grows with months, not with studies.
"""

import dataclasses
import datetime as dt
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

from triage import domain
from triage.db import columns, names, order, session, tables

AT_ONCE = 6
"""Lists read by the first statement: the outcomes of one day. Each further one reads twice as many."""
MOST_AT_ONCE = 96
"""SQLite takes no more than 500 parts in a statement."""
KEPT = 256
"""Statements that are kept: to build one costs more than to ask it."""

_DAY, _MONTH = "study_date", "study_month"
_NONE = "9"
"""Stands for the key of a list without studies, and sorts last."""
_INNER = tables.Study.__table__.alias("inner")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """Say what a page holds beside its dates; two are equal where the same statement asks for them, by other values."""

    outcome: domain.Outcome | None
    priority: domain.Priority | None
    place: order.Place | None = dataclasses.field(compare=False)
    name: str | None = dataclasses.field(compare=False)
    _from: domain.Priority | None = dataclasses.field(init=False)
    _words: int | None = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_from", None if self.place is None else self.place.priority)
        object.__setattr__(self, "_words", None if self.name is None else len(names.words(self.name)))

    def of(self, study: order.Entity) -> list[order.Condition]:
        """Return the conditions on a list."""
        return [
            *order.after(study, self.place, self.priority),
            *([names.matching(study, self.name)] if self.name else []),
        ]

    def values(self) -> dict[str, Any]:
        """Return the values of the conditions."""
        return {**order.values(self.place), **(names.values(self.name) if self.name else {})}


class _Span(NamedTuple):
    """Name the days of a range, bounds and all, or the months between two bounds; None is open."""

    column: str
    first: str
    last: str | None


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
        for column in (_DAY, _MONTH):
            lists = [head for head in group if head.column == column]
            found += _read(db, column, lists, wanted, number) if lists else []
        found.sort()
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
    query = _heads_query(session.is_postgresql(db), span.column, span.last is not None, wanted)
    values = {**wanted.values(), "first": span.first, "number": number}
    rows = db.execute(query, values if span.last is None else {**values, "last": span.last})
    if session.is_postgresql(db):
        return (_Head(span.column, *row) for row in rows)
    return (_Head(span.column, unit, outcome, *_taken_apart(key)) for unit, outcome, key in rows if key != _NONE)


@functools.lru_cache(KEPT)
def _heads_query(lateral: bool, name: str, ends: bool, wanted: Wanted) -> sa.Select[Any]:
    column, begin, end = (
        order.STUDY[name],
        sa.bindparam("first", type_=sa.Text()),
        sa.bindparam("last", type_=sa.Text()),
    )
    upper = [column <= end if name == _DAY else column < end] if ends else []
    begun = column >= begin if name == _DAY else column > begin
    unit = sa.select(sa.func.min(column).label("name")).where(begun, *upper).cte("unit", recursive=True)
    following = sa.select(sa.func.min(column)).where(column > unit.c.name, *upper).scalar_subquery()
    unit = unit.union_all(sa.select(following).where(unit.c.name.is_not(None)))
    kind = _outcomes(wanted.outcome)
    listed = _listed(name, unit.c.name, kind.c.outcome, wanted).limit(1).correlate(unit, kind)
    number = sa.bindparam("number", type_=sa.Integer())
    lists = unit.join(kind, sa.true())
    if lateral:
        found = listed.lateral("found")
        query = sa.select(unit.c.name, kind.c.outcome, *tuple(found.c)[:2])
        return query.select_from(lists.join(found, sa.true())).order_by(*found.c).limit(number)
    # SQLite looks up one value a list, so the key is one text that sorts as its parts do.
    parts = (sa.cast(_INNER.c.priority, sa.Text()), sa.type_coerce(_INNER.c.received_at, sa.Text()))
    text = listed.with_only_columns(parts[0] + parts[1] + _INNER.c.study_instance_uid)
    key = sa.func.coalesce(text.scalar_subquery(), _NONE).label("key")
    return sa.select(unit.c.name, kind.c.outcome, key).select_from(lists).order_by(key).limit(number)


def _taken_apart(key: str) -> tuple[domain.Priority, dt.datetime]:
    return columns.READING_ORDER[int(key[0])], dt.datetime.fromisoformat(key[1:27]).replace(tzinfo=dt.UTC)


def _read(
    db: orm.Session, column: str, lists: Sequence[_Head], wanted: Wanted, number: int
) -> list[tuple[tuple[int, dt.datetime], str]]:
    """Read the first studies of all lists together: so many as a page may hold."""
    values: Mapping[str, Any]
    if session.is_postgresql(db):
        query = _read_lateral(column, wanted)
        values = {"units": [head.unit for head in lists], "outcomes": [head.outcome.value for head in lists]}
    else:
        query = _read_union(column, len(lists), wanted)
        values = {f"unit_{place}": head.unit for place, head in enumerate(lists)}
        values = {**values, **{f"outcome_{place}": head.outcome for place, head in enumerate(lists)}}
    rows = db.execute(query, {**wanted.values(), **values, "number": number})
    return [((columns.READING_ORDER.index(priority), moment), uid) for priority, moment, uid in rows]


@functools.lru_cache(KEPT)
def _read_lateral(column: str, wanted: Wanted) -> sa.Select[Any]:
    texts = postgresql.ARRAY(sa.Text())
    units, outcomes = (sa.bindparam(name, type_=texts) for name in ("units", "outcomes"))
    lists = sa.func.unnest(units, outcomes).table_valued("unit", "outcome").render_derived("lists")
    listed = _listed(column, lists.c.unit, lists.c.outcome, wanted).limit(sa.bindparam("number", type_=sa.Integer()))
    found = listed.correlate(lists).lateral("found")
    query = sa.select(*found.c).select_from(lists.join(found, sa.true()))
    return query.order_by(*found.c).limit(sa.bindparam("number", type_=sa.Integer()))


@functools.lru_cache(KEPT)
def _read_union(column: str, lists: int, wanted: Wanted) -> sa.Select[Any]:
    number, word = sa.bindparam("number", type_=sa.Integer()), columns.Word(domain.Outcome)
    parts = (
        _listed(column, sa.bindparam(f"unit_{each}"), sa.bindparam(f"outcome_{each}", type_=word), wanted)
        for each in range(lists)
    )
    found = sa.union_all(*(sa.select(part.limit(number).subquery()) for part in parts)).subquery("found")
    return sa.select(*found.c).order_by(*found.c).limit(number)


def _listed(column: str, unit: Any, outcome: Any, wanted: Wanted) -> sa.Select[Any]:
    """Select the keys of one list, in order."""
    key = order.key(_INNER.c)
    where = (_INNER.c[column] == unit, _INNER.c.outcome == outcome, *wanted.of(_INNER.c))
    return sa.select(*key).where(*where).order_by(*key)


@functools.cache
def _outcomes(only: domain.Outcome | None) -> sa.Subquery:
    """Return a table of all outcomes, or of one."""
    word = columns.Word(domain.Outcome)
    each = (sa.select(sa.literal(one, word).label("outcome")) for one in ([only] if only else domain.Outcome))
    return sa.union_all(*each).subquery("kind")
