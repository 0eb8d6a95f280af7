"""Crops that the nets learn from, on the nets' own grid: of phantoms, of varied real scans, and of labelled ones."""

import dataclasses
import hashlib
import pathlib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cac import components, finding, heart, reasons, slabs, views, volume
from cac.phantom import anatomy, backgrounds, population, scan
from training import cases, errors, labelled
from triage.dicom import reading

BOX_MM = 160.0
BEYOND_MM = 24.0
ENVELOPE_MM = 25.0
"""Candidates farther from the heart's sac than any envelope reaches are not sampled for themselves."""
MIMICS = (8, 29)
"""Many more hard negatives a scan than sites see: a scan costs seconds, and exclusion is what is hard to learn."""
SCATTERED = (8, 30)
"""Plaques of a scan that is not made for its score: what plaques look like is learned from many of them."""
SCORES = ((2, 10), (10, 20), (20, 100), (100, 400), (400, 1500))
SHARES = (0.2, 0.2, 0.25, 0.2, 0.15)
"""Agatston scores of scans with calcium, and how many have them: a large plaque looks like bone to who saw none."""
INCREMENTS = (1.5, 3.0, 1.5, 3.0, 2.0, 2.5, 3.0)
POINTS = 12
"""At most this many points of one candidate: a long plaque or a rib is seen at several places."""

_CODE = reasons.ReasonCode
CHANGE_HU = frozenset(
    str(code)
    for code in (
        *(_CODE.NOT_CT, _CODE.ENHANCED_CT, _CODE.LOCALIZER, _CODE.DERIVED, _CODE.LOSSY),
        *(_CODE.CONTRAST_TAG, _CODE.KVP_NOT_120, _CODE.RESCALE_ABSENT),
    )
)
"""What a header may say that makes 130 HU mean something else: such a scan is kept for judging, not for learning."""


def wanted(seed: int) -> tuple[float, float]:
    """Draw Agatston score and increment (mm) of a training scan from its seed.

    A quarter is zero, for every scan is full of mimics; of the others 40 % score under 20 (SCIENCE.md section 4).
    """
    random = np.random.default_rng([seed, 7])
    increment = INCREMENTS[seed % len(INCREMENTS)]
    if (seed // 2) % 4 == 0:
        return 0.0, increment
    low, high = SCORES[random.choice(len(SCORES), p=SHARES)]
    return float(np.exp(random.uniform(np.log(low), np.log(high)))), increment


def scattered(seed: int) -> int:
    """Draw from its seed how many plaques a training scan gets whatever its score; 0 for half, and for zeros."""
    random = np.random.default_rng([seed, 11])
    return 0 if wanted(seed)[0] == 0 or random.random() < 1 / 2 else int(random.integers(*SCATTERED))


def of_phantom(seed: int, jitter_mm: float, body: anatomy.Anatomy = anatomy.STANDARD) -> cases.Case:
    """Make one phantom of an anatomy and bring it to the nets' grid as the node does, its box shifted a little."""
    agatston, increment = wanted(seed)
    random = np.random.default_rng([seed, 8])
    mimics = int(random.integers(*MIMICS))
    style = scan.Style(people=population.BROAD, body=body, scattered=scattered(seed))
    phantom = scan.make(agatston=agatston, seed=seed, increment=increment, mimics=mimics, style=style)
    return cut(phantom.volume, phantom.truth, phantom.heart, jitter_mm, random)


def background(series: pathlib.Path, courses: pathlib.Path) -> backgrounds.Background:
    """Read a real calcium-free series, on 1.5 mm slabs, and its courses. ValueError where no heart is found."""
    read = reading.load_series(reading.read_headers(sorted(series.glob("*.dcm"))))
    thick = slabs.prepare(read.volume).scan
    located = heart.locate(thick)
    if located is None:
        msg = f"{series}: no heart is found"
        raise ValueError(msg)
    # What is far from the heart teaches nothing, and costs memory.
    low, high = located.box.slices
    part = slice(max(low - 20, 0), high + 20)
    x, y, z = thick.origin
    near = dataclasses.replace(thick, hu=thick.hu[part], origin=(x, y, z - part.start * thick.spacing[0]))
    return backgrounds.Background(scan=near, heart=located.core[part], courses=backgrounds.courses(courses.read_text()))


def of_background(real: backgrounds.Background, seed: int, jitter_mm: float) -> cases.Case:
    """Vary a real calcium-free scan, draw plaques into it, and bring it to the nets' grid like a phantom."""
    agatston, increment = wanted(seed)
    random = np.random.default_rng([seed, 9])
    phantom = backgrounds.draw(backgrounds.vary(real, random, increment), agatston, random, scattered(seed))
    return cut(phantom.volume, phantom.truth, phantom.heart, jitter_mm, random)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Real:
    """Hold the crop of a labelled scan, and how many of its calcium voxels the heart's envelope misses."""

    case: cases.Case
    missed: int


def of_labelled(real: labelled.LabelledScan, jitter_mm: float) -> Real:
    """Bring a labelled scan to the nets' grid as the node does: slabs where it is thin, the heart where it is found.

    Raises Unusable where there is no heart, or where the header says that 130 HU means nothing in this scan.
    """
    if strange := sorted(CHANGE_HU & set(real.refused)):
        msg = f"not for training, by its header: {', '.join(strange)}"
        raise errors.Unusable(real.name, msg)
    thick = slabs.prepare(real.volume)
    located = heart.locate(thick.scan)
    if located is None:
        raise errors.Unusable(real.name, "no heart is found between two lungs")
    truth = np.zeros(thick.scan.hu.shape, bool)
    for slab, drawn in zip(thick.slab_of, real.truth, strict=True):
        truth[slab] |= drawn > 0
    truth &= thick.scan.hu >= volume.CALCIUM_HU  # a slab may average a thin plaque away
    seed = int.from_bytes(hashlib.sha256(real.name.encode()).digest()[:4], "big")
    case = cut(thick.scan, truth, located.core, jitter_mm, np.random.default_rng([seed, 10]))
    return Real(case=case, missed=int((truth & ~located.envelope).sum()))


def cut(
    image: volume.Volume,
    truth: volume.BoolArray,
    sac: volume.BoolArray,
    jitter_mm: float,
    random: np.random.Generator,
) -> cases.Case:
    """Cut a labelled crop around the heart `sac`; both masks are on the image's grid."""
    crop = views.crop(image, surround(image, sac, jitter_mm, random), finding.NetSpec(levels={}))
    return label(crop, image, truth, sac, random)


def surround(image: volume.Volume, sac: volume.BoolArray, jitter_mm: float, random: np.random.Generator) -> heart.Box:
    """Put a box around the heart, off its centre by up to `jitter_mm`: no locator is exact."""
    slices, rows, columns = components.bounds(sac)
    increment, *pixel = image.spacing
    shift = random.uniform(-jitter_mm, jitter_mm, 2) / pixel
    margin = round(float(random.uniform(0, BEYOND_MM)) / increment)
    return heart.Box(
        centre=((rows.start + rows.stop - 1) / 2 + shift[0], (columns.start + columns.stop - 1) / 2 + shift[1]),
        size_mm=(BOX_MM, BOX_MM),
        slices=(max(slices.start - margin, 0), min(slices.stop + margin, image.hu.shape[0])),
    )


def label(
    crop: views.Crop,
    image: volume.Volume,
    truth: volume.BoolArray,
    sac: volume.BoolArray,
    random: np.random.Generator,
) -> cases.Case:
    """Label every voxel of a crop by the source voxel nearest to it, and pick points in each candidate."""
    calcium = _nearest(crop, truth)
    near = calcium
    for axis in range(3):
        near = ndimage.maximum_filter1d(near, 3, axis=axis)
    rim = near & ~calcium
    candidate = _nearest(crop, image.hu >= volume.CALCIUM_HU) | (crop.hu >= volume.CALCIUM_HU)
    labels = np.full(crop.hu.shape, cases.OTHER, np.uint8)
    labels[candidate] = cases.MIMIC
    labels[rim] = cases.UNSURE
    labels[calcium] = cases.CALCIUM
    envelope = _envelope(_nearest(crop, sac), image.spacing[0])
    mimics, mimic_sizes = _points((labels == cases.MIMIC) & envelope, random)
    lesions, lesion_sizes = _points(labels == cases.CALCIUM, random)
    return cases.Case(
        hu=np.rint(crop.hu).astype(np.int16),
        label=labels,
        points=np.concatenate([mimics, lesions]).astype(np.int32),
        voxels=np.concatenate([mimic_sizes, lesion_sizes]).astype(np.int32),
        calcium=np.arange(len(mimics) + len(lesions)) >= len(mimics),
    )


def _envelope(sac: volume.BoolArray, increment: float) -> volume.BoolArray:
    """Return what lies within ENVELOPE_MM of the sac, found on every eighth row and column."""
    pixel = 8 * finding.NetSpec(levels={}).spacing[1]
    distance = ndimage.distance_transform_edt(~sac[:, ::8, ::8], (increment, pixel, pixel))
    coarse = distance <= ENVELOPE_MM
    return coarse.repeat(8, axis=1).repeat(8, axis=2)[:, : sac.shape[1], : sac.shape[2]]


def _nearest(crop: views.Crop, mask: volume.BoolArray) -> NDArray[np.bool_]:
    """Carry a source mask to the crop's grid; nothing lies beyond the source."""
    slices = np.arange(crop.hu.shape[0]) + crop.first_slice
    wanted_at = [slices, np.rint(crop.rows.to_source()), np.rint(crop.columns.to_source())]
    inside = [(at >= 0) & (at < size) for at, size in zip(wanted_at, mask.shape, strict=True)]
    found = np.zeros(crop.hu.shape, bool)
    places = [at[ok].astype(np.int64) for at, ok in zip(wanted_at, inside, strict=True)]
    found[np.ix_(*inside)] = mask[np.ix_(*places)]
    return found


def _points(mask: volume.BoolArray, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pick voxels of each connected set, one and one more for every 50 voxels; return them and their sets' sizes."""
    sets = components.find(mask)
    counts = np.minimum(1 + sets.sizes // 50, POINTS)
    chosen = [
        start + random.choice(size, count, replace=False)
        for start, size, count in zip(sets.starts, sets.sizes, counts, strict=True)
    ]
    flat = sets.voxels[np.concatenate([np.empty(0, np.int64), *chosen])]
    return np.stack(np.unravel_index(flat, mask.shape), axis=1), sets.sizes.repeat(counts)
