"""A CT volume in patient space, and the values the whole science is written in."""

import dataclasses
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

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
