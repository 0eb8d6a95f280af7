"""Windows around candidates give what whole images give, for the nets that are shipped (SCIENCE.md section 7)."""

import collections
import dataclasses
import functools
import pathlib

import numpy as np
import pytest

from cac import components, finding, fusion, sparse, views, volume
from tests import grids
from triage import manifest
from worker import inference

MODELS = pathlib.Path(__file__).parents[2] / "models"
ARCHITECTURES = manifest.load(MODELS / "manifest.json").architectures
SEEN: collections.Counter[str] = collections.Counter()
"""What the cases held in all: `test_the_cases_held_something` fails for cases that could not have failed."""


@functools.cache
def engine(architecture: str) -> inference.Engine:
    return inference.load(manifest.load(MODELS / "manifest.json"), MODELS, architecture, threads=1)


def small_scan(seed: int, increment: float, slices: int) -> volume.Volume:
    """Make noise with bright spots of many sizes, some at the borders."""
    random = np.random.default_rng(seed)
    hu = random.normal(40, 25, (slices, 72, 88)).astype(np.float32)
    for _ in range(int(random.integers(1, 12))):
        centre = random.integers(0, hu.shape)
        spot = tuple(slice(max(c - r, 0), c + r + 1) for c, r in zip(centre, random.integers(0, 4, 3), strict=True))
        hu[spot] += random.uniform(80, 500)
    pixel = float(random.choice([0.35, 0.5, 0.7]))
    return volume.Volume(hu=hu, spacing=(increment, pixel, pixel), thickness=3.0)


def answer(scan: volume.Volume, architecture: str, profile: finding.Profile, evaluate) -> fusion.Fusion:
    spec = engine(architecture).spec
    # The nets hardly believe in boxes of noise: with thresholds this low all three verdicts occur.
    levels = dict.fromkeys(finding.Plane, finding.Levels(low=1e-6, high=1e-3))
    spec = dataclasses.replace(spec, levels=levels, joint=finding.Joint(accept=0.5, other=0.02, speck=0.03))
    found = components.find(scan.hu >= volume.CALCIUM_HU)
    box = grids.box(1, (0, len(scan.hu)), 20.0)
    middle = ((scan.hu.shape[1] - 1) / 2, (scan.hu.shape[2] - 1) / 2)
    box = views.enclosing(dataclasses.replace(box, centre=middle), found, scan, spec)
    crop = views.crop(scan, box, spec, profile)
    answers = evaluate(crop, engine(architecture).predict, found, spec)
    per_voxel = {plane: views.to_source(crop, values, found) for plane, values in answers}
    return fusion.fuse(scan, found, per_voxel, spec, profile)


@pytest.mark.parametrize("profile", list(finding.Profile))
@pytest.mark.parametrize(("increment", "slices"), [(3.0, 14), (1.5, 30), (1.5, 131)])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_windows_answer_as_whole_images(architecture, seed, increment, slices, profile) -> None:
    scan = small_scan(seed * 1000 + slices, increment, slices)
    near, dense = (answer(scan, architecture, profile, evaluate) for evaluate in (sparse.probabilities, grids.dense))
    for plane in finding.Plane:
        np.testing.assert_allclose(near.best[plane], dense.best[plane], atol=1e-5)
    assert near.status == dense.status
    assert near.doubt == dense.doubt
    np.testing.assert_array_equal(near.lesions.mask(), dense.lesions.mask())
    np.testing.assert_array_equal(near.doubt_mask, dense.doubt_mask)
    SEEN.update(each.value for each in near.status)
    SEEN["borders"] += int((scan.hu[:, [0, -1]] >= 130).any() or (scan.hu[[0, -1]] >= 130).any())


def test_the_cases_held_something() -> None:
    """Run after them, in the order of this file."""
    if not SEEN:
        pytest.skip("the cases were not run")
    assert min(SEEN[kind] for kind in ("borders", "rejected", "doubt")) >= 30, SEEN
    assert SEEN["accepted"], SEEN


def test_few_candidates_need_few_pixels() -> None:
    random = np.random.default_rng(0)
    image, row, column = (random.integers(0, size, 30) for size in (50, 320, 320))
    frame = sparse.Frame(size=(320, 320), stride=4, field=24)
    assert sparse.plan(image, row, column, frame).pixels < 0.15 * np.unique(image).size * 320 * 320


@pytest.mark.parametrize("seed", range(20))
def test_every_pixel_asked_about_lies_in_its_window_with_its_receptive_field(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = (int(random.integers(3, 40)) * 4, int(random.integers(3, 80)) * 4)
    count = int(random.integers(1, 400))
    image = random.integers(0, 6, count)
    row, column = random.integers(0, size[0], count), random.integers(0, size[1], count)
    frame = sparse.Frame(size=size, stride=4, field=24)
    made = sparse.plan(image, row, column, frame)
    place = np.stack([row, column], axis=1)
    assert (made.image[made.owner] == image).all()
    assert (made.core_low[made.owner] <= place).all()
    assert (place < made.core_high[made.owner]).all()
    cell = place // 4 * 4
    assert (made.low[made.owner] <= np.maximum(cell - 24, 0)).all()
    assert (made.high[made.owner] >= np.minimum(cell + 4 + 24, size)).all()
    for edge in (made.low, made.high, made.core_low, made.core_high):
        assert (edge % 4 == 0).all()
    assert sorted(np.concatenate(list(made.calls()))) == list(range(len(made.image)))
