"""What the node knows of what it received: studies, series, instances, transfers. Runs stand in `results`."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy import orm

from cac import reasons
from triage import domain
from triage.db import columns

UID = sa.String(64)


class Base(orm.DeclarativeBase):
    """Name constraints alike on both databases."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - the name SQLAlchemy reads
        dt.datetime: columns.UtcDateTime(),
        tuple[reasons.Reason, ...]: columns.Reasons(),
        tuple[str, ...]: columns.Tuple(),
        tuple[float, ...]: columns.Tuple(),
        domain.SeriesState: columns.Word(domain.SeriesState),
        domain.Standing: columns.Word(domain.Standing),
        domain.RunTrigger: columns.Word(domain.RunTrigger),
        domain.RunPhase: columns.Word(domain.RunPhase),
        domain.Outcome: columns.Word(domain.Outcome),
        domain.InstanceKind: columns.Word(domain.InstanceKind),
        domain.Priority: columns.ReadingPlace(),
    }


READING = ("priority", "received_at", "study_instance_uid")
"""What the worklist is ordered by. An index that ends in it gives a filter's page without a sort, however deep."""


class Study(Base):
    """Hold a study and its flag. Its row is locked first by every transaction that changes anything of it.

    No index here changes with each image: they cost where a study arrives and where its flag moves.
    """

    __tablename__ = "study"
    __table_args__ = (
        sa.Index("ix_study_reading", *READING),  # the worklist as it is, and by priority
        sa.Index("ix_study_outcome", "outcome", *READING),  # ... by outcome, and by outcome and priority
        sa.Index("ix_study_accession", "accession_number", *READING),  # ... by accession number
        sa.Index("ix_study_patient", "patient_id", *READING),  # search by patient's number
        sa.Index("ix_study_day", "study_date", "outcome", *READING),  # the single days of a range (`days`)
        sa.Index("ix_study_month", "study_month", "outcome", *READING),  # its whole months
        sa.Index(None, "change_number"),  # `changes`
    )

    study_instance_uid: orm.Mapped[str] = orm.mapped_column(UID, primary_key=True)
    patient_id: orm.Mapped[str] = orm.mapped_column(sa.Text)
    patient_name: orm.Mapped[str] = orm.mapped_column(sa.Text)
    patient_birth_date: orm.Mapped[str] = orm.mapped_column(sa.Text)
    accession_number: orm.Mapped[str] = orm.mapped_column(sa.Text)
    study_date: orm.Mapped[str] = orm.mapped_column(sa.Text)
    study_month: orm.Mapped[str] = orm.mapped_column(
        sa.Text, sa.Computed("substr(study_date, 1, 6)"), deferred=True, nullable=True
    )
    description: orm.Mapped[str] = orm.mapped_column(sa.Text)
    procedure_codes: orm.Mapped[tuple[str, ...]]
    two_patients: orm.Mapped[bool]
    shares_series: orm.Mapped[bool]
    received_at: orm.Mapped[dt.datetime]
    content_version: orm.Mapped[int]
    priority: orm.Mapped[domain.Priority]
    outcome: orm.Mapped[domain.Outcome]
    reasons: orm.Mapped[tuple[reasons.Reason, ...]]
    agatston: orm.Mapped[float | None]
    category: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    flag_version: orm.Mapped[int]
    flag_updated_at: orm.Mapped[dt.datetime]
    change_number: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)


class PatientWord(Base):
    """Hold one word of the name of a study's patient, without case: search by name finds beginnings of words.

    `name` holds all of its words, each after a space; the rest is the study's own (`flags.follow`).
    """

    __tablename__ = "patient_word"
    __table_args__ = (
        sa.Index("ix_patient_word_word", "word", *READING, "outcome", "study_date", "name"),
        sa.Index("ix_patient_word_initial", sa.text("substr(word, 1, 1)"), *READING, "word", "name"),
    )

    study_instance_uid: orm.Mapped[str] = orm.mapped_column(
        UID, sa.ForeignKey(Study.study_instance_uid), primary_key=True
    )
    word: orm.Mapped[str] = orm.mapped_column(columns.by_bytes(), primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.Text)
    priority: orm.Mapped[domain.Priority]
    received_at: orm.Mapped[dt.datetime]
    outcome: orm.Mapped[domain.Outcome]
    study_date: orm.Mapped[str] = orm.mapped_column(sa.Text)


class Series(Base):
    """Hold a series. `standing` and `outcome` are its own; another series may make it one more reconstruction.

    `content_version` grows with every new object, `content_hash` is set when the series is complete.
    """

    __tablename__ = "series"

    series_instance_uid: orm.Mapped[str] = orm.mapped_column(UID, primary_key=True)
    study_instance_uid: orm.Mapped[str] = orm.mapped_column(UID, sa.ForeignKey(Study.study_instance_uid), index=True)
    state: orm.Mapped[domain.SeriesState] = orm.mapped_column(index=True)
    standing: orm.Mapped[domain.Standing]
    standing_reasons: orm.Mapped[tuple[reasons.Reason, ...]]
    modality: orm.Mapped[str] = orm.mapped_column(sa.Text)
    description: orm.Mapped[str] = orm.mapped_column(sa.Text)
    study_description: orm.Mapped[str] = orm.mapped_column(sa.Text)
    body_part: orm.Mapped[str] = orm.mapped_column(sa.Text)
    frame_of_reference_uid: orm.Mapped[str] = orm.mapped_column(sa.Text)
    acquisition: orm.Mapped[str] = orm.mapped_column(sa.Text)
    declared_images: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    images_received: orm.Mapped[int]
    in_two_studies: orm.Mapped[bool]
    content_version: orm.Mapped[int]
    content_hash: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    first_image_at: orm.Mapped[dt.datetime]
    last_image_at: orm.Mapped[dt.datetime]


class Instance(Base):
    """Hold one stored object. `variant` is empty for the first under its UID, else the sha256 of the copy aside."""

    __tablename__ = "instance"

    sop_instance_uid: orm.Mapped[str] = orm.mapped_column(UID, primary_key=True)
    variant: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    series_instance_uid: orm.Mapped[str] = orm.mapped_column(UID, sa.ForeignKey(Series.series_instance_uid), index=True)
    sop_class_uid: orm.Mapped[str] = orm.mapped_column(sa.Text)
    transfer_syntax_uid: orm.Mapped[str] = orm.mapped_column(sa.Text)
    path: orm.Mapped[str] = orm.mapped_column(sa.Text, index=True)
    size: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)
    sha256: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    kind: orm.Mapped[domain.InstanceKind]
    received_at: orm.Mapped[dt.datetime]
    modality: orm.Mapped[str] = orm.mapped_column(sa.Text)
    image_type: orm.Mapped[tuple[str, ...]]
    instance_number: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    rows: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    columns: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    pixel_spacing: orm.Mapped[tuple[float, ...] | None]
    position: orm.Mapped[tuple[float, ...] | None]
    orientation: orm.Mapped[tuple[float, ...] | None]
    thickness: orm.Mapped[float | None]
    kvp: orm.Mapped[float | None]
    kernel: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    contrast_agent: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    lossy: orm.Mapped[bool]
    rescale_present: orm.Mapped[bool]
    rescale_type: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    frame_of_reference_uid: orm.Mapped[str] = orm.mapped_column(sa.Text)
    acquisition: orm.Mapped[str] = orm.mapped_column(sa.Text)


class Listener(Base):
    """Hold a listener's sign of life: its associations count as broken when it falls silent."""

    __tablename__ = "listener"

    name: orm.Mapped[str] = orm.mapped_column(sa.String(200), primary_key=True)
    heartbeat_at: orm.Mapped[dt.datetime]


class Association(Base):
    """Hold one association; open while `closed_at` is empty and its listener lives."""

    __tablename__ = "association"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    listener: orm.Mapped[str] = orm.mapped_column(sa.ForeignKey(Listener.name))
    calling_ae: orm.Mapped[str] = orm.mapped_column(sa.Text)
    opened_at: orm.Mapped[dt.datetime]
    last_image_at: orm.Mapped[dt.datetime]
    closed_at: orm.Mapped[dt.datetime | None]
    aborted: orm.Mapped[bool]


class Delivery(Base):
    """Hold how many images of a series one association sent, copies of known ones counted too."""

    __tablename__ = "delivery"

    association_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Association.id), primary_key=True)
    series_instance_uid: orm.Mapped[str] = orm.mapped_column(
        UID, sa.ForeignKey(Series.series_instance_uid), primary_key=True, index=True
    )
    images: orm.Mapped[int]


class Counter(Base):
    """Number the changes of flags. Its row is locked to the commit, so numbers become visible in order."""

    __tablename__ = "counter"

    name: orm.Mapped[str] = orm.mapped_column(sa.String(32), primary_key=True)
    value: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)


class Node(Base):
    """Hold whether spool and database were found to agree since the node's last start."""

    __tablename__ = "node"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    boot_id: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    agreed: orm.Mapped[bool]
    at: orm.Mapped[dt.datetime]
