"""What foreign headers may not do to a database: NUL and lone surrogates in texts, numbers that are none."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from triage import domain
from triage.db import tables

_LARGEST = 2**63 - 1
_OURS = frozenset({"variant", "kind", "received_at"})
_COLUMNS = tuple({column.key for column in sa.inspect(tables.Instance).columns} - _OURS)
_FIELDS = tuple(field.name for field in dataclasses.fields(domain.Instance))


def text(value: str) -> str:
    """Return a text that every database takes (PostgreSQL takes no NUL)."""
    if value.isascii() and "\x00" not in value:
        return value
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def instance(value: domain.Instance) -> domain.Instance:
    """Return an instance whose values every database takes."""
    return domain.Instance(**{name: _plain(getattr(value, name)) for name in _FIELDS})


def row(value: domain.Instance) -> Mapping[str, Any]:
    """Return what of an instance its row holds."""
    return {name: getattr(value, name) for name in _COLUMNS}


def _plain(value: Any) -> Any:
    if isinstance(value, domain.InstanceKind):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, tuple):
        parts = tuple(_plain(part) for part in value)
        return None if None in parts else parts
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST:
        return None
    return value
