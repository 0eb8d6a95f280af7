"""Studies, series, instances, runs and flags.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply."""
    _counter()
    _listener()
    _node()
    _study()
    _association()
    _series()
    _delivery()
    _instance()
    _run()
    _candidate()
    _lesion()
    op.execute("INSERT INTO counter (name, value) VALUES ('flag', 0)")


def downgrade() -> None:
    """Take back."""
    for name in (
        "lesion",
        "candidate",
        "run",
        "instance",
        "delivery",
        "series",
        "association",
        "study",
        "node",
        "listener",
        "counter",
    ):
        op.drop_table(name)


def _counter() -> None:
    op.create_table(
        "counter",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
    )


def _listener() -> None:
    op.create_table(
        "listener",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_listener")),
    )


def _node() -> None:
    op.create_table(
        "node",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("agreed", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
    )


def _study() -> None:
    op.create_table(
        "study",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("patient_birth_date", sa.Text(), nullable=False),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("study_date", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("procedure_codes", sa.JSON(), nullable=False),
        sa.Column("two_patients", sa.Boolean(), nullable=False),
        sa.Column("shares_series", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_version", sa.Integer(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("agatston", sa.Double(), nullable=True),
        sa.Column("category", sa.String(length=32), nullable=True),
        sa.Column("flag_version", sa.Integer(), nullable=False),
        sa.Column("flag_updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("change_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", name=op.f("pk_study")),
    )
    op.create_index(op.f("ix_study_accession_number"), "study", ["accession_number"])
    op.create_index(op.f("ix_study_change_number"), "study", ["change_number"])
    op.create_index(op.f("ix_study_outcome"), "study", ["outcome"])
    op.create_index(op.f("ix_study_patient_id"), "study", ["patient_id"])
    op.create_index(
        op.f("ix_study_priority_received_at_study_instance_uid"),
        "study",
        ["priority", "received_at", "study_instance_uid"],
    )
    op.create_index(op.f("ix_study_study_date"), "study", ["study_date"])


def _association() -> None:
    op.create_table(
        "association",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("listener", sa.String(length=200), nullable=False),
        sa.Column("calling_ae", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_image_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("aborted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["listener"], ["listener.name"], name=op.f("fk_association_listener_listener")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_association")),
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("standing", sa.String(32), nullable=False),
        sa.Column("standing_reasons", sa.JSON(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("study_description", sa.Text(), nullable=False),
        sa.Column("body_part", sa.Text(), nullable=False),
        sa.Column("frame_of_reference_uid", sa.Text(), nullable=False),
        sa.Column("acquisition", sa.Text(), nullable=False),
        sa.Column("declared_images", sa.BigInteger(), nullable=True),
        sa.Column("images_received", sa.Integer(), nullable=False),
        sa.Column("in_two_studies", sa.Boolean(), nullable=False),
        sa.Column("content_version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=True),
        sa.Column("first_image_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_image_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_instance_uid"], ["study.study_instance_uid"], name=op.f("fk_series_study_instance_uid_study")
        ),
        sa.PrimaryKeyConstraint("series_instance_uid", name=op.f("pk_series")),
    )
    op.create_index(op.f("ix_series_state"), "series", ["state"])
    op.create_index(op.f("ix_series_study_instance_uid"), "series", ["study_instance_uid"])


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("association_id", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["association_id"], ["association.id"], name=op.f("fk_delivery_association_id_association")
        ),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"], ["series.series_instance_uid"], name=op.f("fk_delivery_series_instance_uid_series")
        ),
        sa.PrimaryKeyConstraint("association_id", "series_instance_uid", name=op.f("pk_delivery")),
    )
    op.create_index(op.f("ix_delivery_series_instance_uid"), "delivery", ["series_instance_uid"])


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("variant", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("image_type", sa.JSON(), nullable=False),
        sa.Column("instance_number", sa.BigInteger(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("columns", sa.BigInteger(), nullable=True),
        sa.Column("pixel_spacing", sa.JSON(), nullable=True),
        sa.Column("position", sa.JSON(), nullable=True),
        sa.Column("orientation", sa.JSON(), nullable=True),
        sa.Column("thickness", sa.Double(), nullable=True),
        sa.Column("kvp", sa.Double(), nullable=True),
        sa.Column("kernel", sa.Text(), nullable=True),
        sa.Column("contrast_agent", sa.Text(), nullable=True),
        sa.Column("lossy", sa.Boolean(), nullable=False),
        sa.Column("rescale_present", sa.Boolean(), nullable=False),
        sa.Column("rescale_type", sa.Text(), nullable=True),
        sa.Column("frame_of_reference_uid", sa.Text(), nullable=False),
        sa.Column("acquisition", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"], ["series.series_instance_uid"], name=op.f("fk_instance_series_instance_uid_series")
        ),
        sa.PrimaryKeyConstraint("sop_instance_uid", "variant", name=op.f("pk_instance")),
    )
    op.create_index(op.f("ix_instance_path"), "instance", ["path"])
    op.create_index(op.f("ix_instance_series_instance_uid"), "instance", ["series_instance_uid"])


def _run() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.String(32), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("completeness", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("lease_token", sa.String(length=64), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("models_hash", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("profile", sa.String(length=32), nullable=False),
        sa.Column("agatston", sa.Double(), nullable=True),
        sa.Column("category", sa.String(length=32), nullable=True),
        sa.Column("cac_drs", sa.String(length=32), nullable=True),
        sa.Column("volume_mm3", sa.Double(), nullable=True),
        sa.Column("mass_mg", sa.Double(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.JSON(), nullable=False),
        sa.Column("segmentation_path", sa.Text(), nullable=True),
        sa.Column("segmentation_uid", sa.String(length=64), nullable=True),
        sa.Column("preview_path", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"], ["series.series_instance_uid"], name=op.f("fk_run_series_instance_uid_series")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("series_instance_uid", "number", name=op.f("uq_run_series_instance_uid_number")),
    )
    op.create_index(op.f("ix_run_phase_lease_until"), "run", ["phase", "lease_until"])


def _candidate() -> None:
    op.create_table(
        "candidate",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("centre", sa.JSON(), nullable=False),
        sa.Column("voxels", sa.Integer(), nullable=False),
        sa.Column("max_hu", sa.Double(), nullable=False),
        sa.Column("axial", sa.Double(), nullable=True),
        sa.Column("sagittal", sa.Double(), nullable=True),
        sa.Column("coronal", sa.Double(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("doubt", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_candidate_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_candidate")),
    )


def _lesion() -> None:
    op.create_table(
        "lesion",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("centre", sa.JSON(), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("max_hu", sa.Double(), nullable=False),
        sa.Column("agatston", sa.Double(), nullable=False),
        sa.Column("volume_mm3", sa.Double(), nullable=False),
        sa.Column("mass_mg", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_lesion_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_lesion")),
    )
