"""Eight processes write to one study at once: no update of its flag is lost."""

import pathlib
import subprocess
import sys

import instances as some
import pytest
import sqlalchemy as sa

from triage import domain
from triage.db import arrivals, flags, session, tables, worklist

TESTS = pathlib.Path(__file__).resolve().parent.parent
WRITERS, UPDATES = 8, 50

BUMP = """
import dataclasses, sys
import instances as some
from cac import reasons
from triage.db import flags, session
url, number, updates = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = session.Database(url)
def change(open_session):
    study = flags.lock(open_session, [some.STUDY])[some.STUDY]
    study.content_version += 1
    open_session.flush()
    score = (study.agatston or 0.0) + 1.0  # read, then written: what loses updates without a lock
    flags.write(open_session, study, dataclasses.replace(flags.current(study), agatston=score), some.NOW)
for _ in range(updates):
    db.transact(change)
db.dispose()
"""

SEND = """
import sys
import instances as some
from triage.db import arrivals, session
url, number = sys.argv[1], int(sys.argv[2])
db = session.Database(url)
for image in range(12):
    arrivals.note(db, some.instance(image, series=f"1.2.3.{number % 4}"), None, some.RULES, some.NOW)
db.dispose()
"""


def together(program, url, *arguments):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, url, str(number), *map(str, arguments)],
            env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for process in running:
        _, told = process.communicate(timeout=200)
        assert process.returncode == 0, told


def test_eight_writers_lose_no_update_of_a_flag(db):
    arrivals.note(db, some.instance(), None, some.RULES, some.NOW)
    before = worklist.study(db, some.STUDY).flag.version
    together(BUMP, db.url, UPDATES)
    flag = worklist.study(db, some.STUDY).flag
    assert (flag.agatston, flag.version - before) == (WRITERS * UPDATES, WRITERS * UPDATES)
    with db.read() as open_session:
        assert open_session.scalar(sa.select(tables.Counter.value)) == WRITERS * UPDATES + 1


def test_eight_senders_of_one_study_note_every_image_once(db):
    together(SEND, db.url)
    detail = worklist.study(db, some.STUDY)
    assert [series.images_received for series in detail.series] == [12] * 4
    with db.read() as open_session:
        assert open_session.scalar(sa.select(tables.Study.content_version)) == 48


def test_a_flag_decided_on_older_content_is_not_written(db):
    arrivals.note(db, some.instance(), None, some.RULES, some.NOW)
    low = domain.Flag(priority=domain.Priority.LOW, outcome=domain.Outcome.ABSENT, reasons=())
    with db.write() as open_session:
        study = flags.lock(open_session, [some.STUDY])[some.STUDY]
        newer = sa.update(tables.Study).values(content_version=99).execution_options(synchronize_session=False)
        open_session.execute(newer)
        with pytest.raises(session.Crossed):
            flags.write(open_session, study, low, some.NOW)
    assert worklist.study(db, some.STUDY).flag.priority == "routine"
