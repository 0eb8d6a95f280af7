"""Connected sets of voxels, held as flat lists so that thousands of them cost no loop."""

import dataclasses
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from cac import volume

IntArray: TypeAlias = NDArray[np.int64]

TOUCHING_3D = np.ones((3, 3, 3), dtype=bool)
"""26-connectivity: faces, edges and corners."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """Hold the connected sets of one mask.

    `voxels` are flat indices (C order) into a grid of `shape`, grouped by component; component k's lie at
    [starts[k], starts[k] + sizes[k]).
    """

    shape: tuple[int, int, int]
    voxels: IntArray
    sizes: IntArray

    @property
    def count(self) -> int:
        """Return how many components there are."""
        return int(self.sizes.size)

    @property
    def starts(self) -> IntArray:
        """Return where each component's voxels begin."""
        return np.cumsum(self.sizes) - self.sizes

    @property
    def numbers(self) -> IntArray:
        """Return each voxel's component, counted from 0."""
        return np.repeat(np.arange(self.count), self.sizes)

    @property
    def coordinates(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return each voxel's slice, row and column."""
        slices, rows, columns = np.unravel_index(self.voxels, self.shape)
        return slices, rows, columns

    def totals(self, values: IntArray | volume.FloatArray) -> NDArray[np.float64]:
        """Return each component's sum over `values`, one a voxel."""
        return np.bincount(self.numbers, weights=values, minlength=self.count).astype(np.float64)

    def maxima(self, values: volume.FloatArray) -> volume.FloatArray:
        """Return each component's maximum over `values`, one a voxel."""
        return np.maximum.reduceat(values, self.starts) if self.count else np.empty(0, np.float32)

    def extents(self) -> IntArray:
        """Return each component's extent in voxels, shape (component, axis)."""
        if not self.count:
            return np.empty((0, 3), np.int64)
        spans = [np.maximum.reduceat(c, self.starts) - np.minimum.reduceat(c, self.starts) for c in self.coordinates]
        return np.stack(spans, axis=1) + 1

    def centres(self, scan: volume.Volume) -> NDArray[np.float64]:
        """Return each component's centre of gravity, LPS mm, shape (component, 3)."""
        slices, rows, columns = (self.totals(c) / np.maximum(self.sizes, 1) for c in self.coordinates)
        (x, y, z), (increment, row_mm, column_mm) = scan.origin, scan.spacing
        return np.stack([x + columns * column_mm, y + rows * row_mm, z - slices * increment], axis=1)

    def kept(self, which: volume.BoolArray) -> "Components":
        """Return only the components that `which` (one truth a component) keeps."""
        return Components(shape=self.shape, voxels=self.voxels[which[self.numbers]], sizes=self.sizes[which])

    def joined(self, other: "Components") -> "Components":
        """Return these components followed by others on the same grid."""
        voxels = np.concatenate([self.voxels, other.voxels])
        return Components(shape=self.shape, voxels=voxels, sizes=np.concatenate([self.sizes, other.sizes]))

    def mask(self) -> volume.BoolArray:
        """Return the voxels as a mask of `shape`."""
        mask = np.zeros(self.shape, dtype=bool)
        mask.reshape(-1)[self.voxels] = True
        return mask


def find(mask: volume.BoolArray, structure: volume.BoolArray = TOUCHING_3D) -> Components:
    """Find the connected sets of a mask (slice, row, column), in the order of their first voxels.

    `structure` is symmetric, 3 x 3 x 3. Works on runs of voxels along the columns, since masks of calcium are nearly
    empty: labelling every voxel of their box takes ten times as long.
    """
    slices, rows, columns = mask.shape
    voxels = np.flatnonzero(mask)
    line, column = np.divmod(voxels, max(columns, 1))
    begins = np.flatnonzero((np.diff(voxels, prepend=-2) != 1) | (np.diff(line, prepend=-1) != 0))
    lengths = np.diff(begins, append=voxels.size)
    run = _Runs(line=line[begins], first=column[begins], last=column[begins] + lengths - 1, rows=rows)
    edges = [run.touching(*step, diagonal) for step, diagonal in _forward(structure)]
    one, other = (np.concatenate([edge[side] for edge in edges]) for side in (0, 1))
    links = sparse.coo_array((np.ones(one.size, dtype=bool), (one, other)), shape=(begins.size, begins.size))
    count, label = csgraph.connected_components(links, directed=False) if begins.size else (0, begins)
    number = np.repeat(label, lengths)
    order = np.argsort(number, kind="stable")
    return Components(
        shape=(slices, rows, columns),
        voxels=voxels[order].astype(np.int64, copy=False),
        sizes=np.bincount(number, minlength=count).astype(np.int64),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Runs:
    """Hold runs of voxels along the columns, in C order: the line each lies in, its first and last column."""

    line: IntArray
    first: IntArray
    last: IntArray
    rows: int

    def touching(self, deeper: int, lower: int, diagonal: int) -> tuple[IntArray, IntArray]:
        """Return the pairs of runs of which the second lies so many slices and rows on, within `diagonal` columns."""
        inside = (self.line % self.rows + lower >= 0) & (self.line % self.rows + lower < self.rows)
        own = np.flatnonzero(inside)
        line = self.line[own] + deeper * self.rows + lower
        # One number for line and column, wide enough that neighbouring lines stay apart.
        width = int(self.last.max(initial=0)) + 3
        start = np.searchsorted(self.line * width + self.last, line * width + self.first[own] - diagonal)
        stop = np.searchsorted(self.line * width + self.first, line * width + self.last[own] + diagonal, side="right")
        many = np.maximum(stop - start, 0)
        within = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
        return np.repeat(own, many), np.repeat(start, many) + within


def _forward(structure: volume.BoolArray) -> list[tuple[tuple[int, int], int]]:
    """Return the lines ahead that touch a line, and whether diagonally along the columns too (1) or not (0)."""
    steps = [(0, 1), (1, -1), (1, 0), (1, 1)]
    return [((z, y), int(structure[z + 1, y + 1, 0])) for z, y in steps if structure[z + 1, y + 1, 1]]


def bounds(mask: volume.BoolArray) -> tuple[slice, slice, slice]:
    """Return the smallest box that holds a mask's voxels; an empty box for an empty mask."""
    seen = np.any(mask, axis=0)
    lines = (np.any(mask, axis=(1, 2)), np.any(seen, axis=1), np.any(seen, axis=0))
    spans = [np.flatnonzero(line) for line in lines]
    first, second, third = (slice(int(s[0]), int(s[-1]) + 1) if s.size else slice(0, 0) for s in spans)
    return first, second, third
