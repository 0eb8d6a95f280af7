"""The coronary tree: paths guessed on the standard heart, then drawn into the grooves of the one at hand."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import interpolate

from cac.phantom import canvas, heart, shapes


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Artery:
    """Hold one artery: points in mm from ostium to end, about 1 mm apart, and the lumen's radius at each."""

    name: str
    points: shapes.Points
    radii: shapes.Points


def build(owner: heart.Heart, rng: np.random.Generator) -> tuple[Artery, ...]:
    """Draw the tree into the grooves of one heart."""
    width = float(rng.uniform(0.8, 1.12)) * owner.scale
    tree = []
    for name, course in owner.anatomy.courses.items():
        ends = course.radii
        start = owner.place(course.points)
        line = _spline(start + np.vstack([np.zeros(3), rng.normal(0, 1.2, (len(start) - 1, 3))]), 24)
        radii = np.linspace(*ends, len(line)) * width
        line = _into_groove(line, owner, course.walls, radii)
        line = _out_of_cavities(_smooth(line), owner, radii)
        points = _spline(line, max(int(_length(line)), 6))
        tree.append(Artery(name=name, points=points, radii=np.linspace(*ends, len(points)) * width))
    return tuple(tree)


def paint(tree: Sequence[Artery], target: canvas.Canvas, blood: float) -> None:
    """Paint lumen and wall, each artery in a thin bed of fat."""
    for artery in tree:
        target.tube(artery.points, artery.radii + 2.0, heart.FAT_HU)
    for artery in tree:
        target.tube(artery.points, artery.radii + 0.3, blood)


def _into_groove(
    line: shapes.Points, owner: heart.Heart, walls: tuple[str, ...], radii: shapes.Points
) -> shapes.Points:
    """Move points onto the tissue's surface, and between two walls where two are named.

    Least-norm Newton steps on the distances move a point across the groove only, not along it.
    """
    moved = line.copy()
    for _ in range(8):
        depth = _value(owner.tissue, moved) - (radii + 0.8)
        rows, slopes = [depth], [_slope(owner.tissue, moved)]
        if len(walls) == 2:
            first, second = owner.chambers[walls[0]], owner.chambers[walls[1]]
            rows.append(0.5 * (_value(first, moved) - _value(second, moved)))
            slopes.append(0.5 * (_slope(first, moved) - _slope(second, moved)))
        for i in range(len(moved)):
            matrix, rest = np.stack([s[i] for s in slopes]), np.array([r[i] for r in rows])
            step = matrix.T @ np.linalg.solve(matrix @ matrix.T + 0.05 * np.eye(len(rest)), rest)
            moved[i] -= step * min(1.0, 3.0 / (np.linalg.norm(step) + 1e-9))
    return moved


def _out_of_cavities(line: shapes.Points, owner: heart.Heart, radii: shapes.Points) -> shapes.Points:
    """Bring points whose lumen ended in a cavity to the heart's surface, wherever its groove may be."""
    cavities = shapes.union(owner.cavities)
    astray = _value(cavities, line) < radii
    if not astray.any():
        return line
    moved = line.copy()
    for _ in range(25):
        depth = _value(owner.tissue, moved[astray]) - (radii[astray] + 0.8)
        slope = _slope(owner.tissue, moved[astray])
        step = depth[:, None] * slope / (np.sum(slope**2, axis=1, keepdims=True) + 0.05)
        moved[astray] -= step * np.minimum(1.0, 2.0 / (np.linalg.norm(step, axis=1, keepdims=True) + 1e-9))
    return moved


def _value(shape: shapes.Shape, points: shapes.Points) -> shapes.Points:
    x, y, z = points.astype(np.float32).T
    return shape(x, y, z).astype(float)


def _slope(shape: shapes.Shape, points: shapes.Points) -> shapes.Points:
    parts = [(_value(shape, points + step) - _value(shape, points - step)) / 0.5 for step in 0.25 * np.eye(3)]
    return np.stack(parts, axis=1)


def _length(line: shapes.Points) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _smooth(line: shapes.Points) -> shapes.Points:
    for _ in range(2):
        line = np.vstack([line[:1], (line[:-2] + 2 * line[1:-1] + line[2:]) / 4, line[-1:]])
    return line


def _spline(line: shapes.Points, count: int) -> shapes.Points:
    """Sample a smooth curve through points at equal steps."""
    keep = np.concatenate([[True], np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-6])
    line = line[keep]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    curve = interpolate.PchipInterpolator(along / along[-1], line)
    return np.asarray(curve(np.linspace(0, 1, count)))
