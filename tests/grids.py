"""Small volumes, boxes and voxels for tests of the nets' grid."""

from collections.abc import Iterator

import numpy as np

from cac import components, finding, heart, sheets, views, volume

LEVELS = {plane: finding.Levels(low=0.2, high=0.8) for plane in finding.Plane}
SPEC = finding.NetSpec(levels=LEVELS, joint=finding.Joint(accept=0.5, other=0.5, speck=0.5))


def scan_with(hu: np.ndarray, pixel: float = 0.5) -> volume.Volume:
    return volume.Volume(hu=hu.astype(np.float32), spacing=(1.5, pixel, pixel), thickness=3.0)


def ramp(slices: int = 4, size: int = 40) -> np.ndarray:
    number, row, column = np.mgrid[:slices, :size, :size]
    return 100.0 * number + 2.0 * row + 0.25 * column


def box(size: int = 40, slices: tuple[int, int] = (0, 4), mm: float = 16.0) -> heart.Box:
    middle = (size - 1) / 2
    return heart.Box(centre=(middle, middle), size_mm=(mm, mm), slices=slices)


def voxels_at(shape: tuple[int, ...], *where: tuple[int, int, int]) -> components.Components:
    mask = np.zeros(shape, dtype=bool)
    for place in where:
        mask[place] = True
    return components.find(mask)


def dense(
    cropped: views.Crop, predict: finding.Predict, voxels: components.Components, spec: finding.NetSpec
) -> Iterator[tuple[finding.Plane, np.ndarray]]:
    """Ask about whole images whatever the voxels, with the arguments of `sparse.probabilities`."""
    del voxels
    return sheets.probabilities(cropped, predict, spec)
