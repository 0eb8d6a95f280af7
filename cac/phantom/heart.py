"""The heart, its fat and the great vessels, as shapes that differ from seed to seed."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cac.phantom import anatomy, canvas, population, shapes

FAT_HU = -100.0
MUSCLE_HU = 52.0
BLEND_MM = 4.0
"""How far the ellipsoids of one chamber run into each other."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Heart:
    """Hold the heart's shapes.

    `anatomy` is what it was drawn from. `chambers` are lv, rv, ra, la and more (outer walls); `tissue` joins them with
    the vessel roots, `sac` is the pericardium; `vessels` are tubes with their polylines; `scale` and `rotation` are
    what `place` applies; all but the vessels lies in `box`.
    """

    anatomy: anatomy.Anatomy
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


def build(
    rng: np.random.Generator,
    people: population.Population = population.STANDARD,
    body: anatomy.Anatomy = anatomy.STANDARD,
    crease: float = population.STANDARD.crease[0],
) -> Heart:
    """Draw one heart of an anatomy: size, turn, tilt, shape of its chambers, thickness of its fat.

    `crease` is how far, in mm, the grooves between chambers are filled.
    """
    scale = float(rng.uniform(*people.scale))
    rotation = _turn(*(np.deg2rad(rng.normal(0, degrees)) for degrees in people.turn))
    parts = {}
    inner = []
    for name, chamber in body.chambers.items():
        moved, stretched = rng.normal(0, 1.0, 3), rng.normal(1, people.shape, 3)
        parts[name], cavity = _chamber(chamber, scale * rotation, moved, scale * stretched)
        inner.append(cavity)
    vessels = {
        name: (np.asarray(v.points) @ rotation.T * scale, v.radius * scale * float(rng.uniform(0.9, 1.12)))
        for name, v in body.vessels.items()
    }
    root = shapes.tube(vessels["aorta"][0][:3], vessels["aorta"][1] * 1.08)
    trunk = shapes.tube(vessels["pulmonary"][0][:2], vessels["pulmonary"][1])
    tissue = shapes.union([*parts.values(), root, trunk], blend=crease)
    belly = shapes.ellipsoid(scale * rotation @ np.asarray(body.belly.centre), scale * np.asarray(body.belly.radii))
    sac = shapes.grow(
        shapes.union([*parts.values(), root, trunk, belly], blend=max(9.0, crease + 4)),
        float(rng.uniform(*people.sac_fat)),
    )
    usual = people.scale[1] <= population.STANDARD.scale[1]
    box = body.box if usual else (np.array(body.box[0]) * 1.25, np.array(body.box[1]) * 1.25)
    return Heart(
        anatomy=body,
        chambers=parts,
        cavities=inner,
        tissue=tissue,
        sac=sac,
        vessels=vessels,
        scale=scale,
        rotation=rotation,
        box=box,
    )


def _chamber(
    part: anatomy.Chamber, place: shapes.Points, moved: shapes.Points, stretched: shapes.Points
) -> tuple[shapes.Shape, shapes.Shape]:
    """Return a chamber's outer wall and its cavity: carried by `place`, all its ellipsoids shifted and stretched."""
    turn = place / np.linalg.norm(place[:, 0])
    walls, cavities = [], []
    for lump in part.lumps:
        centre = place @ np.add(lump.centre, moved)
        size = np.asarray(lump.radii) * stretched
        turned = shapes.frame(turn @ np.asarray(lump.axis), lump.hint)
        walls.append(shapes.ellipsoid(tuple(centre), tuple(size), turned))
        cavities.append(shapes.ellipsoid(tuple(centre), tuple(np.maximum(size - part.wall, 1.0)), turned))
    return shapes.union(walls, blend=BLEND_MM), shapes.union(cavities, blend=BLEND_MM)


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
