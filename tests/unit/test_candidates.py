import numpy as np
import pytest

from cac import candidates, volume


def scan_of(hu: np.ndarray, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> volume.Volume:
    return volume.Volume(hu=hu.astype(np.float32), spacing=(1.5, 0.5, 0.5), thickness=3.0, origin=origin)


def test_a_single_voxel_of_130_hu_is_a_candidate() -> None:
    hu = np.full((3, 5, 5), 129.9)
    hu[1, 2, 3] = 130
    found = candidates.find(scan_of(hu), np.ones(hu.shape, dtype=bool))
    assert found.count == 1
    assert [int(c[0]) for c in found.coordinates] == [1, 2, 3]


def test_voxels_touching_at_a_corner_are_one_candidate() -> None:
    hu = np.zeros((3, 5, 5))
    hu[0, 0, 0] = hu[1, 1, 1] = 200
    hu[2, 4, 4] = 300
    found = candidates.find(scan_of(hu), np.ones(hu.shape, dtype=bool))
    assert found.sizes.tolist() == [2, 1]


def test_what_enters_from_outside_is_judged_by_its_part_inside() -> None:
    hu = np.zeros((3, 5, 5))
    hu[1, 2, :] = 500
    envelope = np.zeros(hu.shape, dtype=bool)
    envelope[:, :, 3:] = True
    assert candidates.find(scan_of(hu), envelope).sizes.tolist() == [2]


def test_an_empty_envelope_has_no_candidates() -> None:
    hu = np.full((3, 5, 5), 500)
    found = candidates.find(scan_of(hu), np.zeros(hu.shape, dtype=bool))
    assert found.count == 0
    assert found.maxima(np.empty(0, np.float32)).size == 0
    assert found.extents().shape == (0, 3)


def test_centres_are_patient_positions() -> None:
    hu = np.zeros((4, 6, 6))
    hu[1:3, 2, 4] = 200
    found = candidates.find(scan_of(hu, (10.0, -20.0, 100.0)), np.ones(hu.shape, dtype=bool))
    assert found.centres(scan_of(hu, (10.0, -20.0, 100.0)))[0] == pytest.approx([12.0, -19.0, 97.75])
