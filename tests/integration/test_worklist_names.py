"""A patient's name is found by its words, however it came into the database."""

import alembic.command
import instances as some
import pytest

from benchmarks import filling
from triage.db import arrivals, names, session, worklist


def found(db, name):
    page = worklist.page(db, worklist.Filters(patient_name=name), None, 50)
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


def test_names_and_months_from_before_the_migration_are_found(tmp_path):
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    session.upgrade(url)
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
