"""Hard negatives: bright spots near the heart that are not coronary calcium, each with its class."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cac import volume
from cac.phantom import arteries, bones, canvas, deposits, heart, shapes, thorax

FAINT_HU = (150.0, 420.0)
"""Peak of a faint mimic, before it is averaged over voxels and blurred."""
MARKED_HU = 40.0
"""A voxel is marked as a mimic's where the mimic raises the bare anatomy by this much."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Hold what mimics are placed on.

    `origins` (slice, row, column) marks what they and bone leave there: 1 + a place in `CLASSES`. `clearance_mm` is
    what they keep from coronary arteries, `faint` the share of them that is hardly denser than 130 HU.
    """

    ground: canvas.Canvas
    heart: heart.Heart
    chest: thorax.Chest
    tree: Sequence[arteries.Artery]
    origins: NDArray[np.uint8]
    clearance_mm: float = 6.0
    faint: float = 0.0

    def holds(self, point: shapes.Points) -> bool:
        """Tell whether a point lies inside the stack, a little away from its edges."""
        g = self.ground
        return bool(
            g.x[0] + 5 < point[0] < g.x[-1] - 5 and g.y[0] + 5 < point[1] < g.y[-1] - 5 and g.z[-1] < point[2] < g.z[0]
        )

    def clearance(self, point: shapes.Points) -> float:
        """Return the distance in mm to the nearest coronary artery."""
        return float(min(np.linalg.norm(a.points - point, axis=1).min() for a in self.tree))


def place(scene: Scene, classes: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Put one mimic of each named class into the anatomy; return those that found a place inside the stack.

    Speckle is noise and comes later: it is returned, not placed. Raises ValueError for an unknown class.
    """
    unknown = set(classes) - {*COMMON, *RARE}
    if unknown:
        raise ValueError(f"unknown classes of mimics: {', '.join(sorted(unknown))}")
    placed = []
    for name in classes:
        spot = _spot(scene, name, rng) if name in PLACES else None
        if name in PLACES and spot is None:
            continue
        if spot is not None:
            patch = deposits.stamp(spot, scene.ground)
            scene.origins[patch.where][patch.extra >= MARKED_HU] = code(name)
        elif name in RARE:
            before = scene.ground.hu.copy()
            RARE[name](scene, rng)
            scene.origins[scene.ground.hu - before >= MARKED_HU] = code(name)
        placed.append(name)
    return tuple(placed)


def speckle(noisy: volume.FloatArray, scene: Scene, rng: np.random.Generator) -> None:
    """Lift 1-3 neighbouring pixels in the heart's blood above 130 HU, as noise does, in a few places."""
    for _ in range(int(rng.integers(2, 7))):
        index = _blood_voxel(scene, rng)
        for _ in range(int(rng.integers(1, 4))):
            noisy[index] = max(float(noisy[index]), float(rng.uniform(131, 175)))
            scene.origins[index] = code("speckle")
            step = (0, 1) if rng.random() < 0.5 else (1, 0)
            index = (index[0], index[1] + step[0], index[2] + step[1])


def draw(rng: np.random.Generator, count: int | None) -> tuple[str, ...]:
    """Draw the classes of `count` common mimics, 0 to 10 where None; a class may come twice."""
    number = int(rng.integers(0, 11)) if count is None else count
    return tuple(sorted(str(c) for c in rng.choice(COMMON, number)))


def _blood_voxel(scene: Scene, rng: np.random.Generator) -> tuple[int, int, int]:
    g = scene.ground
    name = str(rng.choice(["lv", "rv", "ra", "la"]))
    centre = scene.heart.place([scene.heart.anatomy.chambers[name].lumps[0].centre])[0] + rng.uniform(-9, 9, 3)
    column, row = np.searchsorted(g.x, centre[0]), np.searchsorted(g.y, centre[1])
    level = np.searchsorted(-g.z, -centre[2])
    size = g.hu.shape
    return (
        int(np.clip(level, 0, size[0] - 1)),
        int(np.clip(row, 0, size[1] - 4)),
        int(np.clip(column, 0, size[2] - 4)),
    )


def _spot(scene: Scene, name: str, rng: np.random.Generator) -> deposits.Deposit | None:
    """Draw a place for a class, again where it leaves the stack or nears a coronary artery; None where all do."""
    place_one, size, peak = PLACES[name]
    for _ in range(40):
        point, flat = place_one(scene, rng)
        if scene.holds(point) and scene.clearance(point) > scene.clearance_mm + size[1]:
            break
    else:
        return None
    along = np.cross(flat, rng.normal(0, 1, 3))
    axes = shapes.frame(along, flat)
    count = int(rng.integers(1, 4))
    reach = rng.uniform(*size)
    spread = np.column_stack(
        [rng.uniform(-1, 1, count) * reach, rng.normal(0, 0.15, count), rng.uniform(-0.5, 0.5, count) * reach]
    )
    spread[0] = 0
    radii = reach * np.array([1.0, 0.55, 0.9]) * rng.uniform(0.8, 1.2, (count, 3))
    radii[:, 2] = np.maximum(radii[:, 2], 1.2)
    peaks = rng.uniform(*(FAINT_HU if scene.faint and rng.random() < scene.faint else peak), count)
    return deposits.Deposit(
        anchor=point, centres=point + spread @ axes, radii=np.maximum(radii, 0.6), axes=axes, peaks=peaks
    )


Spot = tuple[shapes.Points, shapes.Points]
"""A place and the normal of the surface a deposit lies flat on."""


def _on_vessel(line: shapes.Points, radius: float, rng: np.random.Generator, low: float, high: float) -> Spot:
    """Pick a point on a tube's wall between two heights."""
    z = rng.uniform(low, high)
    order = np.argsort(line[:, 2])
    centre = np.array([np.interp(z, line[order, 2], line[order, i]) for i in (0, 1)] + [z])
    angle = rng.uniform(0, 2 * np.pi)
    out = np.array([np.cos(angle), np.sin(angle), 0.0])
    return centre + out * radius, out


def _aortic_wall(scene: Scene, rng: np.random.Generator) -> Spot:
    if rng.random() < 0.5:
        line = np.array([(17, 64, 100), (17, 65, 20), (8, 64, -140)], float)
        return _on_vessel(line, 12.0, rng, -60, 60)
    points, radius = scene.heart.vessels["aorta"]
    return _on_vessel(points[1:], radius, rng, points[1][2] + 8, 70)


def _aortic_valve(scene: Scene, rng: np.random.Generator) -> Spot:
    centre = scene.heart.place([scene.heart.anatomy.aortic_valve])[0]
    return centre + rng.uniform(-7, 7, 3) * (1, 1, 0.4), np.array([0.1, 0.1, 1.0])


def _mitral_annulus(scene: Scene, rng: np.random.Generator) -> Spot:
    angle = rng.uniform(-0.2 * np.pi, 0.95 * np.pi)
    ring = scene.heart.anatomy.mitral
    point = np.asarray(ring.centre) + np.cos(angle) * np.asarray(ring.across) + np.sin(angle) * np.asarray(ring.along)
    return scene.heart.place([point])[0], scene.heart.place([ring.normal])[0]


def _pericardium(scene: Scene, rng: np.random.Generator) -> Spot:
    direction = rng.normal(0, 1, 3) * (1, 1, 0.6)
    direction /= np.linalg.norm(direction)
    steps = np.arange(10.0, 110.0, 0.5)
    line = (direction[None] * steps[:, None]).astype(np.float32)
    inside = scene.heart.sac(line[:, 0], line[:, 1], line[:, 2]) < 0
    return line[int(np.flatnonzero(inside)[-1])].astype(float) if inside.any() else line[0].astype(float), direction


def _bronchial_cartilage(scene: Scene, rng: np.random.Generator) -> Spot:
    lines = thorax.trachea(scene.heart.scale)
    points, radius = lines[str(rng.choice(["right", "left", "right_lower", "left_lower"]))]
    part = rng.uniform(0, 1) * (len(points) - 1)
    start = min(int(part), len(points) - 2)
    centre = points[start] + (points[start + 1] - points[start]) * (part - start)
    along = points[start + 1] - points[start]
    out = np.cross(along, rng.normal(0, 1, 3))
    out /= np.linalg.norm(out)
    return centre + out * (radius + 0.7), out


def _calcified_node(scene: Scene, rng: np.random.Generator) -> Spot:
    homes = ((-44, 30, 38), (46, 32, 38), (-10, 44, 58), (-30, 12, 62), (0, 46, 50), (36, 14, 62))
    home = np.asarray(homes[int(rng.integers(len(homes)))], float)
    return home + rng.normal(0, 3, 3), rng.normal(0, 1, 3)


def _liver_granuloma(scene: Scene, rng: np.random.Generator) -> Spot:
    top = scene.chest.right_dome
    return np.array([rng.uniform(-95, -45), rng.uniform(-20, 45), top - rng.uniform(14, 26)]), rng.normal(0, 1, 3)


def _costal_cartilage(scene: Scene, rng: np.random.Generator) -> Spot:
    angle, side = rng.uniform(2.62, 2.95), rng.choice([-1.0, 1.0])
    chest = scene.chest
    level = int(rng.integers(-2, 3))
    z = bones.rib_height(angle, level, chest)
    u, v = np.sin(angle), np.cos(angle)
    reach = (abs(u) ** 2.4 + abs(v) ** 2.4) ** (-1 / 2.4)
    point = np.array(
        [
            thorax.MIDLINE + side * (chest.wide + 5) * u * reach,
            chest.middle + (chest.deep + 5) * v * reach,
            z,
        ]
    )
    return point, np.array([0.3 * side, -1.0, 0.0])


def _osteophyte(scene: Scene, rng: np.random.Generator) -> Spot:
    angle = rng.uniform(-0.9, 0.9) * np.pi / 2
    out = np.array([np.sin(angle), -np.cos(angle), 0.0])
    level = int(rng.integers(-2, 3))
    z = (level + 0.5 + scene.chest.rib_phase) * bones.VERTEBRA_STEP + rng.uniform(-2, 2)
    return np.array([thorax.MIDLINE, thorax.VERTEBRA_Y, z]) + out * (18.0, 16.5, 0), out


# Class: where, radius in mm (low, high), peak HU (low, high).
PLACES: Mapping[str, tuple[Callable[[Scene, np.random.Generator], Spot], tuple[float, float], tuple[float, float]]] = {
    "aortic_wall": (_aortic_wall, (1.2, 3.5), (400, 1200)),
    "aortic_valve": (_aortic_valve, (1.0, 2.4), (400, 1100)),
    "mitral_annulus": (_mitral_annulus, (1.2, 3.2), (400, 1200)),
    "pericardium": (_pericardium, (1.5, 4.5), (450, 1100)),
    "bronchial_cartilage": (_bronchial_cartilage, (1.5, 2.4), (550, 950)),
    "calcified_node": (_calcified_node, (1.2, 4.0), (400, 1300)),
    "liver_granuloma": (_liver_granuloma, (1.2, 2.5), (400, 1000)),
    "costal_cartilage": (_costal_cartilage, (1.2, 3.0), (350, 800)),
    "osteophyte": (_osteophyte, (2.0, 4.0), (500, 1000)),
}
COMMON: tuple[str, ...] = (*PLACES, "speckle")


def _stent(scene: Scene, rng: np.random.Generator) -> None:
    artery = scene.tree[int(rng.integers(1, 4))]
    start = int(rng.integers(2, max(len(artery.points) - 22, 3)))
    line = artery.points[start : start + 18]
    scene.ground.tube(line, np.full(len(line), 1.9), float(rng.uniform(900, 1500)))
    scene.ground.tube(line, np.full(len(line), 1.2), 120.0)


def _pacemaker_lead(scene: Scene, rng: np.random.Generator) -> None:
    way = scene.heart.place(scene.heart.anatomy.lead)
    scene.ground.tube(way, np.full(len(way), 1.1), 3071.0)


def _clips(scene: Scene, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(3, 7))):
        start = np.array([rng.uniform(-5, 45), -60 * scene.heart.scale, rng.uniform(-20, 45)])
        line = start + np.linspace(0, 1, 2)[:, None] * rng.normal(0, 4, 3)
        scene.ground.tube(line, np.full(2, 0.9), 3071.0)


def _oesophageal_contrast(scene: Scene, rng: np.random.Generator) -> None:
    line = np.array([(-2, 54, 90), (-2, 54, -90)], float)
    scene.ground.tube(line, np.full(2, float(rng.uniform(2, 4))), float(rng.uniform(300, 700)))


RARE: Mapping[str, Callable[[Scene, np.random.Generator], None]] = {
    "stent": _stent,
    "pacemaker_lead": _pacemaker_lead,
    "clips": _clips,
    "oesophageal_contrast": _oesophageal_contrast,
}
CLASSES: tuple[str, ...] = (*COMMON, *RARE, "bone")
"""All that is at or above 130 HU and no coronary calcium; what no class names is noise."""


def code(name: str) -> int:
    """Return what marks a class in `Scene.origins`."""
    return CLASSES.index(name) + 1
