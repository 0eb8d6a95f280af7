"""The short way of noting images must leave what the full way leaves."""

import instances as some
import listening
import pytest
import sqlalchemy as sa

from triage import domain
from triage.db import arrivals, continuing, session, tables, transfers

TABLES = (tables.Study, tables.Series, tables.Instance, tables.Association, tables.Delivery, tables.Counter)
OTHER = "1.2.3.2"


def _rows(db: session.Database) -> list[list[tuple]]:
    with db.look() as connection:
        return [
            sorted(map(tuple, connection.execute(sa.select(table.__table__))), key=str)
            for table in TABLES  # every column
        ]


def _note(db: session.Database, *batches: list[domain.Instance]) -> None:
    association = transfers.open_association(db, "listener", "SENDER", some.NOW)
    for number, batch in enumerate(batches):
        pairs = [(instance, association) for instance in batch]
        arrivals.note_many(db, pairs, some.RULES, some.later(number))


def _twice(tmp_path, monkeypatch, *batches: list[domain.Instance]) -> tuple[list, list, list[bool]]:
    """Note batches where the short way may be taken and where it may not; return both databases' rows, and the ways."""
    ways: list[bool] = []
    short_way = continuing.note

    def watched(*given):
        ways.append(short_way(*given))
        return ways[-1]

    left = []
    for name, way in (("short", watched), ("long", lambda *_: False)):
        (tmp_path / name).mkdir()
        db = session.Database(listening.sqlite(tmp_path / name))
        with monkeypatch.context() as patched:
            patched.setattr(continuing, "note", way)
            _note(db, *batches)
        left.append(_rows(db))
        db.dispose()
    return left[0], left[1], ways


def test_images_that_only_add_take_the_short_way_and_leave_the_same_rows(tmp_path, monkeypatch):
    batches = [
        [some.instance(1)],
        [some.instance(1, series=OTHER, declared_images=2)],
        [some.instance(2, declared_images=9), some.instance(3, declared_images=5)],
        [some.instance(4, declared_images=0), some.instance(2, series=OTHER, kind=domain.InstanceKind.UNREADABLE)],
        [some.instance(5, kind=domain.InstanceKind.OTHER)],
    ]
    short, long, ways = _twice(tmp_path, monkeypatch, *batches)
    assert ways == [False, False, True, True, True]
    assert short == long


@pytest.mark.parametrize(
    "changed",
    [
        {"patient_id": "4712"},
        {"patient_id": "", "patient_name": "ROE^RICHARD"},
        {"patient_birth_date": "19600101"},
        {"accession_number": "A2"},
        {"procedure_codes": ("426005005",)},
        {"study": "1.2.4"},
        {"series": "1.2.3.9"},
        {"frame_of_reference_uid": "1.2.9"},
        {"acquisition": "2|202601051011"},
        {"series_description": "CaSc"},
        {"body_part": "HEART"},
        {"kind": domain.InstanceKind.ASIDE},
    ],
)
def test_an_image_that_says_more_takes_the_full_way(tmp_path, monkeypatch, changed):
    short, long, ways = _twice(tmp_path, monkeypatch, [some.instance(1)], [some.instance(2, **changed)])
    assert short == long
    assert ways == [False, False]


def test_the_same_image_again_takes_the_full_way_and_changes_nothing(tmp_path, monkeypatch):
    again = [
        [some.instance(1)],
        [some.instance(1)],
        [some.instance(2), some.instance(2)],
        [some.instance(1, content="x")],
    ]
    short, long, ways = _twice(tmp_path, monkeypatch, *again)
    assert short == long
    assert not any(ways)


def test_the_short_way_stands_on_both_databases(db):
    _note(db, [some.instance(1)], [some.instance(2), some.instance(3)], [some.instance(4)])
    with db.look() as connection:
        series = connection.execute(sa.select(tables.Series)).one()
        delivery = connection.execute(sa.select(tables.Delivery)).one()
    assert (series.images_received, series.content_version, delivery.images) == (4, 4, 4)


def test_a_low_study_never_takes_the_short_way(db):
    some.receive(db)
    some.assemble(db)
    some.finish(db)
    assert not db.transact_plainly(lambda connection: continuing.note(connection, [(some.instance(9), None)], some.NOW))
