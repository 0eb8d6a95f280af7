import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cac import agatston, volume

ONE_MM2 = agatston.Rule()
FOUR_NO_MINIMUM = agatston.Rule(connectivity=4, min_area_mm2=0.0)
FOUR = agatston.Rule(connectivity=4)


def scan_of(*images: list[list[float]], increment: float = 3.0, thickness: float = 3.0) -> volume.Volume:
    """Build a scan of air-free tissue whose slices carry the given HU in their corner."""
    hu = np.full((len(images), 8, 8), 40, dtype=np.float32)
    for number, image in enumerate(images):
        block = np.asarray(image, dtype=np.float32)
        hu[number, 2 : 2 + block.shape[0], 2 : 2 + block.shape[1]] = block
    return volume.Volume(hu=hu, spacing=(increment, 0.5, 0.5), thickness=thickness)


def score(scan: volume.Volume, rule: agatston.Rule = ONE_MM2) -> float:
    return agatston.score(scan, np.ones(scan.hu.shape, dtype=bool), rule)


def square(hu: float) -> list[list[float]]:
    return [[hu, hu], [hu, hu]]


@pytest.mark.parametrize(
    ("hu", "expected"),
    [(129, 0), (129.9, 0), (130, 1), (199, 1), (200, 2), (299, 2), (300, 3), (399, 3), (400, 4), (1500, 4)],
)
def test_a_square_millimetre_scores_the_weight_of_its_maximum(hu: float, expected: float) -> None:
    assert score(scan_of(square(hu))) == pytest.approx(expected)


def test_three_pixels_fall_below_one_square_millimetre() -> None:
    assert score(scan_of([[500, 0], [500, 500]])) == 0


def test_three_pixels_count_by_the_three_pixel_rule() -> None:
    assert score(scan_of([[500, 0], [500, 500]]), agatston.THREE_PIXELS) == pytest.approx(3.0)


@pytest.mark.parametrize(("rule", "expected"), [(agatston.Rule(), 4.0), (FOUR_NO_MINIMUM, 2.5), (FOUR, 0.0)])
def test_diagonal_neighbours_are_one_piece_only_by_eight_connectivity(rule: agatston.Rule, expected: float) -> None:
    image = [[450, 450, 0, 0], [0, 0, 150, 150]]
    assert score(scan_of(image), rule) == pytest.approx(expected)


def test_the_weight_follows_the_maximum_of_each_slice() -> None:
    assert score(scan_of(square(450), square(150))) == pytest.approx(5.0)


def test_the_increment_scales_the_score() -> None:
    assert score(scan_of(square(450), square(450), increment=1.5)) == pytest.approx(4.0)


def test_voxels_outside_the_mask_do_not_count() -> None:
    scan = scan_of(square(450))
    assert agatston.score(scan, np.zeros(scan.hu.shape, dtype=bool)) == 0


def test_mass_is_uncalibrated_hydroxyapatite_from_hu() -> None:
    assert agatston.mass(8 * 260.0, voxel_mm3=0.75) == pytest.approx(8 * 0.75 * 0.2)


@pytest.mark.parametrize(
    ("value", "category", "drs"),
    [
        (0.0, "0", "A0"), (0.4, "1-10", "A1"), (10.0, "1-10", "A1"), (10.1, "11-100", "A1"), (99.9, "11-100", "A1"),
        (100.0, "11-100", "A2"), (101.0, "101-400", "A2"), (300.0, "101-400", "A3"), (400.0, "101-400", "A3"),
        (400.5, "> 400", "A3"),
    ],
)  # fmt: skip
def test_a_score_falls_in_its_category(value: float, category: str, drs: str) -> None:
    assert (agatston.category(value), agatston.cac_drs(value)) == (category, drs)


images = arrays.arrays(np.float32, (3, 7, 7), elements=st.sampled_from([-100, 40, 135, 220, 350, 800]))
few = settings(max_examples=40, deadline=None, derandomize=True)


def scan_from(hu: np.ndarray) -> volume.Volume:
    return volume.Volume(hu=hu, spacing=(1.5, 0.6, 0.6), thickness=3.0)


@few
@given(hu=images, axis=st.sampled_from([0, 1, 2]))
def test_a_flip_does_not_change_the_score(hu: np.ndarray, axis: int) -> None:
    assert score(scan_from(np.flip(hu, axis))) == pytest.approx(score(scan_from(hu)))


@few
@given(hu=images)
def test_transposing_the_slices_does_not_change_the_score(hu: np.ndarray) -> None:
    assert score(scan_from(hu.transpose(0, 2, 1))) == pytest.approx(score(scan_from(hu)))


@few
@given(hu=images, where=st.integers(0, 3))
def test_an_empty_slice_does_not_change_the_score(hu: np.ndarray, where: int) -> None:
    longer = np.insert(hu, where, np.float32(-1024), axis=0)
    assert score(scan_from(longer)) == pytest.approx(score(scan_from(hu)))


@few
@given(left=images, right=images)
def test_separate_lesions_add_up(left: np.ndarray, right: np.ndarray) -> None:
    gap = np.full((3, 7, 1), 40, dtype=np.float32)
    both = np.concatenate([left, gap, right], axis=2)
    assert score(scan_from(both)) == pytest.approx(score(scan_from(left)) + score(scan_from(right)))


@few
@given(hu=images, more=st.sampled_from([10, 70, 300]))
def test_a_denser_scan_never_scores_less(hu: np.ndarray, more: float) -> None:
    assert score(scan_from(hu + np.float32(more))) >= score(scan_from(hu)) - 1e-6
