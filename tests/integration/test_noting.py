"""Rows written together: every sender hears of its own, and none waits for one that does not come."""

import concurrent.futures
import dataclasses
import datetime as dt
import itertools

import listening
import pytest
import small_ct
import sqlalchemy as sa

from service import noting
from triage import rules, settings, spool
from triage.db import arrivals, session, tables
from triage.dicom import headers


@pytest.fixture
def noter(db, tmp_path):
    moments = (dt.datetime(2026, 1, 2, tzinfo=dt.UTC) + dt.timedelta(seconds=number) for number in itertools.count())
    return noting.Noter(db, rules.from_settings(settings.load(home=tmp_path)), lambda: next(moments))


def _note(noter: noting.Noter, number: int, **changes: object) -> None:
    header = headers.Header(small_ct.to_bytes(small_ct.slice_of_ct(number)))
    stored = spool.Stored(path=f"1/2/{number}.dcm", size=1, sha256=f"{number:064x}")
    with noter.expecting() as row:
        row.note(dataclasses.replace(header.instance(stored), **changes), None)


def test_those_who_wait_while_one_writes_are_written_in_one_transaction(db, noter):
    _note(noter, 0)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        with db.write() as other:
            other.execute(sa.update(tables.Study).values(description="held"))  # whoever writes has to wait
            first = pool.submit(_note, noter, 1)
            listening.until(lambda: noter._writing and not noter._queue)
            waiting = [pool.submit(_note, noter, number) for number in (2, 3, 4)]
            listening.until(lambda: len(noter._queue) == 3)
        for sender in (first, *waiting):
            sender.result()
    with db.read() as session:
        moments = session.scalars(sa.select(tables.Instance.received_at).order_by(tables.Instance.path)).all()
    assert len(moments) == 5
    assert len(set(moments[2:])) == 1  # a transaction has one clock
    assert len(set(moments)) == 3


def test_an_object_that_was_given_up_is_not_waited_for(db, noter):
    with pytest.raises(RuntimeError), noter.expecting():
        raise RuntimeError("the disk is full")
    assert noter._expected == 0
    _note(noter, 0)
    assert arrivals.find(db, small_ct.slice_of_ct(0).SOPInstanceUID) is not None


def test_a_row_that_is_refused_takes_no_other_with_it_and_the_database_is_not_left_alone(db, noter):
    _note(noter, 0)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        with db.write() as other:
            other.execute(sa.update(tables.Study).values(description="held"))
            first = pool.submit(_note, noter, 1)
            listening.until(lambda: noter._writing and not noter._queue)
            bad, good = pool.submit(_note, noter, 2, path=None), pool.submit(_note, noter, 3)
            listening.until(lambda: len(noter._queue) == 2)
        first.result()
        good.result()
        with pytest.raises(session.Refused):
            bad.result()
    assert not noter.resting
    known = [arrivals.find(db, small_ct.slice_of_ct(number).SOPInstanceUID) is not None for number in range(4)]
    assert known == [True, True, False, True]


def test_an_unexpected_failure_of_one_row_leaves_its_sender_a_storage_error(db, noter):
    with pytest.raises(session.Refused):
        _note(noter, 0, kind="no kind")
    _note(noter, 1)
