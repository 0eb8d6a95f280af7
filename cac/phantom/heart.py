"""The heart, its fat and the great vessels, as shapes that differ from seed to seed."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cac.phantom import canvas, population, shapes

FAT_HU = -100.0
MUSCLE_HU = 52.0
HEART_BOX: shapes.Box = ((-95.0, -90.0, -75.0), (105.0, 75.0, 62.0))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Heart:
    """Hold the heart's shapes.

    `chambers` are lv, rv, ra, la (outer walls); `tissue` joins them with the vessel roots, `sac` is the pericardium;
    `vessels` are tubes with their polylines; `scale` and `rotation` are what `place` applies; all but the vessels lies
    in `box`.
    """

    chambers: Mapping[str, shapes.Shape]
    cavities: Sequence[shapes.Shape]
    tissue: shapes.Shape
    sac: shapes.Shape
    vessels: Mapping[str, tuple[shapes.Points, float]]
    scale: float
    rotation: shapes.Points
    box: shapes.Box

    def place(self, points: shapes.Line | Sequence[shapes.Points]) -> shapes.Points:
        """Carry points of the standard heart to this one."""
        return np.asarray(points, float) @ self.rotation.T * self.scale


APEX = (0.72, -0.48, -0.50)
CHAMBERS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]] = {
    "lv": ((22, -4, -12), (47, 31, 29), APEX),
    "rv": ((4, -29, -15), (46, 22, 33), (0.78, -0.22, -0.58)),
    "rvot": ((14, -34, 16), (24, 16, 17), (0.05, 0.1, 0.99)),
    "ra": ((-36, -2, -4), (30, 25, 27), (0.1, 0.1, 0.99)),
    "la": ((0, 29, 13), (35, 18, 23), (0.99, 0.05, 0.1)),
    "laa": ((37, 6, 20), (16, 10, 10), (0.5, -0.8, 0.3)),
}
VESSELS: Mapping[str, tuple[Sequence[tuple[float, float, float]], float]] = {
    "aorta": (((4, 0, 2), (0, -5, 16), (-9, -9, 34), (-14, -10, 62), (-12, -6, 90), (-6, 8, 102)), 15.5),
    "pulmonary": (((16, -34, 22), (21, -22, 40), (25, 0, 54)), 13.0),
    "right_pulmonary": (((25, 0, 54), (-4, 15, 51), (-34, 20, 48), (-58, 24, 40)), 9.5),
    "left_pulmonary": (((25, 0, 54), (42, 22, 54), (58, 34, 46)), 10.0),
    "svc": (((-35, -2, 15), (-36, -5, 60), (-35, -8, 110)), 9.5),
    "ivc": (((-28, 12, -25), (-26, 18, -50), (-22, 22, -130)), 12.0),
    "vein_ru": (((-25, 24, 20), (-48, 26, 24), (-66, 20, 34)), 5.5),
    "vein_rl": (((-25, 32, 8), (-48, 42, 2), (-62, 52, -8)), 5.5),
    "vein_lu": (((26, 26, 20), (44, 22, 28), (58, 14, 38)), 5.0),
    "vein_ll": (((26, 36, 10), (44, 46, 2), (58, 56, -8)), 5.0),
}


def build(rng: np.random.Generator, people: population.Population = population.STANDARD) -> Heart:
    """Draw one heart: size, turn, tilt, thickness of its fat."""
    scale = float(rng.uniform(*people.scale))
    rotation = _turn(*(np.deg2rad(rng.normal(0, degrees)) for degrees in people.turn))
    parts = {}
    inner = []
    for name, (centre, radii, axis) in CHAMBERS.items():
        place = scale * rotation @ np.add(centre, rng.normal(0, 1.0, 3))
        size = scale * np.asarray(radii) * rng.normal(1, people.shape, 3)
        turned = shapes.frame(rotation @ np.asarray(axis))
        parts[name] = shapes.ellipsoid(tuple(place), tuple(size), turned)
        wall = 10.0 if name == "lv" else 3.5
        inner.append(shapes.ellipsoid(tuple(place), tuple(size - wall), turned))
    vessels = {
        name: (np.asarray(points) @ rotation.T * scale, radius * scale * float(rng.uniform(0.9, 1.12)))
        for name, (points, radius) in VESSELS.items()
    }
    root = shapes.tube(vessels["aorta"][0][:3], vessels["aorta"][1] * 1.08)
    trunk = shapes.tube(vessels["pulmonary"][0][:2], vessels["pulmonary"][1])
    tissue = shapes.union([*parts.values(), root, trunk], blend=2.5)
    belly = shapes.ellipsoid(scale * rotation @ np.array([-2, -12, -30]), scale * np.array([38, 32, 16]))
    sac = shapes.grow(
        shapes.union([*parts.values(), root, trunk, belly], blend=9.0), float(rng.uniform(*people.sac_fat))
    )
    usual = people.scale[1] <= population.STANDARD.scale[1]
    box = HEART_BOX if usual else (np.array(HEART_BOX[0]) * 1.25, np.array(HEART_BOX[1]) * 1.25)
    return Heart(
        chambers=parts,
        cavities=inner,
        tissue=tissue,
        sac=sac,
        vessels=vessels,
        scale=scale,
        rotation=rotation,
        box=box,
    )


def paint(heart: Heart, target: canvas.Canvas, blood: float) -> None:
    """Paint fat, pericardium, muscle, blood and the great vessels; `blood` is the pool's HU."""
    target.paint(shapes.grow(heart.sac, 1.2), 5.0, heart.box)
    target.paint(heart.sac, FAT_HU, heart.box)
    target.paint(heart.tissue, MUSCLE_HU, heart.box)
    target.paint(shapes.union(heart.cavities), blood, heart.box)
    for points, radius in heart.vessels.values():
        box = (points.min(axis=0) - radius - 2, points.max(axis=0) + radius + 2)
        target.paint(shapes.tube(points, radius + 1.0), MUSCLE_HU, box)
    for points, radius in heart.vessels.values():
        box = (points.min(axis=0) - radius, points.max(axis=0) + radius)
        target.paint(shapes.tube(points, radius), blood, box)


def mediastinum(heart: Heart) -> shapes.Shape:
    """Return the heart's share of what parts the lungs: sac and great vessels with their fat."""
    trunks = ("aorta", "pulmonary", "svc", "ivc")
    wrapped = [shapes.tube(heart.vessels[name][0], heart.vessels[name][1] + 4.0) for name in trunks]
    hila = [
        shapes.tube(heart.vessels[name][0][:-1], heart.vessels[name][1] + 2.5)
        for name in ("right_pulmonary", "left_pulmonary")
    ]
    return shapes.union([shapes.grow(heart.sac, 1.5), *wrapped, *hila], blend=12.0)


def _turn(about_z: float, about_x: float) -> shapes.Points:
    c, s = np.cos(about_z), np.sin(about_z)
    first = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(about_x), np.sin(about_x)
    return np.asarray(first @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]))
