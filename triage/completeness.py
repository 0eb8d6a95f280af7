"""When a series counts as whole. Pure: the clock is an argument."""

from __future__ import annotations  # the field `reasons` would hide the module of that name

import dataclasses
import datetime as dt
from collections.abc import Sequence
from enum import StrEnum

from cac import errors, reasons, volume
from triage import domain

SILENT_AFTER_QUIETS = 3.0
"""An open association without any image for so many quiet times counts as broken off."""


class Decision(StrEnum):
    """Say what to do with a series that is arriving."""

    WAIT = "wait"
    COMPLETE = "complete"


WAIT = Decision.WAIT
COMPLETE = Decision.COMPLETE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Hold the decision and, where it is COMPLETE, what is missing: such a series can lower nothing."""

    decision: Decision
    reasons: tuple[reasons.Reason, ...] = ()


def judge(
    snapshot: domain.SeriesSnapshot, now: dt.datetime, settle: float, quiet: float, *, hopeless: bool = False
) -> Verdict:
    """Judge whether a series is whole, or no more is to be expected.

    `settle` and `quiet` are in seconds since its last image. `hopeless` says that its header already rules it out
    (`eligibility.hopeless`): then only the settle time is waited for.
    """
    since = (now - snapshot.last_image_at).total_seconds()
    if since < settle:
        return Verdict(decision=WAIT, reasons=())
    if hopeless:
        return Verdict(decision=COMPLETE, reasons=())
    silent = [_silent(last, now, quiet) for last in snapshot.open_last_images]
    if not all(silent):
        return Verdict(decision=WAIT, reasons=())
    missing = _missing(snapshot, broken=snapshot.aborted or any(silent), quiet=quiet)
    if missing and since < quiet:
        return Verdict(decision=WAIT, reasons=())
    return Verdict(decision=COMPLETE, reasons=missing)


def regular(poses: Sequence[domain.Pose]) -> bool:
    """Tell whether images lie like one regular axial volume, no slice missing between the first and the last."""
    try:
        volume.stack([as_pose(pose) for pose in poses])
    except errors.GeometryError:
        return False
    return True


def as_pose(pose: domain.Pose) -> volume.Pose:
    """Return a pose in the words of the science."""
    return volume.Pose(
        position=pose.position,
        orientation=pose.orientation,
        spacing=pose.pixel_spacing,
        rows=pose.rows,
        columns=pose.columns,
        thickness=pose.thickness,
    )


def _silent(last_image_at: dt.datetime, now: dt.datetime, quiet: float) -> bool:
    return (now - last_image_at).total_seconds() > SILENT_AFTER_QUIETS * quiet


def _missing(snapshot: domain.SeriesSnapshot, *, broken: bool, quiet: float) -> tuple[reasons.Reason, ...]:
    why = []
    declared, received = snapshot.declared, snapshot.received
    if declared is not None and received < declared:
        why.append(reasons.reason(reasons.ReasonCode.FEWER_THAN_DECLARED, received=received, declared=declared))
    if broken:
        why.append(reasons.reason(reasons.ReasonCode.ASSOCIATION_ABORTED))
    if not regular(snapshot.poses):
        why.append(reasons.reason(reasons.ReasonCode.QUIET_INCOMPLETE, seconds=quiet))
    return tuple(why)
