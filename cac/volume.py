"""A CT volume in patient space, how slices form it, and the values the whole science is written in."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cac import errors, reasons

FloatArray: TypeAlias = NDArray[np.float32]
BoolArray: TypeAlias = NDArray[np.bool_]

CALCIUM_HU = 130.0
"""Lower bound of calcium at 120 kVp (Agatston et al. 1990)."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """Hold an axial CT volume.

    `hu` has axes (slice, row, column): slices run from head to feet, rows from anterior to posterior,
    columns from the patient's right to the left. `spacing` is (increment, row, column) in mm, the increment
    taken from positions, never from SliceThickness. `origin` is the LPS position (x, y, z) in mm of the
    centre of voxel [0, 0, 0]; x grows with columns, y with rows, z falls with slices.
    """

    hu: FloatArray
    spacing: tuple[float, float, float]
    thickness: float
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def overlapping(self) -> bool:
        """Tell whether neighbouring slices overlap by half or more (increment <= thickness / 2)."""
        return self.spacing[0] <= self.thickness / 2 + 1e-3

    @property
    def voxel_mm3(self) -> float:
        """Return a voxel's volume in mm3."""
        return self.spacing[0] * self.spacing[1] * self.spacing[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pose:
    """Hold one slice's place as its header states it; None where it does not.

    `position` is LPS in mm of the first pixel's centre, `orientation` the cosines along a row, then along a column
    (PS3.3 C.7.6.2.1.1), `spacing` (row, column) in mm.
    """

    position: tuple[float, float, float] | None
    orientation: tuple[float, float, float, float, float, float] | None
    spacing: tuple[float, float] | None
    rows: int | None
    columns: int | None
    thickness: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stacking:
    """Say how slices form a volume.

    `order` lists the inputs head first, and the flips turn each image to `Volume`'s axes.
    `increment` is mm between slices, `origin` the LPS position of voxel [0, 0, 0] after the flips.
    """

    order: tuple[int, ...]
    flip_rows: bool
    flip_columns: bool
    increment: float
    origin: tuple[float, float, float]


SAME_COSINE = 1e-3
SAME_SPACING = 1e-3
SPACING_TOLERANCE = 0.05
"""Relative; takes real scanners' jitter (STANDARDS.md)."""
DUPLICATE_MM = 0.01
SHEAR_MM = 1.0
AXIAL_COSINE = math.cos(math.radians(3.0))


def stack(poses: Sequence[Pose]) -> Stacking:
    """Order slices into one regular axial volume.

    Raises GeometryError with SINGLE_SLICE, MIXED_GEOMETRY, NOT_AXIAL, TILTED, DUPLICATE_SLICES, MISSING_SLICES or
    UNEVEN_SPACING; the first that holds. A slice missing at an end cannot be seen.
    """
    if len(poses) < 2:
        raise _refusal(reasons.ReasonCode.SINGLE_SLICE)
    positions, orientation = _common(poses)
    along_row, along_column = orientation[:3], orientation[3:]
    normal = np.cross(along_row, along_column)
    if int(np.abs(normal).argmax()) != 2 or abs(along_row[0]) < 0.9:
        raise _refusal(reasons.ReasonCode.NOT_AXIAL)
    upward = normal * np.sign(normal[2])
    heights = positions @ upward
    order = np.argsort(-heights, kind="stable")
    _refuse_sheared(positions[order], heights[order], upward)
    if min(abs(normal[2]), abs(along_row[0])) < AXIAL_COSINE:
        raise _refusal(reasons.ReasonCode.NOT_AXIAL)
    increment = _increment(-np.diff(heights[order]))
    first = poses[int(order[0])]
    corner = positions[order[0]]
    flip_rows, flip_columns = bool(along_column[1] < 0), bool(along_row[0] < 0)
    if first.spacing and flip_rows:
        corner = corner + along_column * first.spacing[0] * ((first.rows or 1) - 1)
    if first.spacing and flip_columns:
        corner = corner + along_row * first.spacing[1] * ((first.columns or 1) - 1)
    return Stacking(
        order=tuple(int(index) for index in order),
        flip_rows=flip_rows,
        flip_columns=flip_columns,
        increment=increment,
        origin=(float(corner[0]), float(corner[1]), float(corner[2])),
    )


def _refusal(code: reasons.ReasonCode, **facts: object) -> errors.GeometryError:
    return errors.GeometryError(reasons.reason(code, **facts))


def _common(poses: Sequence[Pose]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions (slice, xyz) and the one orientation, or refuse images that differ or do not say."""
    mixed = reasons.ReasonCode.MIXED_GEOMETRY
    places = [pose.position for pose in poses if pose.position and np.isfinite(pose.position).all()]
    turns = [pose.orientation for pose in poses if pose.orientation and np.isfinite(pose.orientation).all()]
    grids = [pose.spacing for pose in poses if pose.spacing and min(pose.spacing) > 0]
    for what, known in (("or unstated positions", places), ("or unstated orientation", turns)):
        if len(known) < len(poses):
            raise _refusal(mixed, what=what)
    if len(grids) < len(poses) or np.ptp(np.asarray(grids), axis=0).max() > SAME_SPACING:
        raise _refusal(mixed, what="pixel spacing")
    if len({(pose.rows, pose.columns) for pose in poses}) > 1:
        raise _refusal(mixed, what="size")
    if np.ptp(np.asarray(turns), axis=0).max() > SAME_COSINE:
        raise _refusal(mixed, what="orientation")
    return np.asarray(places, dtype=np.float64), np.asarray(turns[0], dtype=np.float64)


def _refuse_sheared(positions: NDArray[np.float64], heights: NDArray[np.float64], normal: NDArray[np.float64]) -> None:
    """Refuse slices whose positions leave the line along their normal: an untilted table under a tilted gantry."""
    across = positions - heights[:, None] * normal
    if np.linalg.norm(across - across[0], axis=1).max() > SHEAR_MM:
        raise _refusal(reasons.ReasonCode.TILTED)


def _increment(steps: NDArray[np.float64]) -> float:
    """Return the distance between slices, or say what is wrong with the steps."""
    duplicates = int((steps < DUPLICATE_MM).sum())
    if duplicates:
        raise _refusal(reasons.ReasonCode.DUPLICATE_SLICES, count=duplicates)
    mean = float(steps.mean())
    if np.abs(steps - mean).max() <= SPACING_TOLERANCE * mean:
        return mean
    rule = float(np.median(steps[steps < 1.5 * steps.min()]))
    multiples = steps / rule
    if np.abs(multiples - np.round(multiples)).max() <= 2 * SPACING_TOLERANCE:
        raise _refusal(reasons.ReasonCode.MISSING_SLICES, gap_mm=float(steps.max()), increment_mm=rule)
    low, high = float(steps.min()), float(steps.max())
    raise _refusal(reasons.ReasonCode.UNEVEN_SPACING, low_mm=low, high_mm=high)
