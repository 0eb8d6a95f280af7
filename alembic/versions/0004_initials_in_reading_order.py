"""An index that keeps the words of one first letter in reading order, for searches that many names meet.

A later batch change of this table on SQLite must make the index again: SQLAlchemy cannot see one over an expression.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"

INDEX = [sa.text("substr(word, 1, 1)"), "priority", "received_at", "study_instance_uid", "word", "name"]


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_patient_word_initial", "patient_word", INDEX)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_patient_word_initial", "patient_word")
