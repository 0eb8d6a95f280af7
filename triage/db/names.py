"""Patients' names by their words: what a search finds through an index, alike on both databases.

A part from the middle of a name can be found by no index that both databases bring; the beginning of a word can. Each
word bears its study's place in the reading order, what the worklist sifts by and the name's other words (kept by
`flags.follow`), so that one index answers a search and no study is looked up that is not shown.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from triage.db import flags, order, session, tables

FEW = 5_000
"""So many words are read and sorted; where more begin alike, walking those of the first letter soon fills a page."""
FEW_SIFTED = 20_000
"""The same where not all of them are wanted: then walking goes through the studies that are."""

WORD = tables.PatientWord.__table__.c
_OTHER = tables.PatientWord.__table__.alias("other").c
_LONGEST = 64
_MOST = 16
_LONGEST_NAME = 400
"""PostgreSQL indexes no more than 2,700 bytes; what goes beyond is found by single words alone."""
_LAST = "\U0010ffff"
"""Follows every character, so that a word and it end the range of all words that begin with the word."""


def words(name: str) -> list[str]:
    """Return the different words of a name, without case: runs of letters and digits."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return list(dict.fromkeys(word[:_LONGEST] for word in re.findall(r"\w+", plain)))[:_MOST]


def note(db: orm.Session, studies: Iterable[tables.Study]) -> None:
    """Note the names of studies; what is noted already stays."""
    rows = []
    for study in sorted(studies, key=lambda one: one.study_instance_uid):
        wanted = words(study.patient_name)
        shared = {
            "study_instance_uid": study.study_instance_uid,
            "name": "".join(f" {word}" for word in wanted)[:_LONGEST_NAME],
            "priority": study.priority,
            "received_at": study.received_at,
            "outcome": study.outcome,
            "study_date": study.study_date,
        }
        rows += [{**shared, "word": word} for word in wanted]
    flags.insert_missing(db, tables.PatientWord, rows)


def matching(of: order.Entity, asked: str) -> order.Condition:
    """Return the condition that each word of what is asked for begins a word of a study's patient's name."""
    wanted = _longest_first(asked)
    if not wanted:
        return sa.false()
    where = [_OTHER.study_instance_uid == of.study_instance_uid, _begins(_OTHER.word, wanted[0])]
    return sa.exists().where(*where, *_has(_OTHER.name, wanted[1:]))


def values(asked: str) -> dict[str, str]:
    """Return the named values of `matching`."""
    wanted = _longest_first(asked)
    named = {f"word_{place}": f"% {_escaped(word)}%" for place, word in enumerate(wanted)}
    return {**named, **({"begin": wanted[0], "end": wanted[0] + _LAST} if wanted else {})}


def first(
    db: orm.Session, asked: str, after: Sequence[order.Condition], sifted: Sequence[order.Condition], number: int
) -> list[str] | None:
    """Return the UIDs of the first `number` studies with a name, in reading order.

    `after` and `sifted` are conditions on `WORD`: where the page begins, and which studies are wanted. None where
    each word is common and not all studies are wanted.
    """
    wanted = _longest_first(asked)
    if not wanted:
        return []
    rare = _rare(db, wanted, sifted=bool(sifted))
    if rare is None and sifted:
        return None
    word = rare or wanted[0]
    begins = [_begins(WORD.word, word)] if rare else _walked(db, word)
    others = _has(WORD.name, [other for other in wanted if other != word])
    query = sa.select(WORD.study_instance_uid).where(*begins, *others, *after, *sifted)
    found: list[str] = []
    for most in (2 * number, _MOST * number):  # a study is there as often as its name's words begin so
        rows = db.scalars(query.order_by(*order.key(WORD)).limit(most)).all()
        found = list(dict.fromkeys(rows))[:number]
        if len(found) == number or len(rows) < most:
            break
    return found


def _walked(db: orm.Session, word: str) -> list[order.Condition]:
    """Return the conditions that find the beginning of a word by walking the words of its first letter, in order.

    SQLite knows no numbers: without `coalesce` it would choose the other index, and sort all that is found.
    """
    column = WORD.word if session.is_postgresql(db) else sa.func.coalesce(WORD.word, sa.literal(""))
    return [sa.literal_column("substr(word, 1, 1)") == word[0], _begins(column, word)]


def _rare(db: orm.Session, wanted: Sequence[str], *, sifted: bool) -> str | None:
    """Return a word that begins few words of names; the longer it is, the likelier."""
    few = FEW_SIFTED if sifted else FEW
    for word in wanted:
        beyond = sa.select(sa.literal(1)).select_from(tables.PatientWord.__table__).where(_begins(WORD.word, word))
        if db.scalar(beyond.limit(1).offset(few)) is None:
            return word
    return None


def _longest_first(asked: str) -> list[str]:
    return sorted(words(asked), key=len, reverse=True)


def _begins(column: sa.SQLColumnExpression[str], word: str) -> order.Condition:
    begin = sa.bindparam("begin", word, type_=sa.Text())
    return sa.and_(column >= begin, column < sa.bindparam("end", word + _LAST, type_=sa.Text()))


def _has(name: sa.SQLColumnExpression[str], others: Sequence[str]) -> list[order.Condition]:
    patterns = (
        sa.bindparam(f"word_{place}", f"% {_escaped(word)}%", type_=sa.Text()) for place, word in enumerate(others, 1)
    )
    return [name.like(pattern, escape="/") for pattern in patterns]


def _escaped(word: str) -> str:
    return word.replace("_", "/_")  # of what a word may hold, all that LIKE knows
