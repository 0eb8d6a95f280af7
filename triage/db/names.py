"""Patients' names by their words: what a search finds through an index, alike on both databases.

A part from the middle of a name can be found by no index that both databases bring; the beginning of a word can.
"""

import re
import unicodedata
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import orm

from triage.db import flags, order, tables

FEW = 2000
"""So many studies are gathered and sorted; where more have the name, walking in reading order soon fills a page."""

_OTHER = orm.aliased(tables.PatientWord)
_LONGEST = 64
_MOST = 16
_LAST = "\U0010ffff"
"""Follows every character, so that a word and it end the range of all words that begin with the word."""


def words(name: str) -> list[str]:
    """Return the different words of a name, without case: runs of letters and digits."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return list(dict.fromkeys(word[:_LONGEST] for word in re.findall(r"\w+", plain)))[:_MOST]


def note(db: orm.Session, names: Mapping[str, str]) -> None:
    """Note the names of studies, by their UIDs; what is noted already stays."""
    rows = [{"study_instance_uid": uid, "word": word} for uid in sorted(names) for word in words(names[uid])]
    flags.insert_missing(db, tables.PatientWord, rows)


def matching(of: order.Entity, asked: str) -> order.Condition:
    """Return the condition that each word of what is asked for begins a word of a study's patient's name."""
    wanted = words(asked)
    return sa.and_(*(_has(of.study_instance_uid, word) for word in wanted)) if wanted else sa.false()


def few(db: orm.Session, asked: str) -> sa.Subquery | None:
    """Return the UIDs of the studies whose patient's name matches; None where there are more than a few."""
    wanted = sorted(words(asked), key=len, reverse=True)
    row = tables.PatientWord
    # The longest word is the rarest; the others are looked up for each study that has it.
    conditions = (
        [_begins(row.word, wanted[0]), *(_has(row.study_instance_uid, one) for one in wanted[1:])]
        if wanted
        else [sa.false()]
    )
    found = sa.select(row.study_instance_uid).where(*conditions).limit(FEW + 1).subquery()
    number = db.scalar(sa.select(sa.func.count()).select_from(found)) or 0
    return sa.select(found.c.study_instance_uid).distinct().subquery() if number <= FEW else None


def _has(uid: sa.SQLColumnExpression[str], word: str) -> order.Condition:
    return sa.exists().where(_OTHER.study_instance_uid == uid, _begins(_OTHER.word, word))


def _begins(column: sa.SQLColumnExpression[str], word: str) -> order.Condition:
    return sa.and_(column >= word, column < word + _LAST)
