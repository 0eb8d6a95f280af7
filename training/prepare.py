"""Make the phantoms that the nets learn from: `python -m training.prepare`."""

import argparse
import dataclasses
import json
import multiprocessing
import os
import pathlib
import time
import tomllib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cac import components, finding, heart, slabs, views, volume
from cac.phantom import backgrounds, population, scan
from training import cases
from triage.dicom import reading

BOX_MM = 160.0
BEYOND_MM = 24.0
ENVELOPE_MM = 25.0
"""Candidates farther from the heart's sac than any envelope reaches are not sampled for themselves."""
MIMICS = (8, 29)
"""Many more hard negatives a scan than sites see: a scan costs seconds, and exclusion is what is hard to learn."""
INCREMENTS = (1.5, 3.0, 1.5, 3.0, 2.0, 2.5, 3.0)
POINTS = 12
"""At most this many points of one candidate: a long plaque or a rib is seen at several places."""


def wanted(seed: int) -> tuple[float, float]:
    """Draw Agatston score and increment (mm) of a training scan from its seed.

    A quarter is zero, for every scan is full of mimics; of the others half score under 20 (SCIENCE.md section 4).
    """
    random = np.random.default_rng([seed, 7])
    increment = INCREMENTS[seed % len(INCREMENTS)]
    if (seed // 2) % 4 == 0:
        return 0.0, increment
    low, high = ((2, 10), (10, 20), (20, 100), (100, 400))[random.choice(4, p=(0.25, 0.25, 0.3, 0.2))]
    return float(np.exp(random.uniform(np.log(low), np.log(high)))), increment


def prepare(seed: int, jitter_mm: float) -> cases.Case:
    """Make one phantom and bring it to the nets' grid as the node does, its box shifted a little."""
    agatston, increment = wanted(seed)
    random = np.random.default_rng([seed, 8])
    mimics = int(random.integers(*MIMICS))
    style = scan.Style(people=population.BROAD)
    phantom = scan.make(agatston=agatston, seed=seed, increment=increment, mimics=mimics, style=style)
    crop = views.crop(phantom.volume, surround(phantom, jitter_mm, random), finding.NetSpec(levels={}))
    return label(crop, phantom, random)


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
    cut = dataclasses.replace(thick, hu=thick.hu[part], origin=(x, y, z - part.start * thick.spacing[0]))
    return backgrounds.Background(scan=cut, heart=located.core[part], courses=backgrounds.courses(courses.read_text()))


def prepare_real(real: backgrounds.Background, seed: int, jitter_mm: float) -> cases.Case:
    """Vary a real calcium-free scan, draw plaques into it, and bring it to the nets' grid like a phantom."""
    agatston, increment = wanted(seed)
    random = np.random.default_rng([seed, 9])
    phantom = backgrounds.draw(backgrounds.vary(real, random, increment), agatston, random)
    crop = views.crop(phantom.volume, surround(phantom, jitter_mm, random), finding.NetSpec(levels={}))
    return label(crop, phantom, random)


def surround(phantom: scan.Phantom, jitter_mm: float, random: np.random.Generator) -> heart.Box:
    """Put a box around the true heart, off its centre by up to `jitter_mm`: no locator is exact."""
    slices, rows, columns = components.bounds(phantom.heart)
    increment, *pixel = phantom.volume.spacing
    shift = random.uniform(-jitter_mm, jitter_mm, 2) / pixel
    margin = round(float(random.uniform(0, BEYOND_MM)) / increment)
    return heart.Box(
        centre=((rows.start + rows.stop - 1) / 2 + shift[0], (columns.start + columns.stop - 1) / 2 + shift[1]),
        size_mm=(BOX_MM, BOX_MM),
        slices=(max(slices.start - margin, 0), min(slices.stop + margin, phantom.volume.hu.shape[0])),
    )


def label(crop: views.Crop, phantom: scan.Phantom, random: np.random.Generator) -> cases.Case:
    """Label every voxel of a crop by the source voxel nearest to it, and pick points in each candidate."""
    calcium = _nearest(crop, phantom.truth)
    near = calcium
    for axis in range(3):
        near = ndimage.maximum_filter1d(near, 3, axis=axis)
    rim = near & ~calcium
    candidate = _nearest(crop, phantom.volume.hu >= volume.CALCIUM_HU) | (crop.hu >= volume.CALCIUM_HU)
    labels = np.full(crop.hu.shape, cases.OTHER, np.uint8)
    labels[candidate] = cases.MIMIC
    labels[rim] = cases.UNSURE
    labels[calcium] = cases.CALCIUM
    envelope = _envelope(_nearest(crop, phantom.heart), phantom.volume.spacing[0])
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


def _job(task: tuple[int, float, pathlib.Path, tuple[pathlib.Path, pathlib.Path] | None]) -> str:
    seed, jitter_mm, path, real = task
    start = time.monotonic()
    case = prepare_real(background(*real), seed, jitter_mm) if real else prepare(seed, jitter_mm)
    cases.save(case, path, json.loads(real[1].read_text())["series"] if real else cases.PHANTOMS)
    return f"{seed}: {len(case.points)} points, {int(case.calcium.sum())} on calcium, {time.monotonic() - start:.1f} s"


def main() -> None:
    """Make the training phantoms that the scratch folder does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=pathlib.Path, default=cases.CONFIG)
    parser.add_argument("--scratch", type=pathlib.Path, default=cases.SCRATCH)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--background", type=pathlib.Path, nargs=2, metavar=("SERIES", "COURSES"), help="a real calcium-free scan"
    )
    parser.add_argument("--first", type=int, help="first seed, instead of the configuration's")
    parser.add_argument("--cases", type=int, help="how many, instead of the configuration's")
    options = parser.parse_args()
    data = tomllib.loads(options.config.read_text())["data"]
    first = data["train_first"] if options.first is None else options.first
    seeds = range(first, first + (data["train_cases"] if options.cases is None else options.cases))
    kind, real = ("real", tuple(options.background)) if options.background else ("", None)
    tasks = [(seed, data["jitter_mm"], options.scratch / "train" / f"{kind}{seed}", real) for seed in seeds]
    tasks = [task for task in tasks if not cases.stored(task[2])]
    # One thread each: OpenBLAS's own threads would fight over the cores.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for done in pool.imap_unordered(_job, tasks):
            print(done, flush=True)


if __name__ == "__main__":
    main()
