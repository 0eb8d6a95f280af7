import numpy as np
import pytest

from cac import agatston, components, lesions, volume


def scan_of(hu: np.ndarray) -> volume.Volume:
    return volume.Volume(hu=hu.astype(np.float32), spacing=(1.5, 0.5, 0.5), thickness=3.0, origin=(0.0, 0.0, 30.0))


def measured(hu: np.ndarray) -> list[tuple[float, float, float]]:
    scan = scan_of(hu)
    listed = lesions.measure(scan, components.find(scan.hu >= 130))
    return [(lesion.agatston, lesion.volume_mm3, lesion.mass_mg) for lesion in listed]


def test_a_lesion_knows_its_place_and_size() -> None:
    hu = np.zeros((6, 12, 12))
    hu[1:3, 2:4, 4:6] = 260
    (lesion,) = lesions.measure(scan_of(hu), components.find(hu >= 130))
    assert lesion.centre == pytest.approx((2.25, 1.25, 27.75))
    assert (lesion.number, lesion.slices, lesion.max_hu) == (1, 2, 260)
    assert lesion.volume_mm3 == pytest.approx(8 * 0.375)
    assert lesion.mass_mg == pytest.approx(8 * 0.375 * 0.2)


def test_the_lesions_scores_add_up_to_the_scans() -> None:
    hu = np.where(np.random.default_rng(3).random((6, 20, 20)) < 0.12, 350.0, 0.0)
    hu[2:4, 5:9, 5:9] = 450
    scan = scan_of(hu)
    found = components.find(hu >= 130)
    assert found.count > 3
    total = sum(lesion.agatston for lesion in lesions.measure(scan, found))
    assert total == pytest.approx(agatston.score(scan, hu >= 130))


def test_pieces_of_one_slice_that_meet_in_the_next_are_one_lesion_of_two_pieces() -> None:
    hu = np.zeros((6, 12, 12))
    hu[1, 2:4, 2:4] = hu[1, 2:4, 6:8] = 450
    hu[2, 2:4, 2:8] = 150
    ((score, _, _),) = measured(hu)
    assert score == pytest.approx((4 + 4 + 3) / 2)


def test_no_calcium_is_no_lesion() -> None:
    assert measured(np.zeros((3, 5, 5))) == []
