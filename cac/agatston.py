"""Scores of a calcium mask: Agatston, volume, uncalibrated mass, and the categories they fall in."""

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cac import candidates, components, volume

WEIGHT_HU = (130.0, 200.0, 300.0, 400.0)
"""Lower bounds of the weights 1, 2, 3 and 4 (Agatston et al. 1990)."""

REFERENCE_INCREMENT_MM = 3.0
"""The slice increment the score was defined for; another one scales it."""

HU_PER_MG_CM3 = 1.3
"""HU of 1 mg/cm3 of hydroxyapatite at 120 kVp, a textbook value: no phantom calibrates it here."""

_AREA_TOLERANCE_MM2 = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Hold the options of the score: neighbours within a slice, and the smallest piece that counts."""

    connectivity: Literal[4, 8] = 8
    min_area_mm2: float = 1.0
    min_pixels: int = 1


THREE_PIXELS = Rule(min_area_mm2=0.0, min_pixels=3)
"""Drop pieces of fewer than 3 px instead of below 1 mm2."""


def score(scan: volume.Volume, mask: volume.BoolArray, rule: Rule = Rule()) -> float:
    """Return the Agatston score of the voxels of `mask` (slice, row, column) that reach 130 HU."""
    _, points = pieces(scan, mask, rule)
    return float(points.sum())


def pieces(
    scan: volume.Volume, mask: volume.BoolArray, rule: Rule = Rule()
) -> tuple[components.Components, NDArray[np.float64]]:
    """Find the 2D pieces of a mask and the Agatston points of each, 0 for one that is too small.

    The weight follows the piece's maximum in its own slice, never the lesion's over slices.
    """
    found = components.find(candidates.calcium(scan, mask), _within_slice(rule.connectivity))
    increment, row_mm, column_mm = scan.spacing
    area = found.sizes * row_mm * column_mm
    weight = np.digitize(found.maxima(scan.hu.reshape(-1)[found.voxels]), WEIGHT_HU)
    counts = (area >= rule.min_area_mm2 - _AREA_TOLERANCE_MM2) & (found.sizes >= rule.min_pixels)
    return found, np.asarray(counts * area * weight * (increment / REFERENCE_INCREMENT_MM), dtype=np.float64)


def each(scan: volume.Volume, found: components.Components) -> NDArray[np.float64]:
    """Return the points of each component (connected in 3D: a slice's 2D pieces belong to one component each)."""
    owner = np.zeros(found.shape, dtype=np.int32)
    owner.reshape(-1)[found.voxels] = found.numbers
    flat, points = pieces(scan, found.mask())
    owners = owner.reshape(-1)[flat.voxels[flat.starts]]
    return np.bincount(owners, weights=points, minlength=found.count).astype(np.float64)


def mass(hu_sum: float, voxel_mm3: float) -> float:
    """Return the uncalibrated mass in mg of voxels whose HU add up to `hu_sum`.

    mass = sum of HU / (1.3 HU per mg/cm3) x voxel volume in cm3; water counts as 0 HU.
    """
    return hu_sum / HU_PER_MG_CM3 * voxel_mm3 / 1000.0


def category(agatston: float) -> str:
    """Name the risk category of a score; one between 0 and 1 is in 1-10, never 0."""
    if agatston <= 0:
        return "0"
    return next((name for top, name in ((10, "1-10"), (100, "11-100"), (400, "101-400")) if agatston <= top), "> 400")


def cac_drs(agatston: float) -> str:
    """Name the CAC-DRS class of a score (A0 to A3)."""
    if agatston <= 0:
        return "A0"
    return "A1" if agatston < 100 else "A2" if agatston < 300 else "A3"


def _within_slice(connectivity: Literal[4, 8]) -> volume.BoolArray:
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1] = ndimage.generate_binary_structure(2, 2 if connectivity == 8 else 1)
    return structure
