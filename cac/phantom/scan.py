"""A cardiac CT of a wanted Agatston score: anatomy, partial volume, point spread, noise, plaques (SCIENCE.md 4)."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cac import volume
from cac.phantom import anatomy as bodies
from cac.phantom import arteries, bones, canvas, exposure, heart, plaques, population, shapes, thorax
from cac.phantom import mimics as negatives

AIR_HU = -1000.0
CLASSES = negatives.CLASSES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """Hold how a phantom is scanned; None lets the seed draw within the range that sites use.

    Lengths are mm, `noise` is the SD in HU of soft tissue, `spread` the point spread's full width at half maximum,
    `above` and `below` the stack's ends from the heart's centre. `classes` names the mimics instead of drawing them,
    `people` the ranges that all else is drawn from, `body` the heart's anatomy. `scattered` is a number of plaques all
    over the arteries, whatever the score they come to: a scan to learn from.
    """

    matrix: int = 512
    pixel: float | None = None
    thickness: float | None = None
    noise: float | None = None
    spread: float | None = None
    blood: float | None = None
    above: float | None = None
    below: float | None = None
    classes: tuple[str, ...] | None = None
    scattered: int = 0
    people: population.Population = population.STANDARD
    body: bodies.Anatomy = bodies.STANDARD


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Phantom:
    """Hold a scan and what is known of it.

    `truth` marks coronary calcium as a reader would: clean plaque, and HU >= 130 after noise. `agatston` is its score.
    `owners` names each calcium voxel's artery (`plaques.CODES`), `origins` what other dense voxels belong to (1 + a
    place in `CLASSES`, 0 where nobody says). `heart` is the pericardial sac. All are (slice, row, column) on the grid.
    """

    volume: volume.Volume
    truth: shapes.Mask
    agatston: float
    mimics: tuple[str, ...]
    heart: shapes.Mask
    owners: NDArray[np.uint8]
    origins: NDArray[np.uint8]


def make(
    *, agatston: float, seed: int, increment: float = 3.0, mimics: int | None = None, style: Style | None = None
) -> Phantom:
    """Make a phantom; the same arguments give the same voxels.

    `agatston` is met within about 15 % or 2, where plaques are not scattered; 0 leaves the coronary arteries free of
    calcium. `increment` in mm: slices are 3 mm thick from 1.5 mm upwards, else as thick as their increment. `mimics` is
    the number of hard negatives, drawn from the seed (0 to 10) where None. Raises ValueError where the grid cannot hold
    the score.
    """
    wanted = style or Style()
    people = wanted.people
    anatomy, scanner, spots, lesions, looks = (np.random.default_rng([seed, stream]) for stream in range(5))
    breasts = float(looks.uniform(16, 60)) if looks.random() < people.breasts else 0.0
    owner = heart.build(anatomy, people, wanted.body, float(looks.uniform(*people.crease)))
    chest = thorax.build(anatomy, owner.scale, people, breasts)
    tree = arteries.build(owner, anatomy)
    ground = _blank(wanted, increment, owner.scale, scanner)
    blood = wanted.blood if wanted.blood is not None else float(anatomy.uniform(*people.blood))
    _anatomy(ground, owner, chest, blood, anatomy)
    _texture(ground, float(looks.uniform(*people.texture)), float(looks.uniform(*people.septa)), anatomy)
    _mottle(ground, chest, float(looks.uniform(*people.mottle)), looks)
    arteries.paint(tree, ground, blood)
    scene = _scene(ground, owner, chest, tree, people)
    asked = wanted.classes if wanted.classes is not None else negatives.draw(spots, mimics)
    classes = negatives.place(scene, asked, spots)
    how = exposure.draw(people, (wanted.spread, wanted.noise), scanner, looks)
    sac = ground.mask(owner.sac, owner.box)
    if how.beat:
        exposure.beat(ground, sac, owner.box, how, looks)
    scan = exposure.expose(ground, how, scanner)
    for _ in range(classes.count("speckle")):
        negatives.speckle(scan.noisy, scene, spots)
    marked = plaques.put(scan, tree, agatston, wanted.scattered, lesions)
    return Phantom(
        volume=_as_volume(marked.hu, ground),
        truth=marked.truth,
        agatston=marked.score,
        mimics=classes,
        heart=sac,
        owners=marked.owners,
        origins=np.where(marked.truth, np.uint8(0), scene.origins),
    )


def _scene(
    ground: canvas.Canvas,
    owner: heart.Heart,
    chest: thorax.Chest,
    tree: Sequence[arteries.Artery],
    people: population.Population,
) -> negatives.Scene:
    """Set the scene for mimics: what is dense before them is bone."""
    bony = (ground.hu >= volume.CALCIUM_HU) * np.uint8(negatives.code("bone"))
    return negatives.Scene(
        ground=ground,
        heart=owner,
        chest=chest,
        tree=tree,
        origins=bony,
        clearance_mm=people.clearance,
        faint=people.faint,
    )


def _blank(style: Style, increment: float, scale: float, rng: np.random.Generator) -> canvas.Canvas:
    """Lay out the grid: field of view about the heart or, where it is wide, about the body."""
    cardiac = rng.random() < 0.6
    view = float(rng.uniform(205, 260) if cardiac else rng.uniform(310, 380))
    pixel = style.pixel if style.pixel is not None else round(view / style.matrix, 4)
    wide = pixel * style.matrix > 290
    centre = np.array([thorax.MIDLINE, 18.0]) if wide else np.array([2.0, -4.0])
    centre = centre + rng.uniform(-8, 8, 2)
    above = style.above if style.above is not None else float(rng.uniform(*style.people.above)) * scale
    below = style.below if style.below is not None else float(rng.uniform(*style.people.below)) * scale
    slices = round((above + below) / increment) + 1
    steps = (np.arange(style.matrix) - (style.matrix - 1) / 2) * pixel
    thickness = style.thickness if style.thickness is not None else (3.0 if increment >= 1.5 else increment)
    return canvas.Canvas(
        hu=np.full((slices, style.matrix, style.matrix), AIR_HU, np.float32),
        z=(above - np.arange(slices) * increment).astype(np.float32),
        y=(centre[1] + steps).astype(np.float32),
        x=(centre[0] + steps).astype(np.float32),
        thickness=thickness,
    )


def _anatomy(
    ground: canvas.Canvas, owner: heart.Heart, chest: thorax.Chest, blood: float, rng: np.random.Generator
) -> None:
    """Paint from the skin inwards."""
    parting = shapes.union([bones.parting(chest), heart.mediastinum(owner)], blend=6.0)
    thorax.paint_wall(chest, ground)
    thorax.paint_lungs(chest, ground, parting, rng)
    bones.paint_prevertebral(chest, ground, blood)
    bones.paint(chest, ground)
    heart.paint(owner, ground, blood)
    thorax.paint_airways(owner.scale, ground)


def _texture(ground: canvas.Canvas, amount: float, septa: float, rng: np.random.Generator) -> None:
    """Make tissue uneven by an SD in HU over 3-10 mm, as marbling does; fat is lifted, for it is crossed by tissue."""
    for k, fine in enumerate(_uneven(ground.hu.shape, 4.0, ground, rng)):
        hu = ground.hu[k]
        change = fine * np.float32(amount)
        if septa:
            change += np.where(hu < -40, np.abs(fine) * np.float32(septa), 0)
        hu += np.where(hu > -200, change, 0)


def _mottle(ground: canvas.Canvas, chest: thorax.Chest, amount: float, rng: np.random.Generator) -> None:
    """Make costal cartilage uneven by an SD in HU over 1-3 mm."""
    where = ground.mask(bones.gristle(chest)) if amount else np.zeros(ground.hu.shape, bool)
    for box in ndimage.find_objects(where.view(np.uint8)):  # one, or none where no cartilage is in view
        part, inside = ground.hu[box], where[box]
        for k, fine in enumerate(_uneven(part.shape, 1.2, ground, rng)):
            part[k] += np.where(inside[k], fine * np.float32(amount), 0)


def _uneven(
    shape: tuple[int, ...], size_mm: float, ground: canvas.Canvas, rng: np.random.Generator
) -> Iterator[volume.FloatArray]:
    """Draw a smooth field of SD 1 on the canvas's grid, with lumps of about `size_mm`; return it slice by slice."""
    coarse = max(int(size_mm / ground.pixel), 1)
    deep, high, wide = shape
    field = rng.standard_normal((deep, high // coarse + 2, wide // coarse + 2), dtype=np.float32)
    field = ndimage.gaussian_filter(field, (size_mm / ground.increment, 0.7, 0.7))
    field /= field.std()
    for level in field:
        yield ndimage.zoom(level, coarse, order=1, mode="nearest")[:high, :wide]


def _as_volume(hu: volume.FloatArray, ground: canvas.Canvas) -> volume.Volume:
    return volume.Volume(
        hu=np.clip(hu, -1024, 3071).astype(np.float32),
        spacing=(ground.increment, ground.pixel, ground.pixel),
        thickness=ground.thickness,
        origin=(float(ground.x[0]), float(ground.y[0]), float(ground.z[0])),
    )
