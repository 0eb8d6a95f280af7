"""The measures of likeness, on arrays of which the answer is known."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.likeness import dense, edges, noise, report, tissues

MM = 0.7


def _tissues(hu: np.ndarray, apart: int = 1) -> tissues.Tissues:
    """Make regions that are the whole of an image."""
    whole, nothing = np.ones(hu.shape, bool), np.zeros(0, np.float32)
    return tissues.Tissues(
        hu=hu.astype(np.float32),
        spacing=(3.0, MM, MM),
        apart=apart,
        core=whole,
        envelope=whole,
        pool=whole,
        fat=whole,
        back=nothing,
        lung=nothing,
    )


def _white(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(45, 20, (8, 128, 128))


def test_white_noise_has_its_sd_and_no_memory_along_z() -> None:
    found = noise.describe(_tissues(_white()))

    assert found["noise"] == pytest.approx(20, rel=0.03)
    assert abs(found["along z 1"]) < 0.03


def test_the_power_spectrum_holds_the_variance() -> None:
    frequency, power = noise.power(_tissues(_white()))

    assert power.mean() == pytest.approx(20**2 * MM**2, rel=0.05)
    assert frequency.max() < 0.5 / MM


def test_blurred_noise_has_a_lower_mean_frequency() -> None:
    blurred = ndimage.gaussian_filter(_white(), (0, 1.5, 1.5))

    assert noise.describe(_tissues(blurred))["mean"] < 0.6 * noise.describe(_tissues(_white()))["mean"]


def test_slices_that_overlap_are_correlated() -> None:
    white = _white()

    assert noise.describe(_tissues(white[1:] + white[:-1], apart=2))["along z 1"] == pytest.approx(0.5, abs=0.05)


def test_texture_is_what_noise_does_not_explain() -> None:
    lumps = ndimage.gaussian_filter(np.random.default_rng(2).normal(0, 1, (128, 128)), 2.5 / MM)
    lumps *= 8 / lumps.std()
    whole = np.ones((8, 128, 128), bool)

    plain, lumpy = (noise.texture(_tissues(hu), whole) for hu in (_white(), _white() + lumps))

    assert plain < 2
    assert 3 < lumpy < 8


@pytest.mark.parametrize("sigma", [0.7, 1.2])
def test_an_edge_is_as_wide_as_its_blur_makes_it(sigma: float) -> None:
    step = np.where(np.arange(120) < 60, -850.0, 45.0) * np.ones((2, 120, 1))
    blurred = ndimage.gaussian_filter(step, (0, sigma / MM, sigma / MM))

    found = edges.widths(_tissues(blurred))

    assert found.size > 50
    assert np.median(found) == pytest.approx(2.563 * sigma, abs=0.25)


def test_sets_are_counted_by_size_and_per_volume() -> None:
    hu = np.full((10, 20, 20), 40.0)
    hu[2, 3, 3] = hu[5, 5:7, 5] = 200
    hu[8, 10:13, 10:12] = 131
    region = np.ones(hu.shape, bool)

    found = dense.count(hu, region, 100_000 / region.size, "core")

    assert (found["core of 1 voxel"], found["core of 2-3"], found["core of 4-10"]) == (1, 1, 1)
    assert found["core of 11-100"] == found["core of > 100"] == 0


def test_a_set_is_judged_by_its_part_inside() -> None:
    hu = np.full((3, 30, 30), 400.0)
    region = np.zeros(hu.shape, bool)
    region[1, 4, 4:7] = True

    found = dense.count(hu, region, 1.0, "core")

    assert found["core of 2-3"] > 0
    assert found["core of > 100"] == 0


def test_the_measured_part_replaces_what_stands_between_its_marks() -> None:
    page = f"before {report.BEGIN} old {report.END} after"

    assert report.within(page, "new").split() == f"before {report.BEGIN} new {report.END} after".split()


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no"):
        report.within("a page", "new")
