"""The procedural phantom: deterministic, scored as asked, honest about where its calcium lies."""

import numpy as np
import pytest
from scipy import ndimage

from cac.phantom import mimics, scan

SMALL = scan.Style(matrix=256, pixel=0.8)


def plain_agatston(phantom: scan.Phantom) -> float:
    """Score by the rules of Agatston et al., one component at a time."""
    increment, row, column = phantom.volume.spacing
    total = 0.0
    for hu, marked in zip(phantom.volume.hu, phantom.truth & (phantom.volume.hu >= 130), strict=True):
        labels, count = ndimage.label(marked, np.ones((3, 3)))
        for number in range(1, count + 1):
            lesion = hu[labels == number]
            area = lesion.size * row * column
            weight = 1 + sum(lesion.max() >= step for step in (200, 300, 400))
            total += area * weight if area >= 1 else 0
    return total * increment / 3


def near(mask: np.ndarray, spacing: tuple[float, float, float], reach: float) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=spacing) <= reach


@pytest.fixture(scope="module")
def calcified() -> scan.Phantom:
    return scan.make(agatston=120, seed=11, style=SMALL)


@pytest.fixture(scope="module")
def clean() -> scan.Phantom:
    return scan.make(agatston=0, seed=12, mimics=0, style=SMALL)


def test_the_same_arguments_give_the_same_voxels(calcified):
    again = scan.make(agatston=120, seed=11, style=SMALL)
    assert np.array_equal(again.volume.hu, calcified.volume.hu)
    assert np.array_equal(again.truth, calcified.truth)
    assert again.mimics == calcified.mimics


def test_another_seed_gives_another_scan(clean):
    other = scan.make(agatston=0, seed=13, mimics=0, style=SMALL)
    assert other.volume.hu.shape != clean.volume.hu.shape or not np.array_equal(other.volume.hu, clean.volume.hu)


@pytest.mark.parametrize("increment", [1.5, 3.0])
@pytest.mark.parametrize("wanted", [5, 50, 400])
def test_a_wanted_score_is_met_by_an_independent_scorer(wanted, increment):
    phantom = scan.make(agatston=wanted, seed=wanted + int(increment), increment=increment, style=SMALL)
    score = plain_agatston(phantom)
    assert phantom.truth.any()
    assert score == pytest.approx(wanted, rel=0.15, abs=2)
    assert score == pytest.approx(phantom.agatston)


def test_a_scan_of_score_zero_has_no_coronary_calcium(clean):
    assert clean.agatston == 0
    assert not clean.truth.any()


def test_calcium_is_bright_and_within_reach_of_the_heart(calcified):
    assert calcified.volume.hu[calcified.truth].min() >= 130
    assert near(calcified.heart, calcified.volume.spacing, 12.0)[calcified.truth].all()


@pytest.mark.parametrize("name", [*mimics.PLACES, "speckle", *mimics.RARE])
def test_a_mimic_asked_for_is_bright_and_is_not_calcium(name, clean):
    style = scan.Style(matrix=256, pixel=0.8, classes=(name,))
    phantom = scan.make(agatston=0, seed=12, style=style)
    assert phantom.mimics == (name,)
    assert ((phantom.volume.hu >= 130) & (clean.volume.hu < 130)).any()
    assert not phantom.truth.any()


def test_an_unknown_class_of_mimic_is_refused():
    with pytest.raises(ValueError, match="coral"):
        scan.make(agatston=0, seed=1, style=scan.Style(matrix=64, pixel=3.0, classes=("coral",)))


def test_the_number_of_mimics_is_as_asked():
    phantom = scan.make(agatston=0, seed=14, mimics=6, style=SMALL)
    assert len(phantom.mimics) == 6


@pytest.mark.parametrize(("increment", "thickness"), [(3.0, 3.0), (1.5, 3.0), (1.25, 1.25), (1.0, 1.0)])
def test_slices_are_as_thick_as_their_increment_says(increment, thickness):
    style = scan.Style(matrix=64, pixel=3.2)
    made = scan.make(agatston=0, seed=3, increment=increment, mimics=0, style=style).volume
    assert made.thickness == thickness
    assert made.spacing[0] == pytest.approx(increment, abs=1e-3)
    assert 110 <= made.spacing[0] * made.hu.shape[0] <= 180


def test_tissues_measure_as_on_a_real_scan(clean):
    hu = clean.volume.hu
    blood = hu[ndimage.binary_erosion(clean.heart, iterations=12)]
    soft = np.histogram(hu, bins=np.arange(-200, 0, 5))
    lung = hu[(hu > -1000) & (hu < -500)]
    assert np.array_equal(hu, np.rint(hu))
    assert 35 <= np.median(blood) <= 60
    assert -950 < np.median(lung) < -700
    assert -130 < soft[1][np.argmax(soft[0])] < -50
    assert (hu >= 400).mean() > 0.001


def test_noise_is_as_strong_as_asked():
    style = scan.Style(matrix=256, pixel=0.8, noise=25.0)
    phantom = scan.make(agatston=0, seed=12, mimics=0, style=style)
    deep = ndimage.binary_erosion(phantom.heart, iterations=10)
    blood = phantom.volume.hu[:, :, 1:] - phantom.volume.hu[:, :, :-1]
    inside = deep[:, :, 1:] & deep[:, :, :-1] & (np.abs(blood) < 200)
    assert 15 < blood[inside].std() < 40


def test_contrast_medium_can_be_asked_for():
    style = scan.Style(matrix=128, pixel=1.6, blood=320.0)
    phantom = scan.make(agatston=0, seed=5, mimics=0, style=style)
    assert np.median(phantom.volume.hu[phantom.heart]) > 90
