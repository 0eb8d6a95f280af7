import numpy as np
import pytest

from cac import candidates, finding, reasons, volume


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


def described(hu: np.ndarray, slab_of: list[int]) -> tuple[finding.Candidate, ...]:
    scan = scan_of(hu)
    found = candidates.find(scan, np.ones(hu.shape, dtype=bool))
    best = {plane: np.full(found.count, 0.3, np.float32) for plane in finding.Plane}
    why = reasons.reason(reasons.ReasonCode.CANDIDATE_IN_DOUBT, count=1)
    verdicts = [(finding.CandidateStatus.DOUBT, why)] * found.count
    return candidates.describe(scan, found, best, verdicts, np.array(slab_of))


def test_a_candidate_says_its_size_its_slice_and_its_doubt() -> None:
    hu = np.zeros((4, 6, 6))
    hu[1, 2, 2:4] = hu[2, 2, 2] = 200
    hu[3, 5, 5] = 140
    large, small = described(hu, [0, 1, 2, 3])
    assert (large.voxels, large.volume_mm3, large.slice_number) == (3, pytest.approx(3 * 1.5 * 0.25), 2)
    assert (small.voxels, small.slice_number, small.max_hu) == (1, 4, 140)
    assert large.doubt is large.reason.code is reasons.ReasonCode.CANDIDATE_IN_DOUBT


def test_a_candidate_in_a_slab_names_the_middle_one_of_its_native_slices() -> None:
    hu = np.zeros((3, 5, 5))
    hu[1, 2, 2] = 200
    assert described(hu, [0, 0, 1, 1, 1, 2, 2])[0].slice_number == 4


def test_candidates_are_shown_by_decision_then_by_what_a_second_plane_says() -> None:
    status = finding.CandidateStatus
    shown = [
        (status.REJECTED, (0.1, 0.1, 0.1), 1),
        (status.DOUBT, (0.9, 0.3, 0.0), 2),
        (status.DOUBT, (0.5, 0.5, 0.0), 3),
        (status.ACCEPTED, (0.6, 0.6, 0.6), 4),
        (status.REJECTED, (0.19, 0.19, 0.0), 5),
    ]
    keys = [finding.reading_place(s, dict(zip(finding.Plane, p, strict=True)), n) for s, p, n in shown]
    assert [number for *_, number in sorted(keys)] == [4, 3, 2, 5, 1]
