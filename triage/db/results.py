"""What the workers found: runs, which are only ever added to a series, with candidates and lesions."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from cac import reasons
from triage import domain
from triage.db import tables


class Run(tables.Base):
    """Hold one run. `attempt` counts the leases taken, `lease_token` names the one in force."""

    __tablename__ = "run"
    __table_args__ = (sa.UniqueConstraint("series_instance_uid", "number"), sa.Index(None, "phase", "lease_until"))

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    series_instance_uid: orm.Mapped[str] = orm.mapped_column(
        tables.UID, sa.ForeignKey(tables.Series.series_instance_uid)
    )
    number: orm.Mapped[int]
    trigger: orm.Mapped[domain.RunTrigger]
    phase: orm.Mapped[domain.RunPhase]
    content_hash: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    completeness: orm.Mapped[tuple[reasons.Reason, ...]]
    attempt: orm.Mapped[int]
    created_at: orm.Mapped[dt.datetime]
    started_at: orm.Mapped[dt.datetime | None]
    ended_at: orm.Mapped[dt.datetime | None]
    not_before: orm.Mapped[dt.datetime | None]
    rung_at: orm.Mapped[dt.datetime | None]
    worker: orm.Mapped[str] = orm.mapped_column(sa.Text)
    lease_token: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    lease_until: orm.Mapped[dt.datetime | None]
    outcome: orm.Mapped[domain.Outcome]
    reasons: orm.Mapped[tuple[reasons.Reason, ...]]
    models_hash: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    provider: orm.Mapped[str] = orm.mapped_column(sa.Text)
    profile: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    agatston: orm.Mapped[float | None]
    category: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    cac_drs: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    volume_mm3: orm.Mapped[float | None]
    mass_mg: orm.Mapped[float | None]
    images: orm.Mapped[int]
    seconds: orm.Mapped[dict[str, float]] = orm.mapped_column(sa.JSON)
    segmentation_path: orm.Mapped[str | None] = orm.mapped_column(sa.Text)
    segmentation_uid: orm.Mapped[str | None] = orm.mapped_column(tables.UID)
    preview_path: orm.Mapped[str | None] = orm.mapped_column(sa.Text)


class Candidate(tables.Base):
    """Hold one candidate with its three probabilities; the centre is (x, y, z) in mm, LPS.

    Slice, volume and reason are empty in runs from before revision 0005, which kept none.
    """

    __tablename__ = "candidate"

    run_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Run.id), primary_key=True)
    number: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    centre: orm.Mapped[tuple[float, ...]]
    voxels: orm.Mapped[int]
    max_hu: orm.Mapped[float]
    axial: orm.Mapped[float | None]
    sagittal: orm.Mapped[float | None]
    coronal: orm.Mapped[float | None]
    status: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    doubt: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    slice_number: orm.Mapped[int | None]
    volume_mm3: orm.Mapped[float | None]
    reason: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    sentence: orm.Mapped[str | None] = orm.mapped_column(sa.Text)


class Lesion(tables.Base):
    """Hold one accepted lesion; mass is uncalibrated."""

    __tablename__ = "lesion"

    run_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Run.id), primary_key=True)
    number: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    centre: orm.Mapped[tuple[float, ...]]
    slices: orm.Mapped[int]
    max_hu: orm.Mapped[float]
    agatston: orm.Mapped[float]
    volume_mm3: orm.Mapped[float]
    mass_mg: orm.Mapped[float]


_PLANES = ("axial", "sagittal", "coronal")
_CANDIDATE = ("number", "centre", "slice_number", "voxels", "volume_mm3", "max_hu", "status", "doubt")
_LESION = ("number", "centre", "slices", "max_hu", "agatston", "volume_mm3", "mass_mg")


def candidate_row(run_id: int, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a candidate, named as in `cac.finding.Candidate`; hundreds go in as one plain statement."""
    probabilities: Mapping[str, float] = one.get("probabilities") or {}
    why: Mapping[str, str] = one.get("reason") or {}
    return {
        "run_id": run_id,
        "reason": why.get("code"),
        "sentence": why.get("text"),
        **{name: _plain(one.get(name)) for name in _CANDIDATE},
        **{plane: _plain(probabilities.get(plane)) for plane in _PLANES},
    }


def candidate_values(one: Candidate | sa.Row[Any]) -> Mapping[str, Any]:
    """Return a candidate's row as it was given."""
    return {
        **{name: getattr(one, name) for name in _CANDIDATE},
        "probabilities": {plane: getattr(one, plane) for plane in _PLANES},
        "reason": None if one.reason is None else {"code": one.reason, "text": one.sentence},
    }


def lesion_row(run_id: int, one: Mapping[str, Any]) -> Lesion:
    """Build the row of a lesion, named as in `cac.finding.Lesion`."""
    return Lesion(run_id=run_id, **{name: _plain(one[name]) for name in _LESION})


def lesion_values(one: Lesion) -> Mapping[str, Any]:
    """Return a lesion's row as it was given."""
    return {name: getattr(one, name) for name in _LESION}


def _plain(value: Any) -> Any:
    """Return what a driver takes: numpy's numbers have `item`, words their value."""
    if isinstance(value, (tuple, list)):
        return tuple(_plain(part) for part in value)
    if hasattr(value, "item"):
        return value.item()
    return str(value.value) if hasattr(value, "value") else value
