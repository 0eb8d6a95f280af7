"""Fill a database with studies as a node holds them after years, by a few statements that the database runs itself.

What the numbers are like: 500 studies a day; of a thousand about 440 are absent (of these nine in ten low), 300
present (one in twenty high), 130 in doubt, 110 unsuitable, 20 failed, and the newest fifty pending. One in twenty was
sent up to a month late. Six patients have ten studies. Names are made of
syllables; some are common, most are rare.
"""

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pg8000.native

Run = Callable[[str], Sequence[Sequence[Any]]]

TABLES = ("study", "series", "patient_word")

_MOMENT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', '{start}', ({seconds}) || ' seconds') || '.000000'",
    "postgresql": "(timestamptz '{start} 00:00:00Z' + make_interval(secs => {seconds}))",
}
_DATE = {
    "sqlite": "strftime('%Y%m%d', '{start}', ({seconds}) || ' seconds')",
    "postgresql": "to_char(timestamp '{start}' + make_interval(secs => {seconds}), 'YYYYMMDD')",
}
_JSON = {"sqlite": "{text}", "postgresql": "cast({text} as json)"}
_FALSE = {"sqlite": "0", "postgresql": "false"}

START = "2020-01-01"
COMMON_NAME = "bababa"
"""The family name that one in sixty-four patients has."""
_SYLLABLES = "BADOGILEMANOPIRUSATEVOWEXIZUKARO"
_REASON = '[{"code": "no_calcium", "text": "No candidate at or above 130 HU near the heart is accepted or in doubt."}]'


def fill(url: str, studies: int, per_day: int = 500) -> None:
    """Fill a migrated, empty database, its indexes made last; then gather statistics where the database keeps them."""
    with _connected(url) as (kind, run):
        indexes, references = _take_indexes(kind, run), _take_references(kind, run)
        run(_studies(kind, studies, per_day))
        for number in (1, 2):
            run(_series(kind, number))
        for begin, length in ((1, 6), (8, 4)):
            run(_words(begin, length))
        run(f"UPDATE counter SET value = {studies} WHERE name = 'flag'")
        for statement in [*indexes, *references]:
            run(statement)
        if kind == "postgresql":
            for table in TABLES:
                run(f"VACUUM ANALYZE {table}")
        elif any(run(f"PRAGMA foreign_key_check({table})") for table in TABLES):
            raise RuntimeError("a series or a word has no study")


@contextlib.contextmanager
def _connected(url: str) -> Iterator[tuple[str, Run]]:
    if url.startswith("sqlite:"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-400000", "temp_store=MEMORY"):
                connection.execute(f"PRAGMA {pragma}")
            yield "sqlite", lambda statement: connection.execute(statement).fetchall()
        finally:
            connection.close()
        return
    parts = urllib.parse.urlsplit(url)
    server = pg8000.native.Connection(
        parts.username or "postgres", host=parts.hostname, port=parts.port or 5432, database=parts.path.lstrip("/")
    )
    try:
        for setting in ("maintenance_work_mem = '256MB'", "work_mem = '256MB'", "synchronous_commit = off"):
            server.run(f"SET {setting}")
        yield "postgresql", lambda statement: server.run(statement) or []
    finally:
        server.close()


def _take_indexes(kind: str, run: Run) -> list[str]:
    """Drop the plain indexes of the tables; return what makes them again: one sort costs less than a million steps."""
    names = ", ".join(f"'{table}'" for table in TABLES)
    if kind == "sqlite":
        asked = (
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({names})"
        )
    else:
        asked = f"""SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ({names})
            AND indexname NOT IN (SELECT conname FROM pg_constraint)"""
    found = run(asked)
    for name, _ in found:
        run(f"DROP INDEX {name}")
    return [statement for _, statement in found]


def _take_references(kind: str, run: Run) -> list[str]:
    """Drop PostgreSQL's foreign keys of the tables; return what makes them again: one join checks all rows at once."""
    if kind == "sqlite":  # checks none on this connection, and all of them at the end
        return []
    names = ", ".join(f"'{table}'::regclass" for table in TABLES)
    found = run(
        f"""SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype = 'f' AND conrelid IN ({names})"""
    )
    for table, name, _ in found:
        run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in found]


def _numbers(studies: int) -> str:
    """Return the table `drawn`: a study's number from 1, its age's jitter, its die and its patient."""
    return f"""WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < {studies}),
        drawn AS (SELECT i, cast(i as bigint) * 48271 % 2147483647 % 1000 AS die,
            cast(i as bigint) * 69621 % 2147483647 % {max(studies * 6 // 10, 1)} AS patient,
            cast(i as bigint) * 40692 % 2147483399 % 600 AS late FROM number)"""


def _uid() -> str:
    return "'2.25.' || (cast(i as bigint) * 2654435761 % 4294967296)"


def _syllables(number: str, count: int) -> str:
    parts = (
        f"substr('{_SYLLABLES}', cast(({number}) / {16**each} % 16 * 2 + 1 as integer), 2)" for each in range(count)
    )
    return " || ".join(parts)


def _skewed(number: str, names: int) -> str:
    """Return a name's rank below `names`: the square of an even number, so that the commonest has 1 / sqrt(names)."""
    return f"(({number}) % {names} * (({number}) % {names}) / {names})"


_FAMILY = _syllables(_skewed("patient", 4096), 3)
_GIVEN = _syllables(_skewed("patient / 4096 * 7 + patient * 3", 256), 2)


def _studies(kind: str, studies: int, per_day: int) -> str:
    seconds = f"i * {86400 / per_day}"
    late = f"{seconds} - CASE WHEN late < 30 THEN late * 86400 ELSE 0 END"
    moment = _MOMENT[kind].format(start=START, seconds=seconds)
    text = f"'{_REASON}'"
    return f"""INSERT INTO study (study_instance_uid, patient_id, patient_name, patient_birth_date, accession_number,
            study_date, description, procedure_codes, two_patients, shares_series, received_at, content_version,
            priority, outcome, reasons, agatston, category, flag_version, flag_updated_at, change_number)
        {_numbers(studies)}, judged AS (SELECT drawn.*, CASE WHEN i > {studies} - 50 THEN 'pending'
            WHEN die < 440 THEN 'absent' WHEN die < 740 THEN 'present' WHEN die < 870 THEN 'indeterminate'
            WHEN die < 980 THEN 'unsuitable' ELSE 'failed' END AS outcome FROM drawn)
        SELECT {_uid()}, 'P' || patient, {_FAMILY} || '^' || {_GIVEN},
            '19500101', 'A' || i, {_DATE[kind].format(start=START, seconds=late)}, 'CT Cardiac Calcium Scoring',
            {_JSON[kind].format(text="'[]'")}, {_FALSE[kind]}, {_FALSE[kind]}, {moment}, 44,
            CASE WHEN outcome = 'absent' AND die < 396 THEN 2 WHEN outcome = 'present' AND die < 455 THEN 0 ELSE 1 END,
            outcome, {_JSON[kind].format(text=text)}, CASE outcome WHEN 'absent' THEN 0 WHEN 'present' THEN 34.5 END,
            CASE outcome WHEN 'absent' THEN '0' WHEN 'present' THEN '11-100' END, 4, {moment}, i FROM judged"""


def _series(kind: str, number: int) -> str:
    """Return the statement that gives each study, or every other one, a series."""
    return f"""INSERT INTO series (series_instance_uid, study_instance_uid, state, standing, standing_reasons, modality,
            description, study_description, body_part, frame_of_reference_uid, acquisition, declared_images,
            images_received, in_two_studies, content_version, first_image_at, last_image_at)
        SELECT study_instance_uid || '.{number}', study_instance_uid, 'done', 'eligible',
            {_JSON[kind].format(text="'[]'")}, 'CT', 'CaScore 3.0 Qr36', description, 'HEART',
            study_instance_uid || '.9', '1', 44, 44, {_FALSE[kind]}, 44, received_at, received_at
        FROM study WHERE change_number % {number} = 0"""


def _words(begin: int, length: int) -> str:
    """Return the statement that notes the family names or the given ones."""
    return f"""INSERT INTO patient_word (study_instance_uid, word, name, priority, received_at, outcome, study_date)
        SELECT study_instance_uid, lower(substr(patient_name, {begin}, {length})),
            ' ' || lower(replace(patient_name, '^', ' ')), priority, received_at, outcome, study_date FROM study"""
