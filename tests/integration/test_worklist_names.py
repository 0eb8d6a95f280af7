"""A patient's name is found by its words, however it came into the database."""

import datetime as dt

import alembic.command
import instances as some
import pytest

from benchmarks import filling
from triage import domain
from triage.db import arrivals, flags, names, session, worklist


def found(db, name, **filters):
    page = worklist.page(db, worklist.Filters(patient_name=name, **filters), None, 50)
    return [row.study_instance_uid for row in page.items]


@pytest.mark.parametrize("asked", ["MÜLLER", "müller", "anna müll", "Müller^Anna", "LENA m"])
def test_a_name_is_found_by_the_beginnings_of_its_words(db, asked):
    arrivals.note(db, some.instance(1, patient_name="Müller^Anna Lena"), None, some.RULES, some.NOW)
    assert found(db, asked) == [some.STUDY]


@pytest.mark.parametrize("asked", ["üller", "anna otto", "%", "^", "mull_r"])
def test_a_name_is_not_found_by_what_begins_no_word_of_it(db, asked):
    arrivals.note(db, some.instance(1, patient_name="Müller^Anna Lena"), None, some.RULES, some.NOW)
    assert found(db, asked) == []


def test_a_name_that_comes_with_a_later_image_is_found(db):
    arrivals.note(db, some.instance(1, patient_name=""), None, some.RULES, some.NOW)
    arrivals.note(db, some.instance(2, patient_name="DOE^JANE"), None, some.RULES, some.NOW)
    assert found(db, "jane") == [some.STUDY]


def test_a_long_name_with_many_words_is_cut_to_what_an_index_takes():
    assert names.words(" ".join(f"{number}{'x' * 100}" for number in range(50))) == [
        f"{number}{'x' * 100}"[:64] for number in range(16)
    ]


def test_a_name_is_found_among_others_of_its_flag_and_day(db):
    arrivals.note(db, some.instance(1, study_date=""), None, some.RULES, some.NOW)
    arrivals.note(db, some.instance(2, study_date="20260105"), None, some.RULES, some.NOW)
    name = some.instance(1).patient_name.split("^")[0]
    day = dt.date(2026, 1, 5)
    assert found(db, name, date_from=day, date_to=day) == [some.STUDY]
    assert found(db, name, outcome=domain.Outcome.ABSENT) == []
    with db.write() as opened:
        study = flags.lock(opened, [some.STUDY])[some.STUDY]
        low = domain.Flag(priority=domain.Priority.LOW, outcome=domain.Outcome.ABSENT, reasons=())
        flags.write(opened, study, low, some.NOW)
    assert found(db, name, outcome=domain.Outcome.ABSENT) == [some.STUDY]
    assert found(db, name, priority=domain.Priority.LOW, date_from=day) == [some.STUDY]
    assert found(db, name, priority=domain.Priority.ROUTINE) == []


def test_a_name_that_is_common_is_found_like_a_rare_one(db, monkeypatch):
    arrivals.note(db, some.instance(1, patient_name="M_ller^Anna Lena"), None, some.RULES, some.NOW)
    for name in ("FEW", "FEW_SIFTED"):
        monkeypatch.setattr(names, name, 0)
    assert found(db, "anna") == found(db, "len m_l") == found(db, "a l", date_from=dt.date(2020, 1, 1)) == [some.STUDY]
    assert found(db, "anna mxl") == found(db, "nna") == found(db, "anna otto", date_from=dt.date(2020, 1, 1)) == []


def test_names_and_months_from_before_the_migrations_are_found(database_url):
    url = database_url
    filling.fill(url, 40)
    alembic.command.downgrade(session._config(url), "0001")
    assert not session.at_head(url)
    session.upgrade(url)
    db = session.Database(url)
    everyone = worklist.page(db, worklist.Filters(), None, 50).items
    assert len(everyone) == 40
    for row in everyone:
        assert row.study_instance_uid in found(db, row.patient_name)
    assert len(worklist.page(db, worklist.Filters(date_to=some.NOW.date()), None, 50).items) == 40
    db.dispose()
