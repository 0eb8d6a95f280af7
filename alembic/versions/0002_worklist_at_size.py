"""Indexes that keep each filter of the worklist in reading order; the words of patients' names.

Revision ID: 0002
Revises: 0001
"""

import re
import unicodedata

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"

READING = ["priority", "received_at", "study_instance_uid"]
OLD = {
    "ix_study_priority_received_at_study_instance_uid": READING,
    "ix_study_outcome": ["outcome"],
    "ix_study_accession_number": ["accession_number"],
    "ix_study_patient_id": ["patient_id"],
    "ix_study_study_date": ["study_date"],
}
NEW = {
    "ix_study_reading": READING,
    "ix_study_outcome": ["outcome", *READING],
    "ix_study_accession": ["accession_number", *READING],
    "ix_study_patient": ["patient_id", *READING],
    "ix_study_day": ["study_date", "outcome", *READING],
    "ix_study_month": ["study_month", "outcome", *READING],
}
AT_ONCE = 5000


def upgrade() -> None:
    """Apply."""
    for name in OLD:
        op.drop_index(name, "study")
    # SQLite adds no stored column to a table, PostgreSQL below 18 keeps no other.
    month = sa.Computed("substr(study_date, 1, 6)", persisted=op.get_bind().dialect.name == "postgresql")
    op.add_column("study", sa.Column("study_month", sa.Text(), month, nullable=True))
    for name, columns in NEW.items():
        op.create_index(name, "study", columns)
    word = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "patient_word",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("word", word, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"], ["study.study_instance_uid"], name=op.f("fk_patient_word_study_instance_uid_study")
        ),
        sa.PrimaryKeyConstraint("study_instance_uid", "word", name=op.f("pk_patient_word")),
    )
    _note_names()
    op.create_index("ix_patient_word_word", "patient_word", ["word", "study_instance_uid"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("patient_word")
    for name in NEW:
        op.drop_index(name, "study")
    with op.batch_alter_table("study") as batch:
        batch.drop_column("study_month")
    for name, columns in OLD.items():
        op.create_index(name, "study", columns)


def _note_names() -> None:
    """Cut the names that are there already into words."""
    connection = op.get_bind()
    study = sa.table("study", sa.column("study_instance_uid"), sa.column("patient_name"))
    word = sa.table("patient_word", sa.column("study_instance_uid"), sa.column("word"))
    query, last = sa.select(study).order_by(study.c.study_instance_uid).limit(AT_ONCE), ""
    while names := connection.execute(query.where(study.c.study_instance_uid > last)).all():
        rows = [{"study_instance_uid": uid, "word": each} for uid, name in names for each in _words(name)]
        if rows:
            connection.execute(sa.insert(word), rows)
        last = names[-1][0]


def _words(name: str) -> list[str]:
    """Return a name's words as `triage.db.names` did when this revision was written."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return list(dict.fromkeys(word[:64] for word in re.findall(r"\w+", plain)))[:16]
