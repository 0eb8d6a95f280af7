"""Plaques drawn into a scan that has none: where they lie, what they score, and that nothing else changes."""

import json

import numpy as np
import pytest

from cac.phantom import arteries, backgrounds, heart, scan
from training import crops
from triage.dicom import phantom_series

SEED = 12
AGATSTON = 60.0


@pytest.fixture(scope="module")
def background(tmp_path_factory):
    folder = tmp_path_factory.mktemp("background")
    style = scan.Style(matrix=192, pixel=1.2, noise=12.0)
    made = scan.make(agatston=0, seed=SEED, increment=1.5, mimics=0, style=style)
    phantom_series.write_series(made, folder / "series", seed=SEED)
    random = np.random.default_rng([SEED, 0])
    tree = arteries.build(heart.build(random), random)
    courses = {
        artery.name: artery.points[::6].tolist() for artery in tree if artery.name in ("lm", "lad", "lcx", "rca")
    }
    (folder / "courses.json").write_text(json.dumps({"courses": courses}))
    return crops.background(folder / "series", folder / "courses.json")


def test_plaques_score_what_was_asked_for_and_lie_on_the_courses(background):
    made = backgrounds.draw(background, AGATSTON, np.random.default_rng(1))
    assert abs(made.agatston - AGATSTON) < 0.25 * AGATSTON
    slices, rows, columns = np.nonzero(made.truth)
    (x, y, z), (increment, row_mm, column_mm) = made.volume.origin, made.volume.spacing
    places = np.stack([x + columns * column_mm, y + rows * row_mm, z - slices * increment], axis=1)
    line = np.concatenate([*background.courses.values()])
    away = np.linalg.norm(places[:, None] - line[None], axis=2).min(axis=1)
    assert np.median(away) < 8.0


def test_nothing_else_changes(background):
    made = backgrounds.draw(background, AGATSTON, np.random.default_rng(2))
    changed = np.abs(made.volume.hu - np.rint(background.scan.hu)) > 1
    assert 0 < changed.mean() < 0.002
    assert made.volume.hu[made.truth].min() >= 130
    bare = backgrounds.draw(background, 0.0, np.random.default_rng(3))
    assert not bare.truth.any()
    np.testing.assert_array_equal(bare.volume.hu, np.rint(background.scan.hu))


@pytest.mark.parametrize("increment", [1.5, 3.0])
def test_a_varied_scan_keeps_its_courses_in_the_same_tissue(background, increment):
    varied = backgrounds.vary(background, np.random.default_rng(4), increment)
    assert varied.scan.spacing[0] == increment
    for before, after in ((background, varied),):
        for name, line in before.courses.items():
            first, second = (
                _tissue(each.scan, points) for each, points in ((before, line), (after, after.courses[name]))
            )
            assert np.median(np.abs(first - second)) < 40, name


def _tissue(volume, points):
    (x, y, z), (increment, row_mm, column_mm) = volume.origin, volume.spacing
    place = np.rint([(z - points[:, 2]) / increment, (points[:, 1] - y) / row_mm, (points[:, 0] - x) / column_mm])
    inside = np.clip(place.astype(int), 0, np.array(volume.hu.shape)[:, None] - 1)
    return volume.hu[tuple(inside)]
