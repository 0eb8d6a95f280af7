"""Statements to PostgreSQL: each is read once by its driver, which reads them character by character every time."""

import functools
from typing import Any

from pg8000 import legacy

KEPT = 1024


def remember() -> None:
    """Have pg8000 keep what it made of a statement: of a page of the worklist this is a tenth to a fifth.

    It offers no seam for this: the function is put in the place of its own, which stays the one that reads.
    """
    read = legacy.convert_paramstyle
    if hasattr(read, "__wrapped__"):
        return

    @functools.lru_cache(KEPT)
    def kept(statement: str) -> str:
        return str(read("format", statement, ())[0])

    @functools.wraps(read)
    def convert(style: str, statement: str, values: Any) -> tuple[str, Any]:
        return (kept(statement), values) if style == "format" else read(style, statement, values)

    legacy.convert_paramstyle = convert
