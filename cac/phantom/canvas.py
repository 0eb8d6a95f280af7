"""A grid of slices that shapes are painted on, every edge softened to the voxel it crosses."""

import dataclasses

import numpy as np
from scipy import sparse

from cac import volume
from cac.phantom import shapes

COARSE_MM = 2.5
"""Shapes are evaluated this coarsely in plane; their distance fields are smooth, so interpolation is exact enough."""

Region = tuple[slice, slice, slice]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Canvas:
    """Hold HU under construction on (slice, row, column), with positions in mm about the heart's centre.

    `z` falls with the slice; a voxel is `pixel` mm square and `thickness` mm deep, whatever the increment.
    """

    hu: volume.FloatArray
    z: volume.FloatArray
    y: volume.FloatArray
    x: volume.FloatArray
    thickness: float

    @property
    def pixel(self) -> float:
        """Return the pixel's side in mm."""
        return float(self.x[1] - self.x[0])

    @property
    def increment(self) -> float:
        """Return the distance of neighbouring slices in mm."""
        return float(self.z[0] - self.z[1])

    def region(self, low: shapes.Place, high: shapes.Place) -> Region:
        """Find the voxels whose centres lie between two corners (x, y, z)."""
        columns = np.searchsorted(self.x, [low[0], high[0]])
        rows = np.searchsorted(self.y, [low[1], high[1]])
        slices = np.searchsorted(-self.z, [-high[2], -low[2]])
        return slice(*map(int, slices)), slice(*map(int, rows)), slice(*map(int, columns))

    def paint(self, shape: shapes.Shape, value: float, box: shapes.Box = shapes.EVERYWHERE) -> None:
        """Blend `value` HU into the voxels by the part of each that lies in the shape."""
        for where, part in self._cover(shape, box):
            target = self.hu[where]
            target += part * (np.float32(value) - target)

    def tube(self, points: shapes.Points, radii: shapes.Points, value: float, oversample: int = 3) -> None:
        """Blend a thin tube of changing radius into the slices, sampling each slice's depth `oversample` times."""
        margin = float(radii.max()) + self.pixel
        where = self.region(
            points.min(axis=0) - np.array([margin, margin, margin + self.thickness / 2]),
            points.max(axis=0) + np.array([margin, margin, margin + self.thickness / 2]),
        )
        z, y, x = (axis[part] for axis, part in zip((self.z, self.y, self.x), where, strict=True))
        if not z.size or min(y.size, x.size) < 2:
            return
        cover = np.zeros((z.size, y.size, x.size), np.float32)
        inner = dataclasses.replace(self, hu=cover, z=z, y=y, x=x)
        for k in range(len(points) - 1):
            inner._segment(points[k : k + 2].astype(np.float32), radii[k : k + 2], oversample)
        target = self.hu[where]
        target += cover * (np.float32(value) - target)

    def _segment(self, ends: shapes.Array, radii: shapes.Points, oversample: int) -> None:
        """Raise the coverage held in `hu` by one piece of a tube."""
        margin = float(radii.max()) + self.pixel
        edge = np.array([margin, margin, margin + self.thickness / 2])
        where = self.region(ends.min(axis=0) - edge, ends.max(axis=0) + edge)
        z, y, x = (axis[part] for axis, part in zip((self.z, self.y, self.x), where, strict=True))
        steps = ((np.arange(oversample, dtype=np.float32) + 0.5) / oversample - 0.5) * np.float32(self.thickness)
        position = (x, y[:, None], (z[:, None] + steps)[:, :, None, None].astype(np.float32))
        distance, part = shapes.segment_distance(position, ends[0], ends[1])
        radius = np.float32(radii[0]) + part * np.float32(radii[1] - radii[0])
        cover = np.clip(0.5 - (distance - radius) / np.float32(self.pixel), 0, 1).mean(axis=1)
        np.maximum(self.hu[where], cover, out=self.hu[where])

    def mask(self, shape: shapes.Shape, box: shapes.Box = shapes.EVERYWHERE) -> volume.BoolArray:
        """Return the voxels of which at least half lies in the shape."""
        found = np.zeros(self.hu.shape, bool)
        for where, part in self._cover(shape, box):
            found[where] = part >= 0.5
        return found

    def _cover(
        self, shape: shapes.Shape, box: shapes.Box
    ) -> "list[tuple[tuple[int, slice, slice], volume.FloatArray]]":
        margin = max(self.thickness, 2 * COARSE_MM)
        where = self.region(np.asarray(box[0]) - margin, np.asarray(box[1]) + margin)
        z, y, x = (axis[part] for axis, part in zip((self.z, self.y, self.x), where, strict=True))
        if not (z.size and y.size and x.size):
            return []
        levels, coarse_y, coarse_x = self._levels(shape, z, y, x)
        rows_of, columns_of = _weights(coarse_y, y), _weights(coarse_x, x)
        covered = []
        for k in range(z.size):
            near = levels[k] < 0.5
            if not near.any():
                continue
            rows = _span(near.any(axis=1), coarse_y, y)
            columns = _span(near.any(axis=0), coarse_x, x)
            down = rows_of[rows] @ levels[k]
            fine = (columns_of[columns] @ down.T).T
            part = np.clip(0.5 - fine, 0, 1)
            shifted = tuple(
                slice(s.start + w.start, s.stop + w.start) for s, w in zip((rows, columns), where[1:], strict=True)
            )
            covered.append(((k + where[0].start, shifted[0], shifted[1]), part))
        return covered

    def _levels(
        self, shape: shapes.Shape, z: volume.FloatArray, y: volume.FloatArray, x: volume.FloatArray
    ) -> tuple[volume.FloatArray, volume.FloatArray, volume.FloatArray]:
        """Evaluate the distance to the surface in voxels along the surface's normal, coarsely in plane."""
        coarse_y, coarse_x = (
            np.arange(a[0] - 2 * COARSE_MM, a[-1] + 3 * COARSE_MM, COARSE_MM, dtype=np.float32) for a in (y, x)
        )
        ends = np.float32(self.increment)
        deep = np.concatenate([z[:1] + ends, z, z[-1:] - ends])
        field = shape(coarse_x[None, None, :], coarse_y[None, :, None], deep[:, None, None])
        field = np.broadcast_to(field, (deep.size, coarse_y.size, coarse_x.size)).astype(np.float32)
        up = (field[:-2] - field[2:]) * np.float32(self.thickness / 2 / self.increment)
        field = field[1:-1]
        scale = np.float32(self.pixel / COARSE_MM)
        down, across = np.gradient(field, axis=1) * scale, np.gradient(field, axis=2) * scale
        width = np.sqrt(up * up + down * down + across * across) + np.float32(0.2 * self.pixel)
        return np.clip(field, -40, 40) / width, coarse_y, coarse_x


def _span(near: volume.BoolArray, coarse: volume.FloatArray, fine: volume.FloatArray) -> slice:
    hits = np.flatnonzero(near)
    low, high = coarse[max(hits[0] - 1, 0)], coarse[min(hits[-1] + 1, coarse.size - 1)]
    first, last = np.searchsorted(fine, [low, high])
    return slice(int(first), int(last))


def _weights(coarse: volume.FloatArray, fine: volume.FloatArray) -> sparse.csr_array:
    """Build the matrix of cubic (Catmull-Rom) interpolation from one axis to another.

    Sparse, because dense products start threads that starve other processes on a busy machine.
    """
    place = (fine - coarse[0]) / np.float32(COARSE_MM)
    left = np.clip(np.floor(place).astype(np.int32), 1, coarse.size - 3)
    t = place - left
    taps = (
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )
    columns = (left[:, None] + np.arange(-1, 3, dtype=np.int32)).ravel()
    starts = np.arange(0, 4 * fine.size + 1, 4, dtype=np.int32)
    values = np.stack(taps, axis=1).astype(np.float32).ravel()
    return sparse.csr_array((values, columns, starts), shape=(fine.size, coarse.size))
