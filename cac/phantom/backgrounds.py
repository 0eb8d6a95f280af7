"""Real calcium-free scans to learn from: plaques drawn into them, everything else in them a hard negative.

A file names a scan's coronary courses, points in mm (x, y, z; LPS) from ostium to end; see `training/config/courses`.
The scan itself stays where it is.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import interpolate, ndimage

from cac import volume
from cac.phantom import anatomy, arteries, canvas, plaques, scan, shapes

SPREAD_MM = 0.8
"""Full width at half maximum of the point spread that a drawn plaque gets, in plane: that of a soft kernel."""
BRANCH_OF = {"pda": "rca", "diagonal": "lad", "marginal": "lcx"}
"""Where a scan's file names no branch, its plaques go to the artery it leaves."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """Hold a real scan, its heart (bool, on the scan's grid), and where its coronary arteries run."""

    scan: volume.Volume
    heart: volume.BoolArray
    courses: Mapping[str, shapes.Points]


def courses(text: str) -> Mapping[str, shapes.Points]:
    """Return a scan's courses from their JSON: name to points (n, 3)."""
    named = json.loads(text)["courses"]
    return {name: np.asarray(points, dtype=np.float64) for name, points in named.items()}


def vary(background: Background, random: np.random.Generator, increment: float) -> Background:
    """Return a scan at 1.5 mm of somebody a little larger or smaller, noisier, at 1.5 or 3 mm; lines scale along."""
    scale = float(random.uniform(0.88, 1.12))
    step = 2 if increment == 3.0 else 1
    first = int(random.integers(step))
    thick, (x, y, z) = background.scan, background.scan.origin
    hu = thick.hu[first::step].copy()
    grains = random.standard_normal(hu.shape, np.float32)
    sigma = float(random.uniform(0.6, 1.2))
    grains = ndimage.gaussian_filter(grains, (0, sigma, sigma))
    hu += grains * np.float32(random.uniform(0, 16) / grains.std())
    hu = hu * np.float32(random.uniform(0.97, 1.03)) + np.float32(random.uniform(-6, 6))
    spacing = (thick.spacing[0] * step, thick.spacing[1] * scale, thick.spacing[2] * scale)
    moved = dataclasses.replace(
        thick, hu=hu, spacing=spacing, origin=(x * scale, y * scale, z - first * thick.spacing[0])
    )
    lines = {name: points * (scale, scale, 1.0) for name, points in background.courses.items()}
    return dataclasses.replace(background, scan=moved, heart=background.heart[first::step], courses=lines)


def draw(background: Background, agatston: float, random: np.random.Generator, scattered: int = 0) -> scan.Phantom:
    """Draw plaques of about this Agatston score into the scan, along its courses; none for 0. As `plaques.put`."""
    thick, (x, y, z) = background.scan, background.scan.origin
    slices, rows, columns = (np.arange(count, dtype=np.float32) for count in thick.hu.shape)
    ground = canvas.Canvas(
        hu=thick.hu,
        z=np.float32(z) - slices * np.float32(thick.spacing[0]),
        y=np.float32(y) + rows * np.float32(thick.spacing[1]),
        x=np.float32(x) + columns * np.float32(thick.spacing[2]),
        thickness=thick.thickness,
    )
    bare = plaques.Scan(ground=ground, noisy=thick.hu, sigma=SPREAD_MM / 2.3548 / thick.spacing[1])
    tree = _tree(background.courses, random)
    marked = plaques.put(bare, tree, agatston, scattered, random)
    return scan.Phantom(
        volume=dataclasses.replace(thick, hu=np.clip(marked.hu, -1024, 3071)),
        truth=marked.truth,
        agatston=marked.score,
        mimics=(),
        heart=background.heart,
        owners=marked.owners,
        origins=np.zeros_like(marked.owners),
    )


def _tree(courses: Mapping[str, shapes.Points], random: np.random.Generator) -> Sequence[arteries.Artery]:
    """Turn courses into arteries, each a little off its course: they were read off images."""
    tree = []
    for name, course in anatomy.STANDARD.courses.items():
        points = courses.get(name, courses[BRANCH_OF.get(name, name)])
        moved = points + random.normal(0, 1.0, points.shape)
        tree.append(_smooth(name, moved, course.radii))
    return tuple(tree)


def _smooth(name: str, points: shapes.Points, ends: tuple[float, float]) -> arteries.Artery:
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    along = np.linspace(0, length[-1], max(int(length[-1]), 6))
    line = interpolate.PchipInterpolator(length, points, axis=0)(along)
    return arteries.Artery(name=name, points=line, radii=np.linspace(*ends, len(line)))
