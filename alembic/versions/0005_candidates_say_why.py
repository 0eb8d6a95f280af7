"""Candidates bear their slice, their volume, and the reason of their decision.

The table of candidates was there from the first revision, one row each, apart from what the worklist reads: columns are
added to it, which copies nothing on either database. Runs from before keep theirs without these: nobody knows them.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = {
    "slice_number": sa.Integer(),
    "volume_mm3": sa.Double(),
    "reason": sa.String(length=64),
    "sentence": sa.Text(),
}


def upgrade() -> None:
    """Apply."""
    for name, kind in COLUMNS.items():
        op.add_column("candidate", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Take back."""
    for name in reversed(COLUMNS):
        op.drop_column("candidate", name)
