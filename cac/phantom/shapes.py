"""Implicit shapes: functions of position in mm, negative inside and about the signed distance near the surface.

Positions are (x, y, z) in mm about the heart's centre: x to the patient's left, y to the back, z to the head.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cac import volume

Array: TypeAlias = volume.FloatArray
Mask: TypeAlias = volume.BoolArray
Points: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = Callable[[Array, Array, Array], Array]
Place: TypeAlias = Sequence[float] | Points
Line: TypeAlias = Sequence[tuple[float, float, float]] | Points
Box: TypeAlias = tuple[Place, Place]
"""Lower and upper corner (x, y, z) in mm: outside it a shape need not be looked at."""

EVERYWHERE: Box = ((-1e4, -1e4, -1e4), (1e4, 1e4, 1e4))


def frame(axis: Place, hint: Place = (0.0, 0.0, 1.0)) -> Points:
    """Build a rotation whose rows are `axis`, the part of `hint` square to it, and their cross product."""
    first = np.asarray(axis, float) / np.linalg.norm(axis)
    second = np.asarray(hint, float) - np.dot(hint, first) * first
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def ellipsoid(centre: Place, radii: Place, rotation: Points | None = None) -> Shape:
    """Build an ellipsoid; `rotation` has its axes as rows."""
    axes = np.eye(3) if rotation is None else rotation
    scaled = (axes / np.asarray(radii, float)[:, None]).astype(np.float32)
    twice = (axes / np.asarray(radii, float)[:, None] ** 2).astype(np.float32)

    def inside(x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = (np.asarray(v - np.float32(c), np.float32) for v, c in zip((x, y, z), centre, strict=True))
        near = sum((a * dx + b * dy + c * dz) ** 2 for a, b, c in scaled)
        slope = sum((a * dx + b * dy + c * dz) ** 2 for a, b, c in twice)
        radius = np.sqrt(near)
        return np.asarray(radius * (radius - 1) / np.sqrt(slope + 1e-9), np.float32)

    return inside


def tube(points: Line, radius: float) -> Shape:
    """Build a tube of one radius along a polyline."""
    line = np.asarray(points, np.float32)

    def inside(x: Array, y: Array, z: Array) -> Array:
        best: Array | None = None
        for start, end in itertools.pairwise(line):
            distance = segment_distance((x, y, z), start, end)[0]
            best = distance if best is None else np.minimum(best, distance)
        if best is None:
            raise ValueError("a tube needs two points")
        return best - np.float32(radius)

    return inside


def segment_distance(position: tuple[Array, Array, Array], start: Array, end: Array) -> tuple[Array, Array]:
    """Measure the distance in mm to a segment, and where along it (0 to 1) the nearest point lies."""
    along = (end - start).astype(np.float32)
    dx, dy, dz = (v - np.float32(c) for v, c in zip(position, start, strict=True))
    part = np.clip((dx * along[0] + dy * along[1] + dz * along[2]) / np.float32(along @ along + 1e-9), 0, 1)
    square = (dx - part * along[0]) ** 2 + (dy - part * along[1]) ** 2 + (dz - part * along[2]) ** 2
    return np.sqrt(square).astype(np.float32), part.astype(np.float32)


def block(centre: Place, half: Place, rounding: float = 2.0) -> Shape:
    """Build a box with rounded edges."""

    def inside(x: Array, y: Array, z: Array) -> Array:
        parts = [
            np.abs(v - np.float32(c)) - np.float32(h - rounding)
            for v, c, h in zip((x, y, z), centre, half, strict=True)
        ]
        outer = np.sqrt(sum(np.maximum(p, 0) ** 2 for p in parts))
        inner = np.minimum(np.maximum(np.maximum(parts[0], parts[1]), parts[2]), 0)
        return np.asarray(outer + inner - rounding, np.float32)

    return inside


def union(shapes: Sequence[Shape], blend: float = 0.0) -> Shape:
    """Join shapes; `blend` mm fills the creases between them."""

    def inside(x: Array, y: Array, z: Array) -> Array:
        best = shapes[0](x, y, z)
        for shape in shapes[1:]:
            other = shape(x, y, z)
            if blend:
                crease = np.maximum(blend - np.abs(best - other), 0) / np.float32(blend)
                best = np.minimum(best, other) - crease * crease * np.float32(blend / 4)
            else:
                best = np.minimum(best, other)
        return best

    return inside


def common(shapes: Sequence[Shape]) -> Shape:
    """Keep what lies in all shapes."""

    def inside(x: Array, y: Array, z: Array) -> Array:
        best = shapes[0](x, y, z)
        for shape in shapes[1:]:
            best = np.maximum(best, shape(x, y, z))
        return best

    return inside


def grow(shape: Shape, distance: float) -> Shape:
    """Move the surface out by `distance` mm (in where it is negative)."""
    return lambda x, y, z: np.asarray(shape(x, y, z) - np.float32(distance), np.float32)


def outside(shape: Shape) -> Shape:
    """Swap inside and outside."""
    return lambda x, y, z: -shape(x, y, z)
