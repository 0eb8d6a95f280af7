"""What a page of the worklist costs: the plans that both databases choose over tables large enough to choose for."""

import contextlib
import datetime as dt
import itertools
import json
import re

import pytest
import sqlalchemy as sa

from benchmarks import filling
from triage import domain
from triage.db import names, order, session, worklist

STUDIES = 20_000
DAYS = STUDIES // 500
BEGIN = dt.date.fromisoformat(filling.START)
LATE = BEGIN + dt.timedelta(days=DAYS - 5)
MOST_ROWS = 2_500  # read or sorted by one statement: a page's lists, never a share of the table
HANDFUL = 10  # PostgreSQL would rather sort a patient's two studies than read them in order
LOW, HIGH, ABSENT = domain.Priority.LOW, domain.Priority.HIGH, domain.Outcome.ABSENT

BY_ONE_LIST = [
    {},
    {"priority": LOW},
    {"priority": HIGH},
    {"outcome": ABSENT},
    {"outcome": domain.Outcome.FAILED, "priority": LOW},
    {"accession": "A77"},
    {"accession": "A77", "outcome": domain.Outcome.PRESENT, "date_from": BEGIN},
    {"patient_id": "P77"},
]
BY_LISTS = [
    {"date_from": LATE},
    {"date_from": LATE, "date_to": LATE, "outcome": domain.Outcome.FAILED},
    {"date_from": BEGIN + dt.timedelta(days=1), "priority": LOW},
    {"date_to": LATE},
    {"patient_name": "badobado"},
    {"patient_name": "b", "date_from": LATE},
    {"patient_name": "zz zz"},
]


@pytest.fixture
def filled(database_url):
    filling.fill(database_url, STUDIES)
    database = session.Database(database_url)
    yield database
    database.dispose()


@contextlib.contextmanager
def noted(db):
    """Note the statements that are sent, with their values."""
    sent = []

    def note(_connection, _cursor, statement, values, _context, _many):
        sent.append((statement, values))

    sa.event.listen(db._engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(db._engine, "before_cursor_execute", note)


def pages(db, filters):
    """Ask for the first page, and for one from the middle of the table."""
    middle = order.Place(
        priority=filters.get("priority", domain.Priority.ROUTINE),
        received_at=dt.datetime.combine(BEGIN + dt.timedelta(days=DAYS // 2), dt.time(), dt.UTC),
        study_instance_uid="2",
    )
    for cursor in (None, order.encode(middle)):
        worklist.page(db, worklist.Filters(**filters), cursor, 50)


def explained(db, filters, *, walks=False):
    """Return the statements of two pages, each with its plan's lines (SQLite) or nodes (PostgreSQL).

    `walks`: PostgreSQL is to walk an index in order where one serves, however few rows there were to sort instead.
    """
    with noted(db) as sent:
        pages(db, filters) if filters != "changes" else worklist.changes(db, STUDIES // 2, 50)
    selects = [(statement, values) for statement, values in sent if statement.startswith(("SELECT", "WITH"))]
    assert len(selects) >= 2
    with db._engine.connect() as connection:
        if walks and connection.dialect.name == "postgresql":
            for way in ("bitmapscan", "sort"):
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        for statement, values in selects:
            if connection.dialect.name == "sqlite":
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                yield statement, [row[3] for row in rows]
            else:
                row = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar()
                plan = row if isinstance(row, list) else json.loads(row)
                yield statement, list(nodes(plan[0]["Plan"]))


def nodes(plan):
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def complaints(plan, *, sorts):
    """Return what of a plan walks through a table, or sorts where an index should have."""
    for node in plan:
        if isinstance(node, str):
            whole = re.match(r"SCAN (study|series|patient_word)\w*(?! USING INDEX ix_study_reading)", node)
            if whole or ("TEMP B-TREE FOR ORDER" in node and not sorts):
                yield node
            continue
        rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        of_words = "patient_word" in (node.get("Relation Name") or node.get("Index Name") or "")
        most = max(names.FEW_SIFTED + 1, MOST_ROWS) if of_words or "Bitmap" in node["Node Type"] else MOST_ROWS
        sorted_ = node["Node Type"].endswith("Sort") and rows > (MOST_ROWS if sorts else HANDFUL)
        if node["Node Type"] == "Seq Scan" or sorted_ or rows > most:
            yield f"{node['Node Type']}: {node.get('Relation Name')} {rows}"


def test_every_page_is_found_by_an_index(filled):
    found = []
    for filters, sorts in [
        *((one, False) for one in [*BY_ONE_LIST, "changes"]),
        *((one, True) for one in BY_LISTS),
    ]:
        for _, plan in explained(filled, filters):
            found += [(filters, one) for one in complaints(plan, sorts=sorts)]
    assert not found


def test_a_common_name_is_found_by_walking_its_first_letter_in_order(filled, monkeypatch):
    monkeypatch.setattr(names, "FEW", 10)
    monkeypatch.setattr(names, "FEW_SIFTED", 10)
    for asked in ("b", "b d", "bababa"):
        walked = [plan for said, plan in explained(filled, {"patient_name": asked}, walks=True) if "substr" in said]
        assert len(walked) == 2
        for plan in walked:
            assert not list(complaints(plan, sorts=filled.url.startswith("postgresql")))
            assert "ix_patient_word_initial" in str(plan) or filled.url.startswith("postgresql")  # which has numbers


@pytest.fixture
def little(database_url):
    """Give 400 studies of eighty days, received in fives at a time, and the same as plain rows in reading order."""
    filling.fill(database_url, 400, per_day=5)
    database = session.Database(database_url)
    with database.write() as opened:  # several at a moment: their UIDs tell the order
        opened.execute(
            sa.text(
                "UPDATE study SET received_at = (SELECT min(o.received_at) FROM study o "
                "WHERE o.change_number / 5 = study.change_number / 5)"
            )
        )
    rows, cursor = [], None
    while True:
        page = worklist.page(database, worklist.Filters(), cursor, 500)
        rows, cursor = rows + page.items, page.next
        if cursor is None:
            break
    assert len(rows) == 400
    yield database, rows
    database.dispose()


def meets(row, *, date_from, date_to, priority, outcome, patient_name):
    return (
        (date_from is None or row.study_date >= date_from.strftime("%Y%m%d"))
        and (date_to is None or row.study_date <= date_to.strftime("%Y%m%d"))
        and (priority is None or row.flag.priority is priority)
        and (outcome is None or row.flag.outcome is outcome)
        and (patient_name is None or any(w.startswith(patient_name) for w in row.patient_name.lower().split("^")))
    )


def test_a_page_asks_as_often_for_many_studies_as_for_few(little):
    db, _ = little
    for filters, most in (({}, 1), ({"patient_name": "b"}, 3), ({"date_from": BEGIN}, 7)):
        for limit in (2, 50):
            with noted(db) as sent:
                assert len(worklist.page(db, worklist.Filters(**filters), None, limit).items) == limit
            assert sum(statement.startswith(("SELECT", "WITH")) for statement, _ in sent) <= most


def test_the_pages_of_every_mix_of_filters_hold_each_study_once_in_order(little):
    db, rows = little
    early, first, late = (BEGIN + dt.timedelta(days=days) for days in (20, 31, 70))
    ranges = [(None, None), (early, None), (None, late), (early, late), (first, first), (late, early)]
    others = [(None, None, None), (LOW, None, "b"), (None, ABSENT, None), (LOW, ABSENT, None)]
    for (date_from, date_to), (priority, outcome, name) in itertools.product(ranges, others):
        asked = {"date_from": date_from, "date_to": date_to, "priority": priority, "outcome": outcome}
        asked["patient_name"] = name
        wanted = [row.study_instance_uid for row in rows if meets(row, **asked)]
        seen, cursor = [], None
        while True:
            page = worklist.page(db, worklist.Filters(**asked), cursor, 60)
            seen += [row.study_instance_uid for row in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert seen == wanted, asked
