"""What is compared: real series read from a folder, and phantoms made for it, each with its heart located."""

import dataclasses
import pathlib

from cac import heart, slabs, thorax, volume
from cac.phantom import anatomy, population, scan
from triage.dicom import reading

ROOT = pathlib.Path(__file__).parents[2]
ATLAS = ROOT / "training" / "config" / "anatomy" / "hra_male.json"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """Hold one scan as the node works on it, slabs where its slices are thin, and where its heart was found."""

    name: str
    group: str
    scan: volume.Volume
    located: heart.Heart
    chest: thorax.Thorax


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """Name a real series: its folder, what it is called here, and whether its picture may be passed on."""

    folder: str
    name: str
    shown: bool = True
    soft: bool = True


REAL = (
    Series(folder="lidc_idri_0002_zero", name="LIDC-0002"),
    Series(folder="acrin_nsclc_042_marked_calcium", name="ACRIN-042"),
    Series(folder="lung_pet_ct_dx_A0001_5mm", name="A0001"),
    Series(folder="lung_pet_ct_dx_A0002_8mm", name="A0002"),
    Series(folder="nlst_101287_calcium_sharp_kernel", name="NLST", shown=False, soft=False),
)
"""Without contrast. Pictures: only series that docs/DATA.md says may be shown."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Say how a phantom without coronary calcium is made; seeds below 1000 are free (`training.sets`)."""

    group: str
    seed: int
    increment: float
    people: population.Population = population.BROAD
    atlas: bool = False
    noise: float | None = None


MATCHED_NOISE_HU = 9.5
"""Noise of the suitable real series. A population's range is wide because some of it is noisy: these are not."""
PHANTOMS = (
    *(Recipe(group="matched", seed=s, increment=1.5, noise=MATCHED_NOISE_HU) for s in (11, 12, 13, 14)),
    *(Recipe(group="matched", seed=s, increment=1.5, noise=MATCHED_NOISE_HU, atlas=True) for s in (15, 16)),
    *(Recipe(group="standard", seed=s, increment=i, people=population.STANDARD) for s, i in ((21, 1.5), (22, 3.0))),
    *(Recipe(group="broad", seed=s, increment=i) for s, i in ((31, 1.5), (32, 3.0), (33, 1.5), (34, 3.0))),
    *(Recipe(group="external", seed=s, increment=i, people=population.EXTERNAL) for s, i in ((41, 1.5), (42, 3.0))),
    *(Recipe(group="atlas", seed=s, increment=i, atlas=True) for s, i in ((51, 1.5), (52, 3.0))),
)
PIXEL_MM = 0.7
"""A field of view of 358 mm, as chest CT has it: the body's wall is in view."""


def read(folder: pathlib.Path, wanted: Series) -> Subject:
    """Read one real series of a folder of series; SystemExit where it is not there or holds no heart."""
    paths = sorted((folder / wanted.folder).glob("*.dcm"))
    if not paths:
        raise SystemExit(f"{folder / wanted.folder} holds no DICOM file.")
    return _located(wanted.name, "real", reading.load_series(reading.read_headers(paths)).volume)


def make(recipe: Recipe) -> Subject:
    """Make one phantom without coronary calcium, with the hard negatives that its seed draws."""
    style = style_of(recipe.people, atlas=recipe.atlas, pixel=PIXEL_MM)
    style = dataclasses.replace(style, noise=recipe.noise)
    made = scan.make(agatston=0.0, seed=recipe.seed, increment=recipe.increment, style=style)
    return _located(f"{recipe.group} {recipe.seed}", recipe.group, made.volume)


def style_of(people: population.Population, *, atlas: bool, pixel: float, thickness: float | None = None) -> scan.Style:
    """Return how a phantom of these people is scanned, with the atlas's heart where wanted."""
    body = anatomy.read(ATLAS.read_text(encoding="utf-8")) if atlas else anatomy.STANDARD
    return scan.Style(people=people, body=body, pixel=pixel, thickness=thickness)


def _located(name: str, group: str, native: volume.Volume) -> Subject:
    working = slabs.prepare(native).scan
    located, chest = heart.locate(working), thorax.survey(working)
    if located is None or chest is None:
        raise SystemExit(f"{name}: no heart was found between two lungs.")
    return Subject(name=name, group=group, scan=working, located=located, chest=chest)
