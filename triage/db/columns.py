"""Column types: values of the domain go in and come out, on SQLite and PostgreSQL alike."""

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from cac import reasons
from triage import domain

E = TypeVar("E", bound=StrEnum)

READING_ORDER = (domain.Priority.HIGH, domain.Priority.ROUTINE, domain.Priority.LOW)
"""The order in which studies are read; a priority is stored as its place in it."""

_CODES = {code.value: code for code in reasons.ReasonCode}


class UtcDateTime(sa.types.TypeDecorator[dt.datetime]):
    """Store a moment in UTC; SQLite keeps no time zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Refuse a moment without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Word(sa.types.TypeDecorator[E], Generic[E]):
    """Store a StrEnum by its value; an unknown word fails loudly."""

    impl = sa.String(32)
    cache_ok = True

    def __init__(self, words: type[E]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: E | None, dialect: sa.Dialect) -> str | None:
        """Return the word."""
        return None if value is None else self.words(value).value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> E | None:
        """Return the member."""
        return None if value is None else self.words(value)


class ReadingPlace(sa.types.TypeDecorator[domain.Priority]):
    """Store a priority as its place in the reading order, so that an index can sort by it."""

    impl = sa.SmallInteger
    cache_ok = True

    def process_bind_param(self, value: domain.Priority | None, dialect: sa.Dialect) -> int | None:
        """Return the place."""
        return None if value is None else READING_ORDER.index(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> domain.Priority | None:
        """Return the priority."""
        return None if value is None else READING_ORDER[value]


class Reasons(sa.types.TypeDecorator[tuple[reasons.Reason, ...]]):
    """Store reasons as a JSON list of code and text."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Sequence[reasons.Reason] | None, dialect: sa.Dialect) -> Any:
        """Return plain lists and strings."""
        return None if value is None else [{"code": one.code.value, "text": one.text} for one in value]

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> tuple[reasons.Reason, ...] | None:
        """Return reasons."""
        if value is None:
            return None
        return tuple(reasons.Reason(code=_CODES[one["code"]], text=one["text"]) for one in value)


class Tuple(sa.types.TypeDecorator[tuple[Any, ...]]):
    """Store a tuple of numbers or strings as a JSON list."""

    impl = sa.JSON
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: sa.Dialect) -> Any:
        """Return a list."""
        return None if value is None else list(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> tuple[Any, ...] | None:
        """Return a tuple."""
        return None if value is None else tuple(value)


def by_bytes() -> sa.types.TypeEngine[str]:
    """Return a text that is compared byte by byte on both databases, so that a range holds what begins alike."""
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
