"""Find lungs, midline, spine, diaphragm and the heart's slices on a coarse copy of a volume.

Everything the heart locator needs to know of its surroundings, in mm, so that it holds for any field of view.
"""

import dataclasses
import math

import numpy as np
from scipy import ndimage

from cac import volume

COARSE_MM = 2.5
PADDING_HU = -1022.0
"""Room air averages to more: nothing was measured here (padding is read as -1024 or less)."""
AIR_HU = -450.0
OUTSIDE_HU = -970.0
TISSUE_HU = -250.0
BONE_HU = 140.0
LUNG_ML = 60.0
ANTERIOR_PART = 0.6
RIGHT_OF_MIDLINE_MM = 35.0
SPINE_HALF_WIDTH_MM = 12.0
TOP_SHARE = 0.55
ABOVE_TOP_MM = 8.0
DOME_SHARE = 0.7
DOME_WITHIN_MM = 15.0
AIRED_BELOW_SHARE = 0.5
BELOW_DOME_MM = 40.0
SEEN_BELOW_DOME_MM = 30.0
LUNG_END_SHARE = 0.12
SMALLEST_CM2 = 25.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Hold block means of a volume: axes as in `volume.Volume`, `step` native voxels to a coarse one."""

    hu: volume.FloatArray
    spacing: tuple[float, float, float]
    step: tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Thorax:
    """Hold what surrounds the heart, in voxels of `grid`.

    `between` is all that is not lung and has lung on both sides in its row. `spine_front` is the row of the
    vertebral bodies' anterior edge per slice. The profiles are areas in cm2 per slice, of the anterior part only:
    `right` and `left` lung, and `middle`, the mediastinum from 35 mm right of the midline to the left lung.
    """

    grid: Grid
    lungs: volume.BoolArray
    outside: volume.BoolArray
    between: volume.BoolArray
    midline: float
    spine_front: volume.FloatArray
    depth: tuple[int, int]
    right: volume.FloatArray
    left: volume.FloatArray
    middle: volume.FloatArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extent:
    """Hold the heart's coarse slices, half-open, the slice of the right dome, and which ends were seen."""

    start: int
    stop: int
    dome: int
    top_seen: bool
    bottom_seen: bool


def coarsen(native: volume.Volume) -> Grid:
    """Average blocks of voxels to about 2.5 mm; a remainder at the far edges is dropped."""
    step = tuple(max(1, round(COARSE_MM / mm)) for mm in native.spacing)
    count = [size // k for size, k in zip(native.hu.shape, step, strict=True)]
    block = native.hu[: count[0] * step[0], : count[1] * step[1], : count[2] * step[2]]
    rows = _summed(block, step[1], axis=1)
    total = _summed(_summed(rows, step[0], axis=0), step[2], axis=2)
    spacing = tuple(mm * k for mm, k in zip(native.spacing, step, strict=True))
    return Grid(
        hu=(total / np.float32(np.prod(step))).astype(np.float32),
        spacing=(spacing[0], spacing[1], spacing[2]),
        step=(step[0], step[1], step[2]),
    )


def _summed(values: volume.FloatArray, step: int, axis: int) -> volume.FloatArray:
    """Sum each `step` neighbours along an axis."""
    index = [slice(None)] * 3
    total: volume.FloatArray | None = None
    for offset in range(step):
        index[axis] = slice(offset, None, step)
        part = values[tuple(index)]
        total = part.copy() if total is None else np.add(total, part, out=total)
    return values if total is None else total


def survey(native: volume.Volume) -> Thorax | None:
    """Survey the thorax; return None where no lung lies on either side of a middle."""
    grid = coarsen(native)
    lungs = find_lungs(grid)
    if not lungs.any():
        return None
    rows = np.flatnonzero(lungs.any(axis=(0, 2)))
    depth = (int(rows[0]), int(rows[-1]) + 1)
    between = _between(lungs)
    midline = _midline(between, depth)
    anterior = depth[0] + int(ANTERIOR_PART * (depth[1] - depth[0]))
    split = int(midline - RIGHT_OF_MIDLINE_MM / grid.spacing[2])
    if not 0 < split < lungs.shape[2]:
        return None
    cm2 = grid.spacing[1] * grid.spacing[2] / 100.0
    return Thorax(
        grid=grid,
        lungs=lungs,
        outside=grid.hu < PADDING_HU,
        between=between,
        midline=midline,
        spine_front=_spine_front(grid, midline, depth),
        depth=depth,
        right=_area(lungs[:, :anterior, : int(midline)], cm2),
        left=_area(lungs[:, :anterior, int(midline) :], cm2),
        middle=_area(between[:, :anterior, split:], cm2),
    )


def find_lungs(grid: Grid) -> volume.BoolArray:
    """Find aerated lung: air that is neither reconstruction padding nor the air around the patient.

    A small field of view cuts the lungs, so touching the border says nothing: density tells them from room air, by a
    low percentile because rooms hold couches.
    """
    # Beside padding, tissue averages to the density of lung: that rim would join lung with the air outside.
    measured = ~ndimage.binary_dilation(grid.hu <= PADDING_HU, np.ones((1, 3, 3)))
    labels, count = ndimage.label((grid.hu < AIR_HU) & measured)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    smallest = LUNG_ML * 1000.0 / float(np.prod(grid.spacing))
    kept: list[int] = []
    rows = (0, grid.hu.shape[1])
    for number in np.argsort(-sizes):
        if sizes[number] < smallest:
            break
        part = labels == number
        middle = ndimage.center_of_mass(part.any(axis=(0, 2)))[0]
        # The couch's foam is as light as lung, but lies behind the patient.
        if np.percentile(grid.hu[part], 25) > OUTSIDE_HU and rows[0] <= middle <= rows[1]:
            if not kept:
                seen = np.flatnonzero(part.any(axis=(0, 2)))
                rows = (int(seen[0]), int(seen[-1]))
            kept.append(int(number))
    found: volume.BoolArray = ndimage.binary_closing(np.isin(labels, kept), np.ones((1, 3, 3)))
    return found


def _between(lungs: volume.BoolArray) -> volume.BoolArray:
    """Mark what is not lung but has lung to its right and left in the same row."""
    from_right = np.maximum.accumulate(lungs, axis=2)
    from_left = np.maximum.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]
    enclosed: volume.BoolArray = from_right & from_left & ~lungs
    return enclosed


def _midline(between: volume.BoolArray, depth: tuple[int, int]) -> float:
    """Return the column of the spine: the centre of what lies between the lungs' posterior parts."""
    start = depth[0] + int(0.65 * (depth[1] - depth[0]))
    profile = between[:, start : depth[1]].sum(axis=(0, 1)).astype(np.float64)
    if not profile.any():
        return float(between.shape[2]) / 2
    total = np.cumsum(profile)
    half: float = total[-1] / 2
    return float(np.flatnonzero(total >= half)[0])


def _spine_front(grid: Grid, midline: float, depth: tuple[int, int]) -> volume.FloatArray:
    """Return, per slice, the row of the vertebral bodies' front; the lungs' end where no bone is in view."""
    half = SPINE_HALF_WIDTH_MM / grid.spacing[2]
    low, high = max(0, round(midline - half)), round(midline + half) + 1
    share = (grid.hu[:, :, low:high] > BONE_HU).mean(axis=2)
    reach = max(1, round(12.0 / grid.spacing[0]))
    share = ndimage.maximum_filter1d(share, 2 * reach + 1, axis=0)
    length = depth[1] - depth[0]
    first = depth[0] + int(0.55 * length)
    solid = share[:, first : depth[1]] >= 0.5
    front = np.where(solid.any(axis=1), first + solid.argmax(axis=1), 2 * grid.hu.shape[1])
    smooth = ndimage.median_filter(front.astype(np.float32), 2 * reach + 1, mode="nearest")
    return np.asarray(smooth, dtype=np.float32)


def extent(chest: Thorax) -> Extent | None:
    """Find the heart's slices: from where the middle has narrowed above it to well below the right dome."""
    step = chest.grid.spacing[0]
    smooth = max(1, round(7.5 / step))
    right = ndimage.uniform_filter1d(chest.right, smooth, mode="nearest")
    middle = ndimage.uniform_filter1d(chest.middle, smooth, mode="nearest")
    aired = ndimage.uniform_filter1d(chest.right + chest.left, smooth, mode="nearest")
    if min(chest.right.max(), chest.left.max()) < 5.0:
        return None
    dome, dome_seen = _dome(right, step)
    widest = int(middle[: dome + 1].argmax())
    if middle[widest] < SMALLEST_CM2:
        return None
    narrow = np.flatnonzero(middle[: widest + 1] < TOP_SHARE * middle[widest])
    start = max(0, int(narrow[-1]) - round(ABOVE_TOP_MM / step)) if narrow.size else 0
    stop, bottom_seen = _bottom(aired, dome, step)
    return Extent(start=start, stop=stop, dome=dome, top_seen=narrow.size > 0, bottom_seen=dome_seen and bottom_seen)


def _dome(right: volume.FloatArray, step: float) -> tuple[int, bool]:
    """Return the slice where the liver's dome has taken 30 % of the right lung within 15 mm, and whether it did.

    The growing heart takes lung too, above all in a small field of view, but not that fast.
    """
    window = max(2, math.ceil(DOME_WITHIN_MM / step) + 1)
    recent = ndimage.maximum_filter1d(right, window, origin=(window - 1) // 2, mode="nearest")
    lowest = 0.1 * right.max()
    fallen = np.flatnonzero((right < DOME_SHARE * recent) & (recent > lowest))
    fallen = fallen[fallen > int(right.argmax())]
    return (int(fallen[0]), True) if fallen.size else (len(right) - 1, False)


def _bottom(aired: volume.FloatArray, dome: int, step: float) -> tuple[int, bool]:
    """Return the slice after the heart's last one, and whether the stack reaches that far.

    The heart ends within 40 mm of the dome (15-35 mm on six whole chests); where the lungs have not shrunk by then, the
    dome was none, and the end is where they have.
    """
    count = len(aired)
    ended = np.flatnonzero((aired < LUNG_END_SHARE * aired.max()) & (np.arange(count) > dome))
    last = int(ended[0]) if ended.size else count
    deep = dome + math.ceil(BELOW_DOME_MM / step) + 1
    shrunk = np.flatnonzero((aired < AIRED_BELOW_SHARE * aired[dome]) & (np.arange(count) > dome))
    if not shrunk.size:
        return count, False
    stop = min(max(deep, int(shrunk[0]) + 1), last, count)
    return stop, ended.size > 0 or (count - 1 - dome) * step >= SEEN_BELOW_DOME_MM


def body_centre(chest: Thorax, start: int, stop: int) -> tuple[float, float]:
    """Return (row, column) of the middle of the body's bounding box over these slices, as far as it was imaged."""
    middle = (start + stop) // 2
    body = (chest.grid.hu[middle] > TISSUE_HU) | chest.lungs[middle]
    labels, count = ndimage.label(ndimage.binary_opening(body, np.ones((5, 5))))
    if count == 0:
        return (body.shape[0] - 1) / 2, (body.shape[1] - 1) / 2
    largest = labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1
    rows, columns = np.flatnonzero(largest.any(axis=1)), np.flatnonzero(largest.any(axis=0))
    return float(rows[0] + rows[-1]) / 2, float(columns[0] + columns[-1]) / 2


def _area(mask: volume.BoolArray, cm2: float) -> volume.FloatArray:
    area: volume.FloatArray = (mask.sum(axis=(1, 2)) * cm2).astype(np.float32)
    return area
