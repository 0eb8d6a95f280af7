import numpy as np
import pytest

from cac import views
from tests.grids import SPEC, box, ramp, scan_with, voxels_at


def test_a_grid_of_the_same_spacing_is_copied() -> None:
    hu = ramp()
    cropped = views.crop(scan_with(hu), box(), SPEC)
    np.testing.assert_allclose(cropped.hu, hu[:, 4:36, 4:36], atol=1e-3)


@pytest.mark.parametrize("pixel", [0.3, 0.4, 0.7, 1.0])
def test_a_linear_image_survives_resampling(pixel: float) -> None:
    cropped = views.crop(scan_with(ramp(), pixel), box(mm=8.0), SPEC)
    rows, columns = cropped.rows.to_source(), cropped.columns.to_source()
    expected = 100.0 + 2.0 * rows[:, None] + 0.25 * columns
    np.testing.assert_allclose(cropped.hu[1], expected, atol=1e-2)


def test_outside_the_image_is_air() -> None:
    cropped = views.crop(scan_with(np.zeros((4, 40, 40))), box(mm=24.0, slices=(-1, 5)), SPEC)
    assert cropped.hu.shape == (6, 48, 48)
    assert (cropped.hu[0] == views.AIR_HU).all()
    assert (cropped.hu[5] == views.AIR_HU).all()
    assert (cropped.hu[2, :4] == views.AIR_HU).all()
    assert (cropped.hu[2, 4:44, 4:44] == 0).all()


def test_a_coarse_pixel_takes_the_largest_answer_within_it_and_none_beyond() -> None:
    cropped = views.crop(scan_with(ramp(), 1.0), box(mm=10.0), SPEC)
    answer = np.zeros(cropped.hu.shape, dtype=np.float32)
    centre = int(np.floor(cropped.rows.to_grid(np.array([20]))[0]))
    answer[1, centre, centre] = 0.4
    answer[1, centre + 1, centre] = 0.6
    answer[1, centre + 3, centre] = 0.9
    assert views.to_source(cropped, answer, voxels_at((4, 40, 40), (1, 20, 20))) == pytest.approx(0.6)


def test_a_voxel_outside_the_crop_is_refused() -> None:
    cropped = views.crop(scan_with(ramp()), box(), SPEC)
    with pytest.raises(ValueError, match="outside"):
        views.to_source(cropped, np.zeros(cropped.hu.shape, np.float32), voxels_at((4, 40, 40), (1, 1, 20)))


@pytest.mark.parametrize("pixel", [0.3, 0.4, 0.49, 0.5, 0.7, 1.0])
def test_every_voxel_gets_its_own_answer_back(pixel: float) -> None:
    """A voxel's answer is marked on one of the samples it covers: it must come back, whatever the spacing."""
    cropped = views.crop(scan_with(ramp(), pixel), box(mm=10.0), SPEC)
    for place in [(0, 17, 22), (3, 20, 19), (2, 15, 15)]:
        voxel = voxels_at((4, 40, 40), place)
        for sample in zip(*views.samples(cropped, voxel), strict=True):
            answer = np.zeros(cropped.hu.shape, dtype=np.float32)
            answer[sample] = 0.7
            assert views.to_source(cropped, answer, voxel) == pytest.approx(0.7)


def test_no_sample_is_named_twice_and_none_that_no_voxel_covers() -> None:
    cropped = views.crop(scan_with(ramp(), 1.0), box(mm=10.0), SPEC)
    voxels = voxels_at((4, 40, 40), (1, 20, 20), (1, 20, 21), (2, 15, 15))
    named = list(zip(*views.samples(cropped, voxels), strict=True))
    assert len(named) == len(set(named))
    unread = np.ones(cropped.hu.shape, dtype=np.float32)
    unread[views.samples(cropped, voxels)] = 0
    np.testing.assert_array_equal(views.to_source(cropped, unread, voxels), 0)
