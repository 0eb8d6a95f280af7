"""The nets' grid: crop and resample the heart, and carry the answers back."""

import dataclasses
import itertools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cac import components, finding, heart, together, volume

IntArray: TypeAlias = NDArray[np.int64]

AIR_HU = -1024.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """Map one in-plane axis: source index i lies at (i - centre) x step + (count - 1) / 2 on the nets' grid."""

    centre: float
    step: float
    count: int

    def to_grid(self, index: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return where source indices lie on the nets' grid."""
        return np.asarray((index.astype(np.float64) - self.centre) * self.step + (self.count - 1) / 2)

    def to_source(self) -> NDArray[np.float64]:
        """Return where the nets' grid lies in source indices."""
        return np.asarray((np.arange(self.count) - (self.count - 1) / 2) / self.step + self.centre, dtype=np.float64)

    def footprint(self, index: IntArray) -> tuple[IntArray, IntArray]:
        """Return the first and last grid sample of each source voxel: those within it, or else the nearest.

        Raises ValueError for a voxel centred outside the grid: no net has seen it.
        """
        position = self.to_grid(index)
        if index.size and not (position.min() >= -0.5 and position.max() <= self.count - 0.5):
            msg = "a voxel lies outside the crop"
            raise ValueError(msg)
        nearest = np.floor(position + 0.5)
        first = last = nearest
        if self.step > 1 + 1e-6:
            half = self.step / 2 + 1e-6
            first, last = np.minimum(nearest, np.ceil(position - half)), np.maximum(nearest, np.floor(position + half))
        top = self.count - 1
        return np.clip(first, 0, top).astype(np.int64), np.clip(last, 0, top).astype(np.int64)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Crop:
    """Hold the heart on the nets' grid.

    `hu` is float32 (slice, row, column): the source's own slices from `first_slice` on, rows and columns at the
    nets' spacing, air outside the image. `depth` is the number of slices that a view shows at least (air below).
    """

    hu: volume.FloatArray
    first_slice: int
    rows: Axis
    columns: Axis
    depth: int = 0


def crop(
    scan: volume.Volume,
    box: heart.Box,
    spec: finding.NetSpec,
    profile: finding.Profile = finding.Profile.DEFAULT,
) -> Crop:
    """Resample a box of a volume to the nets' in-plane spacing (linear), slices as they are.

    Profile `paper` appends empty slices up to the nets' depth.
    """
    rows, columns = (
        Axis(
            centre=box.centre[i],
            step=scan.spacing[i + 1] / spec.spacing[i + 1],
            count=_samples(box.size_mm[i], i, spec),
        )
        for i in (0, 1)
    )
    start, stop = box.slices
    hu = np.full((stop - start, rows.count, columns.count), AIR_HU, dtype=np.float32)
    low, high, weight, row_span = _taps(rows, scan.hu.shape[1])
    left, right, share, column_span = _taps(columns, scan.hu.shape[2])
    # Only what the taps read of an image is gathered.
    tall, wide = _read(low, high), _read(left, right)
    low, high, left, right = low - tall.start, high - tall.start, left - wide.start, right - wide.start

    def resample(number: int) -> None:
        image = scan.hu[number, tall, wide]
        lines = image[low]
        lines += (image[high] - lines) * weight[:, None]
        pixels = lines[:, left]
        pixels += (lines[:, right] - pixels) * share
        hu[number - start, row_span, column_span] = pixels

    together.each(resample, range(max(start, 0), min(stop, scan.hu.shape[0])), spec.threads)
    depth = spec.depth if profile is finding.Profile.PAPER else 0
    return Crop(hu=hu, first_slice=start, rows=rows, columns=columns, depth=depth)


def inside(box: heart.Box, scan: volume.Volume) -> volume.BoolArray:
    """Return the source voxels (slice, row, column) whose centres lie in a box."""
    slices, rows, columns = (np.arange(count) for count in scan.hu.shape)
    along = (slices >= box.slices[0]) & (slices < box.slices[1])
    down = np.abs(rows - box.centre[0]) * scan.spacing[1] < box.size_mm[0] / 2
    across = np.abs(columns - box.centre[1]) * scan.spacing[2] < box.size_mm[1] / 2
    return np.asarray(along[:, None, None] & down[:, None] & across)


def enclosing(box: heart.Box, voxels: components.Components, scan: volume.Volume, spec: finding.NetSpec) -> heart.Box:
    """Enlarge a box about its centre until it holds all these source voxels, so that every net sees each of them."""
    if not voxels.count:
        return box
    slices, rows, columns = voxels.coordinates
    height, width = (
        max(size, 2 * float(np.abs(index - centre).max()) * scan_mm + grid_mm)
        for size, index, centre, scan_mm, grid_mm in zip(
            box.size_mm, (rows, columns), box.centre, scan.spacing[1:], spec.spacing[1:], strict=True
        )
    )
    first, last = min(box.slices[0], int(slices.min())), max(box.slices[1], int(slices.max()) + 1)
    return dataclasses.replace(box, size_mm=(height, width), slices=(first, last))


def samples(heart_crop: Crop, voxels: components.Components) -> tuple[IntArray, IntArray, IntArray]:
    """Name the samples of the crop (slice, row, column) that `to_source` reads for these source voxels, each once."""
    slices, rows, columns = voxels.coordinates
    top, bottom = heart_crop.rows.footprint(rows)
    left, right = heart_crop.columns.footprint(columns)
    read = np.zeros(heart_crop.hu.shape, dtype=bool)
    depth = slices - heart_crop.first_slice
    for down, aside in itertools.product(_steps(top, bottom), _steps(left, right)):
        read[depth, np.minimum(top + down, bottom), np.minimum(left + aside, right)] = True
    # Flat first: several times as fast as np.nonzero of a nearly empty grid.
    number, row, column = np.unravel_index(np.flatnonzero(read), read.shape)
    return number, row, column


def to_source(heart_crop: Crop, answer: volume.FloatArray, voxels: components.Components) -> volume.FloatArray:
    """Carry one plane's answer back to source voxels, one value a voxel.

    The nearest sample where source pixels are as fine as the nets' grid, the largest over the pixel's footprint
    where they are coarser. Raises ValueError for a voxel outside the crop: no net has seen it.
    """
    slices, rows, columns = voxels.coordinates
    top, bottom = heart_crop.rows.footprint(rows)
    left, right = heart_crop.columns.footprint(columns)
    depth = slices - heart_crop.first_slice
    if depth.size and not (depth.min() >= 0 and depth.max() < answer.shape[0]):
        msg = "a voxel lies outside the crop"
        raise ValueError(msg)
    values = np.zeros(rows.size, dtype=np.float32)
    for down, aside in itertools.product(_steps(top, bottom), _steps(left, right)):
        np.maximum(values, answer[depth, np.minimum(top + down, bottom), np.minimum(left + aside, right)], out=values)
    return values


def _read(first: IntArray, second: IntArray) -> slice:
    """Return what the neighbours along an axis, in rising order, read of it."""
    return slice(int(first[0]), int(second[-1]) + 1) if first.size else slice(0, 0)


def _samples(size_mm: float, axis: int, spec: finding.NetSpec) -> int:
    return padded(int(np.ceil(size_mm / spec.spacing[axis + 1] - 1e-6)), spec.stride)


def padded(size: int, stride: int) -> int:
    """Return the next multiple of the nets' stride."""
    return -(-size // stride) * stride


def _taps(axis: Axis, size: int) -> tuple[IntArray, IntArray, volume.FloatArray, slice]:
    """Return the two source neighbours and the second's weight for the grid samples within the image."""
    position = axis.to_source()
    inside = np.flatnonzero((position >= -0.5) & (position <= size - 0.5))
    span = slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)
    position = np.clip(position[span], 0, size - 1)
    low = np.floor(position).astype(np.int64)
    return low, np.minimum(low + 1, size - 1), (position - low).astype(np.float32), span


def _steps(first: IntArray, last: IntArray) -> range:
    return range(int((last - first).max()) + 1 if first.size else 1)
