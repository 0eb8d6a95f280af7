"""Calcium as clusters of ellipsoids, sampled finely, averaged over voxels, blurred as the scanner does."""

import dataclasses

import numpy as np
from scipy import ndimage

from cac import volume
from cac.phantom import canvas, shapes

FINE_MM = 0.3
SHARPENED_MM = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Deposit:
    """Hold one cluster: centres (n, 3) and radii (n, 3) in mm, axes (3, 3) as rows, and peak HU (n).

    The cluster grows about `anchor`; `motion` is the in-plane path in mm over which the heart smears it; `kind` is what
    marks it: an artery, or a class of mimics.
    """

    anchor: shapes.Points
    centres: shapes.Points
    radii: shapes.Points
    axes: shapes.Points
    peaks: shapes.Points
    motion: tuple[float, float] = (0.0, 0.0)
    kind: int = 0

    def scaled(self, factor: float) -> "Deposit":
        """Return the cluster `factor` times as large; much growth goes along the vessel rather than across it."""
        across = min(factor, 1.0) + max(factor - 1.0, 0.0) * 0.6
        stretch = np.array([factor, across, across])
        local = (self.centres - self.anchor) @ self.axes.T * stretch
        return dataclasses.replace(self, centres=self.anchor + local @ self.axes, radii=self.radii * stretch)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """Hold what a deposit adds to a region of the canvas: the part of each voxel and HU, both blurred."""

    where: canvas.Region
    part: volume.FloatArray
    extra: volume.FloatArray
    kind: int = 0


def render(deposit: Deposit, ground: canvas.Canvas, sigma: float, edge: float = 0.0) -> Patch:
    """Average a deposit over the voxels it touches; `ground` is the anatomy before blurring by `sigma` px.

    `edge` is how much the kernel sharpens after that.
    """
    reach = deposit.radii.max(axis=1, keepdims=True)
    beyond = (4 * ground.pixel if not edge else 4 * SHARPENED_MM) + max(map(abs, deposit.motion))
    margin = np.array([beyond, beyond, ground.thickness / 2])
    where = ground.region(
        (deposit.centres - reach).min(axis=0) - margin, (deposit.centres + reach).max(axis=0) + margin
    )
    z, y, x = (axis[part] for axis, part in zip((ground.z, ground.y, ground.x), where, strict=True))
    if not (z.size and y.size and x.size):
        empty = np.zeros((z.size, y.size, x.size), np.float32)
        return Patch(where=where, part=empty, extra=empty, kind=deposit.kind)
    part, filled = _average(deposit, ground, z, y, x)
    extra = filled - part * ground.hu[where]
    blurred = [ndimage.gaussian_filter(a, (0, sigma, sigma), truncate=3.0, mode="constant") for a in (part, extra)]
    extra = sharpened(blurred[1], edge, ground.pixel) if edge else blurred[1]
    return Patch(where=where, part=blurred[0], extra=extra, kind=deposit.kind)


def sharpened(hu: volume.FloatArray, edge: float, pixel: float) -> volume.FloatArray:
    """Return slices as a sharper kernel shows them: `edge` times what 1 mm of blur would take away is added."""
    smooth = ndimage.gaussian_filter(hu, (0, SHARPENED_MM / pixel, SHARPENED_MM / pixel), truncate=3.0)
    return np.asarray(hu + np.float32(edge) * (hu - smooth), np.float32)


def _average(
    deposit: Deposit, ground: canvas.Canvas, z: shapes.Array, y: shapes.Array, x: shapes.Array
) -> tuple[volume.FloatArray, volume.FloatArray]:
    """Return the part of each voxel that is calcium, and that part times its HU."""
    across = max(int(np.ceil(ground.pixel / FINE_MM)), 2)
    deep = max(int(np.ceil(ground.thickness / 0.5)), 3)
    fine_z = _finer(z, deep, ground.thickness)
    fine_y, fine_x = _finer(y, across, ground.pixel), _finer(x, across, ground.pixel)
    steps = 3 if max(map(abs, deposit.motion)) > ground.pixel / 2 else 1
    shape = (z.size, deep, y.size, across, x.size, across)
    part, filled = np.zeros((z.size, y.size, x.size), np.float32), np.zeros((z.size, y.size, x.size), np.float32)
    for shift in np.linspace(-0.5, 0.5, steps) if steps > 1 else (0.0,):
        density = np.zeros((fine_z.size, fine_y.size, fine_x.size), np.float32)
        for centre, radii, peak in zip(deposit.centres, deposit.radii, deposit.peaks, strict=True):
            moved = centre + shift * np.array([*deposit.motion, 0.0])
            body = shapes.ellipsoid(tuple(moved), tuple(radii), deposit.axes)
            inside = body(fine_x, fine_y[:, None], fine_z[:, None, None]) < 0
            density[inside] = np.maximum(density[inside], np.float32(peak))
        part += (density > 0).reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32)
        filled += density.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32)
    return part / np.float32(steps), filled / np.float32(steps)


def _finer(axis: shapes.Array, count: int, width: float) -> shapes.Array:
    offsets = ((np.arange(count) + 0.5) / count - 0.5) * width
    return np.asarray((axis[:, None] + offsets).ravel(), np.float32)


def stamp(deposit: Deposit, ground: canvas.Canvas) -> Patch:
    """Put a deposit into the anatomy itself, before any blurring."""
    patch = render(deposit, ground, 0.0)
    ground.hu[patch.where] += patch.extra
    return patch
