"""One heart's anatomy as numbers: chambers, great vessels, coronary courses and landmarks, before any is varied.

Positions are (x, y, z) in mm about the heart's centre: x to the patient's left, y to the back, z to the head.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Place: TypeAlias = tuple[float, float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lump:
    """Hold one ellipsoid: centre, radii, direction of the first radius, and what the second leans towards."""

    centre: Place
    radii: Place
    axis: Place
    hint: Place = (0.0, 0.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chamber:
    """Hold one chamber: the ellipsoids that make its outer wall, and how thick that wall is in mm."""

    lumps: Sequence[Lump]
    wall: float = 3.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vessel:
    """Hold one great vessel: a polyline away from the heart, and its radius in mm."""

    points: Sequence[Place]
    radius: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """Hold one coronary artery: waypoints from the ostium, lumen radius in mm at both ends.

    `walls` names the two chambers whose groove it follows; it lies on the heart's surface where there are fewer.
    """

    points: Sequence[Place]
    walls: tuple[str, ...]
    radii: tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ring:
    """Hold a valve's annulus: points at centre + cos(a) `across` + sin(a) `along`; `normal` is square to it."""

    centre: Place
    across: Place
    along: Place
    normal: Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Hold one anatomy.

    `chambers` has lv, rv, ra, la and what else bounds the heart; `vessels` has aorta (the first three points are its
    root), pulmonary (the first two are its trunk), right_pulmonary, left_pulmonary, svc, ivc and more; `courses` has
    lm, lad, lcx, rca, pda, diagonal, marginal, in this order. `belly` is the fat under the heart, `lead` where a
    pacemaker's runs; the heart lies in `box` whatever varies it.
    """

    chambers: Mapping[str, Chamber]
    vessels: Mapping[str, Vessel]
    courses: Mapping[str, Course]
    belly: Lump
    aortic_valve: Place
    mitral: Ring
    lead: Sequence[Place]
    box: tuple[Place, Place]


COURSES = ("lm", "lad", "lcx", "rca", "pda", "diagonal", "marginal")
"""The arteries that plaques are drawn on, in the order they are built in."""
NEEDED = {
    "chambers": ("lv", "rv", "ra", "la"),
    "vessels": ("aorta", "pulmonary", "right_pulmonary", "left_pulmonary", "svc", "ivc"),
    "courses": COURSES,
}


def read(text: str) -> Anatomy:
    """Return the anatomy of a JSON file; see `training/config/anatomy`.

    Raises ValueError where a part is missing or no number.
    """
    try:
        found = json.loads(text)
        missing = [f"{kind} {name}" for kind, names in NEEDED.items() for name in names if name not in found[kind]]
        if missing:
            raise ValueError(f"the anatomy lacks {', '.join(missing)}")
        return _anatomy(found)
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"not an anatomy: {exc}") from exc


def _anatomy(found: Mapping[str, Any]) -> Anatomy:
    ring = {name: _place(found["mitral"][name]) for name in ("centre", "across", "along", "normal")}
    return Anatomy(
        chambers={
            name: Chamber(lumps=[_lump(lump) for lump in part["lumps"]], wall=float(part["wall"]))
            for name, part in found["chambers"].items()
        },
        vessels={
            name: Vessel(points=_line(part["points"]), radius=float(part["radius"]))
            for name, part in found["vessels"].items()
        },
        courses={name: _course(found["courses"][name]) for name in COURSES},
        belly=_lump(found["belly"]),
        aortic_valve=_place(found["aortic_valve"]),
        mitral=Ring(**ring),
        lead=_line(found["lead"]),
        box=(_place(found["box"][0]), _place(found["box"][1])),
    )


def _course(part: Mapping[str, Any]) -> Course:
    first, last = part["radii"]
    return Course(points=_line(part["points"]), walls=tuple(part["walls"]), radii=(float(first), float(last)))


def _lump(part: Mapping[str, Any]) -> Lump:
    return Lump(**{name: _place(part[name]) for name in ("centre", "radii", "axis", "hint")})


def _line(points: Any) -> Sequence[Place]:
    return tuple(_place(point) for point in points)


def _place(point: Any) -> Place:
    x, y, z = (float(value) for value in point)
    return x, y, z


_APEX = (0.72, -0.48, -0.50)


def _one(centre: Place, radii: Place, axis: Place, wall: float = 3.5) -> Chamber:
    return Chamber(lumps=(Lump(centre=centre, radii=radii, axis=axis),), wall=wall)


STANDARD = Anatomy(
    chambers={
        "lv": _one((22, -4, -12), (47, 31, 29), _APEX, 10.0),
        "rv": _one((4, -29, -15), (46, 22, 33), (0.78, -0.22, -0.58)),
        "rvot": _one((14, -34, 16), (24, 16, 17), (0.05, 0.1, 0.99)),
        "ra": _one((-36, -2, -4), (30, 25, 27), (0.1, 0.1, 0.99)),
        "la": _one((0, 29, 13), (35, 18, 23), (0.99, 0.05, 0.1)),
        "laa": _one((37, 6, 20), (16, 10, 10), (0.5, -0.8, 0.3)),
    },
    vessels={
        "aorta": Vessel(
            points=((4, 0, 2), (0, -5, 16), (-9, -9, 34), (-14, -10, 62), (-12, -6, 90), (-6, 8, 102)), radius=15.5
        ),
        "pulmonary": Vessel(points=((16, -34, 22), (21, -22, 40), (25, 0, 54)), radius=13.0),
        "right_pulmonary": Vessel(points=((25, 0, 54), (-4, 15, 51), (-34, 20, 48), (-58, 24, 40)), radius=9.5),
        "left_pulmonary": Vessel(points=((25, 0, 54), (42, 22, 54), (58, 34, 46)), radius=10.0),
        "svc": Vessel(points=((-35, -2, 15), (-36, -5, 60), (-35, -8, 110)), radius=9.5),
        "ivc": Vessel(points=((-28, 12, -25), (-26, 18, -50), (-22, 22, -130)), radius=12.0),
        "vein_ru": Vessel(points=((-25, 24, 20), (-48, 26, 24), (-66, 20, 34)), radius=5.5),
        "vein_rl": Vessel(points=((-25, 32, 8), (-48, 42, 2), (-62, 52, -8)), radius=5.5),
        "vein_lu": Vessel(points=((26, 26, 20), (44, 22, 28), (58, 14, 38)), radius=5.0),
        "vein_ll": Vessel(points=((26, 36, 10), (44, 46, 2), (58, 56, -8)), radius=5.0),
    },
    courses={
        "lm": Course(points=((12, 2, 22), (18, -1, 23), (25, -4, 22)), walls=(), radii=(2.3, 2.0)),
        "lad": Course(
            points=((25, -4, 22), (32, -18, 18), (40, -32, 8), (50, -42, -8), (56, -46, -22), (60, -42, -36)),
            walls=("lv", "rv"),
            radii=(1.9, 0.9),
        ),
        "lcx": Course(
            points=((25, -4, 22), (36, 6, 16), (46, 16, 4), (46, 26, -10), (36, 32, -22)),
            walls=("la", "lv"),
            radii=(1.8, 0.9),
        ),
        "rca": Course(
            points=((-4, -18, 18), (-14, -32, 14), (-30, -40, 2), (-36, -38, -18), (-28, -22, -36), (-8, -2, -42)),
            walls=("ra", "rv"),
            radii=(2.1, 1.4),
        ),
        "pda": Course(points=((-8, -2, -42), (14, -14, -44), (36, -26, -46)), walls=("lv", "rv"), radii=(1.3, 0.8)),
        "diagonal": Course(
            points=((38, -28, 10), (50, -22, 4), (60, -20, -10), (64, -22, -22)), walls=("lv",), radii=(1.2, 0.7)
        ),
        "marginal": Course(points=((46, 12, 6), (54, 8, -8), (56, 2, -22)), walls=("lv",), radii=(1.2, 0.7)),
    },
    belly=Lump(centre=(-2, -12, -30), radii=(38, 32, 16), axis=(1, 0, 0), hint=(0, 1, 0)),
    aortic_valve=(1, -3, 12),
    mitral=Ring(centre=(12, 20, -2), across=(17, 0, -6), along=(0, 13, 0), normal=(0.5, -0.6, -0.5)),
    lead=((-35, -6, 90), (-35, -2, 20), (-30, -12, -8), (0, -34, -22), (30, -44, -30)),
    box=((-95.0, -90.0, -75.0), (105.0, 75.0, 62.0)),
)
"""A guessed heart: that of the self-test, the demo and the tests."""
