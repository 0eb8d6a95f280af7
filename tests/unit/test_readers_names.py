"""What is drawn and what it is called: contours filled to their pixels, names understood or refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import measure

from training import errors, labelled
from training.readers import series, site

_L = labelled.Label


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0.3, 0.7))
def test_a_blob_s_contour_fills_to_the_blob(seed, size):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((24, 31)), 1.5)
    labels, count = ndimage.label(noise > np.quantile(noise, size))
    for number in range(1, count + 1):
        blob = ndimage.binary_fill_holes(labels == number)
        (outline,) = measure.find_contours(np.pad(blob, 1).astype(float), 0.5, fully_connected="low")[:1]
        found = np.zeros_like(blob)
        found[series.fill("a", outline - 1, blob.shape)] = True
        np.testing.assert_array_equal(found, blob)


@pytest.mark.parametrize("corners", [[(2, 3)], [(2, 3), (2, 4)]])
def test_a_contour_of_one_or_two_points_is_their_pixels(corners):
    rows, columns = series.fill("a", np.array(corners, float), (8, 8))
    assert list(zip(rows, columns, strict=True)) == corners


def test_a_contour_outside_the_image_is_refused():
    with pytest.raises(errors.Misaligned, match=r"^a: a contour leaves the image"):
        series.fill("a", np.array([(2.0, 3.0), (2.0, 12.0), (4.0, 3.0)]), (8, 8))


def test_what_is_drawn_first_stays_but_for_calcium_of_no_named_artery():
    codes = np.array([_L.NONE, _L.CORONARY, _L.LAD], np.uint8)
    series.add(codes, _L.LCX, np.array([True, True, True]))
    assert codes.tolist() == [_L.LCX, _L.LCX, _L.LAD]
    series.add(codes, _L.CORONARY, np.array([True, True, True]))
    assert codes.tolist() == [_L.LCX, _L.LCX, _L.LAD]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("LAD", _L.LAD),
        ("lad_calc", _L.LAD),
        ("Left Anterior Descending Coronary Artery", _L.LAD),
        ("left-main", _L.LM),
        ("Circumflex plaque", _L.LCX),
        (" RCA calcifications ", _L.RCA),
        ("Coronary artery calcium", _L.CORONARY),
    ],
)
def test_usual_names_are_understood(name, label):
    assert site.Site().label("a", name) is label


@pytest.mark.parametrize(
    "name", ["", "calcium", "aorta", "Left Coronary Artery", "LADX", "mitral calcification", "left"]
)
def test_a_name_that_may_mean_something_else_is_never_guessed(name):
    with pytest.raises(errors.UnknownName, match=rf"^a: the label '{name}'"):
        site.Site().label("a", name)


def test_the_site_s_word_goes_before_the_usual_meaning():
    said = site.Site(names=site.parse(["lad=RCA", "a=b=LM", "Heart=ignore"]))
    assert [said.label("a", name) for name in ("LAD", "A=B", "heart")] == [_L.RCA, _L.LM, _L.NONE]


@pytest.mark.parametrize("text", ["LAD", "=LAD", "x=aorta", "x="])
def test_a_meaning_that_is_none_is_refused(text):
    with pytest.raises(errors.DatasetError, match=r"NAME=ARTERY"):
        site.parse([text])
