"""The chest around the heart: wall, bones, lungs, airways, and what lies under the diaphragm."""

import dataclasses

import numpy as np

from cac.phantom import canvas, heart, population, shapes

MIDLINE = -16.0
VERTEBRA_Y = 76.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chest:
    """Hold one chest's measures in mm: half width and depth of the cage, fat and muscle, heights of the domes.

    `bone` is a factor on its HU, `lung` the range of its HU, `breasts` their thickness in mm, 0 for none.
    """

    wide: float
    deep: float
    front: float
    fat: float
    muscle: float
    right_dome: float
    left_dome: float
    tendon: float
    rib_phase: float
    rib_step: float
    bone: float
    lung: population.Range
    breasts: float

    @property
    def middle(self) -> float:
        """Return the cage's centre from front to back."""
        return self.front + self.deep


def build(
    rng: np.random.Generator,
    scale: float,
    people: population.Population = population.STANDARD,
    breasts: float = 0.0,
) -> Chest:
    """Draw one chest that fits a heart of this scale."""
    front = -58.0 * scale - float(rng.uniform(*people.gap))
    return Chest(
        wide=float(rng.uniform(*people.width)),
        deep=(VERTEBRA_Y + 36 - front) / 2,
        front=front,
        fat=float(rng.uniform(*people.fat)),
        muscle=float(rng.uniform(*people.muscle)),
        right_dome=float(rng.uniform(-26, -8)) * scale,
        left_dome=float(rng.uniform(-40, -24)) * scale,
        tendon=float(rng.uniform(-40, -35)) * scale,
        rib_phase=float(rng.uniform(0, 1)),
        rib_step=float(rng.uniform(23, 29)),
        bone=float(rng.uniform(*people.bone)),
        lung=people.lung,
        breasts=breasts,
    )


def cage(chest: Chest, grown: float = 0.0) -> shapes.Shape:
    """Return the inner wall of the chest, moved out by `grown` mm."""
    return _oval(chest, chest.wide + grown, chest.deep + grown)


def _oval(chest: Chest, wide: float, deep: float) -> shapes.Shape:
    def inside(x: shapes.Array, y: shapes.Array, z: shapes.Array) -> shapes.Array:
        u, v = np.abs(x - MIDLINE) / np.float32(wide), np.abs(y - chest.middle) / np.float32(deep)
        taper = 1 + np.maximum(z - 30, 0) * np.float32(0.002)
        return np.asarray(((u * taper) ** 2.4 + v**2.4) ** (1 / 2.4) * deep - deep + 0 * z, np.float32)

    return inside


def diaphragm(chest: Chest) -> shapes.Shape:
    """Return the abdomen: everything under the two domes and the tendon between them."""
    domes = ((-72.0, 12.0, chest.right_dome, 78.0), (62.0, 22.0, chest.left_dome, 72.0))

    def inside(x: shapes.Array, y: shapes.Array, z: shapes.Array) -> shapes.Array:
        heights = [
            top - 58 * (((x - cx) / np.float32(r)) ** 2 + ((y - cy) / np.float32(r * 1.15)) ** 2)
            for cx, cy, top, r in domes
        ]
        heights.append(chest.tendon - 24 * (((x - 12) / np.float32(78.0)) ** 2 + ((y + 10) / np.float32(64.0)) ** 2))
        return np.asarray(z - np.maximum(np.maximum(heights[0], heights[1]), heights[2]), np.float32)

    return inside


def paint_wall(chest: Chest, target: canvas.Canvas) -> None:
    """Paint skin, fat and muscle, and leave the cage full of lung."""
    skin = _oval(chest, chest.wide + chest.muscle + chest.fat, chest.deep + chest.muscle * 0.6 + chest.fat + 4)
    couch = shapes.ellipsoid((MIDLINE, chest.middle + chest.deep + chest.muscle + chest.fat - 60, 0), (330, 80, 1e5))
    behind = shapes.block((MIDLINE, 400, 0), (200, 400 - chest.middle - 50, 1e4))
    target.paint(shapes.common([couch, shapes.outside(shapes.grow(couch, -6.0)), behind]), 150.0)
    if chest.breasts:
        _paint_breasts(chest, target)
    target.paint(skin, 10.0)
    target.paint(shapes.grow(skin, -2.0), heart.FAT_HU)
    flesh = _oval(chest, chest.wide + chest.muscle, chest.deep + chest.muscle * 0.6)
    back = shapes.union(
        [shapes.ellipsoid((MIDLINE + s * 34, VERTEBRA_Y + 34, 0), (34, 26, 900)) for s in (-1, 1)], blend=8
    )
    target.paint(shapes.common([shapes.union([flesh, back], blend=10), shapes.grow(skin, -4)]), heart.MUSCLE_HU)
    seam = _oval(chest, chest.wide + chest.muscle * 0.62, chest.deep + chest.muscle * 0.4)
    split = shapes.common([seam, shapes.outside(shapes.grow(seam, -3.2)), shapes.outside(back)])
    target.paint(split, -60.0)
    target.paint(cage(chest, 1.0), -20.0)


def _paint_breasts(chest: Chest, target: canvas.Canvas) -> None:
    """Paint two breasts on the wall's front: skin, fat, and glands within."""
    front = chest.front - chest.fat - 4
    for side in (-1, 1):
        centre = (MIDLINE + side * 66.0, front + 12, -4.0)
        outer = shapes.ellipsoid(centre, (60.0, chest.breasts, 62.0))
        glands = shapes.ellipsoid(
            (centre[0], centre[1] - 0.3 * chest.breasts, centre[2]), (26, 0.5 * chest.breasts, 24)
        )
        target.paint(outer, 10.0)
        target.paint(shapes.grow(outer, -2.0), heart.FAT_HU)
        target.paint(glands, 25.0)


def paint_lungs(chest: Chest, target: canvas.Canvas, parting: shapes.Shape, rng: np.random.Generator) -> None:
    """Fill the cage: lungs with their vessels first, then what parts them and the abdomen over them."""
    target.paint(cage(chest), float(rng.uniform(*chest.lung)))
    for side in (-1, 1):
        hilum = np.array([MIDLINE + 8 + side * 44.0, 28.0, 34.0])
        for _ in range(60):
            _branch(chest, target, hilum + rng.normal(0, (3, 5, 13)), side, rng)
    target.paint(shapes.common([cage(chest), parting]), -95.0)
    abdomen = diaphragm(chest)
    inner = cage(chest)
    target.paint(shapes.common([inner, abdomen]), 40.0)
    target.paint(shapes.common([inner, shapes.grow(abdomen, -3)]), -95.0)
    liver = shapes.union(
        [shapes.ellipsoid((-62, 12, -84), (90, 88, 82)), shapes.ellipsoid((14, -20, -80), (62, 52, 40))], blend=20
    )
    deep = shapes.common([inner, shapes.grow(abdomen, -3)])
    target.paint(shapes.common([deep, liver]), float(rng.uniform(50, 64)))
    spleen = shapes.ellipsoid((96, 58, -76), (26, 42, 38))
    target.paint(shapes.common([deep, spleen]), 50.0)
    stomach = shapes.common([deep, shapes.ellipsoid((62, 4, -74), (40, 44, 42))])
    target.paint(stomach, 35.0)
    gas = shapes.ellipsoid((62, -20, -66), (34, 24, 34))
    target.paint(shapes.common([shapes.grow(stomach, -4), gas]), -930.0)


def _branch(chest: Chest, target: canvas.Canvas, hilum: shapes.Points, side: int, rng: np.random.Generator) -> None:
    """Grow one lung vessel from the hilum towards a random place in the lung, with a few twigs."""
    angle, height = rng.uniform(-np.pi * 0.75, np.pi * 0.75), rng.uniform(-75, 60)
    reach = np.array([side * np.cos(angle) * chest.wide * 0.6, np.sin(angle) * chest.deep * 0.85, 0])
    end = np.array([MIDLINE + side * chest.wide * 0.38, chest.middle, height]) + reach * rng.uniform(0.4, 1.0)
    bend = (hilum + end) / 2 + rng.normal(0, 13, 3)
    t = np.linspace(0, 1, 7)[:, None]
    path = (1 - t) ** 2 * hilum + 2 * t * (1 - t) * bend + t**2 * end
    path[:, 0] = MIDLINE + side * np.maximum((path[:, 0] - MIDLINE) * side, 25)
    radii = np.linspace(rng.uniform(1.8, 4.0), 0.6, 7)
    target.tube(path, radii, 40.0)
    for _ in range(2):
        start = int(rng.integers(2, 6))
        twig = path[start] + np.linspace(0, 1, 3)[:, None] * rng.normal(0, 18, 3)
        target.tube(twig, np.linspace(radii[start] * 0.8, 0.5, 3), 40.0)


def trachea(scale: float) -> dict[str, tuple[shapes.Points, float]]:
    """Return the airways' polylines and inner radii."""
    carina = (-17.0, 39.0, 70.0)
    lines = {
        "trachea": ([(-17, 36, 140), carina], 8.5),
        "right": ([carina, (-40, 38, 52), (-56, 36, 42)], 6.2),
        "left": ([carina, (10, 42, 56), (36, 42, 44), (50, 44, 34)], 5.6),
        "right_lower": ([(-40, 38, 52), (-50, 44, 22), (-60, 52, -5)], 4.2),
        "left_lower": ([(36, 42, 44), (50, 52, 18), (60, 60, -5)], 4.0),
    }
    return {name: (np.asarray(points) * scale, radius) for name, (points, radius) in lines.items()}


def paint_airways(scale: float, target: canvas.Canvas) -> None:
    """Paint trachea and bronchi, walls first."""
    for grown, value in ((1.5, 20.0), (0.0, -985.0)):
        for points, radius in trachea(scale).values():
            box = (tuple(points.min(axis=0) - radius - 2), tuple(points.max(axis=0) + radius + 2))
            target.paint(shapes.tube(points, radius + grown), value, box)
