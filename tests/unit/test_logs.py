"""No patient data stands in logs, not even when something crashes."""

import logging

import pytest
import sqlalchemy as sa
import structlog

from triage import logs
from triage.db import session


@pytest.fixture(autouse=True)
def tidy():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_crash_is_logged_without_local_variables(style, capsys):
    logs.configure("INFO", style)
    patient_name = "DOE" + "^JOHN"
    try:
        len(patient_name) / 0
    except ZeroDivisionError:
        logs.get("test").exception("Something crashed.", action="crashed")
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert patient_name not in told


def test_the_text_of_a_database_error_hides_what_was_to_be_written(tmp_path):
    db = session.Database(f"sqlite:///{tmp_path}/some.db")
    with pytest.raises(sa.exc.OperationalError) as failure, db._engine.connect() as connection:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:name)"), {"name": "DOE^JOHN"})
    assert "DOE^JOHN" not in str(failure.value)
    db.dispose()
