"""The schema: made by migrations, and the one the tables say."""

import alembic.command
import pytest

from triage.db import session


# SQLite does not tell of an index over an expression; PostgreSQL's is compared.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index ix_patient_word_initial")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index 'ix_patient_word")
def test_a_migrated_database_is_at_head_and_agrees_with_the_tables(database_url):
    assert session.at_head(database_url)
    alembic.command.check(session._config(database_url))


def test_an_empty_database_is_not_at_head(tmp_path):
    assert not session.at_head(f"sqlite:///{tmp_path / 'empty.sqlite'}")
