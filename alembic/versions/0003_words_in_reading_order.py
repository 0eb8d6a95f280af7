"""The words of patients' names bear their study's place in the reading order and what the worklist sifts by.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"

OLD = ["word", "study_instance_uid"]
NEW = ["word", "priority", "received_at", "study_instance_uid", "outcome", "study_date", "name"]
COLUMNS = {
    "name": sa.Text(),
    "priority": sa.SmallInteger(),
    "received_at": sa.DateTime(timezone=True),
    "outcome": sa.String(length=32),
    "study_date": sa.Text(),
}
FOLLOW = """UPDATE patient_word SET name = whole.name, priority = study.priority, received_at = study.received_at,
    outcome = study.outcome, study_date = study.study_date
FROM study, (SELECT study_instance_uid AS uid, substr(' ' || group_concat(word, ' '), 1, 400) AS name
    FROM patient_word GROUP BY study_instance_uid) AS whole
WHERE study.study_instance_uid = patient_word.study_instance_uid AND whole.uid = patient_word.study_instance_uid"""


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_patient_word_word", "patient_word")
    with op.batch_alter_table("patient_word") as batch:
        for name, kind in COLUMNS.items():
            batch.add_column(sa.Column(name, kind, nullable=True))
    op.execute(FOLLOW.replace("group_concat", "string_agg") if op.get_bind().dialect.name == "postgresql" else FOLLOW)
    with op.batch_alter_table("patient_word") as batch:
        for name, kind in COLUMNS.items():
            batch.alter_column(name, existing_type=kind, nullable=False)
    op.create_index("ix_patient_word_word", "patient_word", NEW)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_patient_word_word", "patient_word")
    with op.batch_alter_table("patient_word") as batch:
        for name in COLUMNS:
            batch.drop_column(name)
    op.create_index("ix_patient_word_word", "patient_word", OLD)
