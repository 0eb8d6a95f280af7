import numpy as np
import pytest

from cac import candidates, components, finding, fusion, reasons
from tests import fusing

Status, Code = finding.CandidateStatus, reasons.ReasonCode


def test_a_candidate_that_all_planes_accept_is_a_lesion() -> None:
    scan = fusing.scan_of(fusing.CUBE)
    fused = fusing.judge(scan, 0.5, 0.5, 0.5)
    assert fused.status == (Status.ACCEPTED,)
    np.testing.assert_array_equal(fused.lesions.mask(), scan.hu >= 130)
    assert not fused.doubt_mask.any()


@pytest.mark.parametrize(
    ("axial", "sagittal", "coronal", "status"),
    [
        (0.2, 0.2, 0.0, Status.DOUBT),
        (0.2, 0.0, 0.2, Status.DOUBT),
        (0.0, 0.0, 0.8, Status.DOUBT),
        (0.49, 0.99, 0.99, Status.DOUBT),
        (0.79, 0.19, 0.19, Status.REJECTED),
        (0.0, 0.0, 0.0, Status.REJECTED),
    ],
)
def test_disagreement_decides_between_doubt_and_rejection(
    axial: float, sagittal: float, coronal: float, status: Status
) -> None:
    fused = fusing.judge(fusing.scan_of(fusing.CUBE), axial, sagittal, coronal)
    assert fused.status == (status,)
    assert fused.doubt == (Code.CANDIDATE_IN_DOUBT if status is Status.DOUBT else None,)
    assert fused.doubt_mask.any() == (status is Status.DOUBT)
    assert fused.lesions.count == 0


def test_two_planes_doubt_a_candidate_where_they_suspect_the_same_voxel() -> None:
    scan = fusing.scan_of((slice(1, 3), slice(2, 4), slice(2, 9)))
    left, right = np.zeros((2, *fusing.SHAPE), dtype=np.float32)
    left[:, :, 2:5], right[:, :, 5:9] = 0.45, 0.45
    assert fusing.judge(scan, left, right, 0.0).status == (Status.REJECTED,)
    right[2, 3, 4] = 0.2
    assert fusing.judge(scan, left, right, 0.0).status == (Status.DOUBT,)


def test_planes_that_accept_different_voxels_accept_nothing() -> None:
    left = np.zeros(fusing.SHAPE, dtype=np.float32)
    left[:, :, 2] = 0.9
    right = np.zeros(fusing.SHAPE, dtype=np.float32)
    right[:, :, 3] = 0.9
    assert fusing.judge(fusing.scan_of(fusing.CUBE), left, right, right).status == (Status.DOUBT,)


@pytest.mark.parametrize(
    ("others", "profile", "voxels"),
    [
        (0.9, finding.Profile.DEFAULT, 28),
        (0.9, finding.Profile.PAPER, 8),
        (0.44, finding.Profile.DEFAULT, 8),
        (0.46, finding.Profile.DEFAULT, 28),
    ],
)
def test_a_lesion_reaches_from_where_all_planes_agree_as_far_as_their_mean_allows(
    others: float, profile: finding.Profile, voxels: int
) -> None:
    part = np.zeros(fusing.SHAPE, dtype=np.float32)
    part[1:3, 2:4, 2:4] = 0.9
    rest = np.where(part > 0, np.float32(0.9), np.float32(others))
    scan = fusing.scan_of((slice(1, 3), slice(2, 4), slice(2, 9)))
    fused = fusing.judge(scan, part, rest, rest, profile)
    assert fused.status == (Status.ACCEPTED,)
    assert fused.lesions.sizes.tolist() == [voxels]
    assert fused.agreed.tolist() == [8]


def test_a_lesion_does_not_reach_what_the_planes_call_calcium_beyond_a_gap() -> None:
    scan = fusing.scan_of((slice(1, 3), slice(2, 4), slice(2, 9)))
    sure = np.full(fusing.SHAPE, 0.9, dtype=np.float32)
    sure[:, :, 5] = 0.1
    beyond = np.where(np.arange(fusing.SHAPE[2]) > 5, np.float32(0.4), sure)
    assert fusing.judge(scan, sure, sure, beyond).lesions.sizes.tolist() == [3 * 4]


def test_what_all_planes_call_other_tissue_is_no_part_of_an_accepted_lesion() -> None:
    scan = fusing.scan_of((slice(1, 3), slice(2, 4), slice(2, 4)), (slice(4, 6), slice(2, 4), slice(8, 10)))
    everywhere = np.full(fusing.SHAPE, 0.9, dtype=np.float32)
    left = np.where(np.arange(fusing.SHAPE[2]) < 6, everywhere, np.float32(0))
    fused = fusing.judge(scan, left, everywhere, everywhere)
    assert fused.status == (Status.ACCEPTED, Status.DOUBT)
    assert fused.lesions.sizes.tolist() == [8]


@pytest.mark.parametrize("pixel", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_lone_2d_object_is_no_lesion_but_a_doubt_where_slices_overlap(axis: int, pixel: float) -> None:
    place = tuple(slice(2, 3) if each == axis else slice(2, 4) for each in range(3))
    fused = fusing.judge(fusing.scan_of(place, pixel=pixel), 0.9, 0.9, 0.9)
    assert fused.status == (Status.DOUBT,)
    assert fused.doubt == (Code.CANDIDATE_IN_DOUBT,)
    assert fused.lesions.count == 0
    assert fused.doubt_mask.sum() == 4


def test_a_lone_2d_object_is_a_doubt_where_slices_do_not_overlap() -> None:
    fused = fusing.judge(fusing.scan_of(fusing.FLAT, overlap=False), 0.9, 0.9, 0.9)
    assert fused.status == (Status.DOUBT,)
    assert fused.doubt == (Code.THIN_LESION,)
    assert [reason.code for reason in fused.doubts] == [Code.THIN_LESION]
    assert fused.doubt_mask.sum() == 4


def test_the_paper_drops_2d_objects_on_any_stack() -> None:
    assert fusing.judge(fusing.scan_of(fusing.FLAT, overlap=False), 0.9, 0.9, 0.9, finding.Profile.PAPER).status == (
        Status.REJECTED,
    )


def test_a_2d_object_beside_a_lesion_counts_where_slices_do_not_overlap() -> None:
    fused = fusing.judge(fusing.scan_of(fusing.CUBE, fusing.FLAT, overlap=False), 0.9, 0.9, 0.9)
    assert fused.status == (Status.ACCEPTED, Status.ACCEPTED)
    assert fused.lesions.count == 2
    assert not fused.doubt_mask.any()


def test_a_thick_candidate_of_which_one_slice_is_agreed_on_is_a_doubt() -> None:
    one = np.zeros(fusing.SHAPE, dtype=np.float32)
    one[1] = 0.9
    fused = fusing.judge(fusing.scan_of(fusing.CUBE), one, one, 0.9 * (one > 0) + 0.5 * (one == 0))
    assert fused.doubt == (Code.CANDIDATE_IN_DOUBT,)


def test_a_candidate_the_slabs_erased_is_in_doubt_whatever_the_nets_say() -> None:
    scan = fusing.scan_of(fusing.CUBE, hu=120)
    found = components.find(scan.hu > 100)
    for value in (0.0, 0.9):
        answers = {plane: np.full(found.voxels.size, value, dtype=np.float32) for plane in finding.Plane}
        fused = fusion.fuse(scan, found, answers, fusing.SPEC, finding.Profile.DEFAULT)
        assert fused.doubt == (Code.ERASED_BY_SLABS,)
        assert fused.lesions.count == 0


def test_a_candidate_that_the_slabs_all_but_erased_is_in_doubt_unless_the_nets_accept_it() -> None:
    scan = fusing.scan_of(fusing.CUBE)
    found = components.find(scan.hu >= 130)
    for value, doubt in ((0.0, Code.FADED_BY_SLABS), (0.9, None)):
        answers = {plane: np.full(found.voxels.size, value, dtype=np.float32) for plane in finding.Plane}
        fused = fusion.fuse(scan, found, answers, fusing.SPEC, finding.Profile.DEFAULT, found.voxels[:1])
        assert fused.doubt == (doubt,)
        assert fused.doubt_mask.any() == (doubt is not None)


def test_a_lesion_reaches_as_far_as_all_planes_call_it_calcium_at_all() -> None:
    scan = fusing.scan_of((slice(1, 3), slice(2, 4), slice(2, 9)))
    part = np.full(fusing.SHAPE, 0.6, dtype=np.float32)
    part[:, :, 2] = 0.95
    part[:, :, 7] = 0.2
    found = candidates.find(scan, np.ones(fusing.SHAPE, dtype=bool))
    answers = {plane: part.reshape(-1)[found.voxels] for plane in finding.Plane}
    strict = fusing.spec_of(0.9, 0.9, 0.99)
    fused = fusion.fuse(scan, found, answers, strict, finding.Profile.DEFAULT)
    assert fused.status == (Status.ACCEPTED,)
    assert fused.lesions.sizes.tolist() == [5 * 4]  # columns 2 to 6; column 8 lies beyond the gap


def test_the_paper_profile_accepts_at_one_half_whatever_the_manifest_says() -> None:
    scan = fusing.scan_of(fusing.CUBE)
    found = candidates.find(scan, np.ones(fusing.SHAPE, dtype=bool))
    answers = {plane: np.full(found.voxels.size, 0.6, dtype=np.float32) for plane in finding.Plane}
    strict = fusing.spec_of(0.9, 0.9, 0.99)
    for profile, status in ((finding.Profile.PAPER, Status.ACCEPTED), (finding.Profile.DEFAULT, Status.REJECTED)):
        assert fusion.fuse(scan, found, answers, strict, profile).status == (status,)


def test_what_each_plane_accepts_is_in_doubt_though_thresholds_of_doubt_lie_above_and_no_voxel_is_shared() -> None:
    found = candidates.find(scan := fusing.scan_of(fusing.CUBE), np.ones(fusing.SHAPE, dtype=bool))
    answers = {plane: np.zeros(found.voxels.size, dtype=np.float32) for plane in finding.Plane}
    for place, plane in enumerate(finding.Plane):
        answers[plane][place] = 0.6
    late = fusing.spec_of(0.5, 0.9, 0.99)
    assert fusion.fuse(scan, found, answers, late, finding.Profile.DEFAULT).doubt == (Code.CANDIDATE_IN_DOUBT,)


@pytest.mark.parametrize(
    ("sure", "unsure", "status"),
    [
        (0.99, 0.5, Status.ACCEPTED),  # two planes at odds of 99, one at 1: 21 together, 0.955
        (0.97, 0.5, Status.DOUBT),  # odds of 32, 32 and 1: 10, 0.911
        (1.0, 0.499, Status.DOUBT),  # one plane does not call it calcium, however sure the others are
        (0.9, 0.9, Status.DOUBT),
        (0.951, 0.951, Status.ACCEPTED),
    ],
)
def test_a_voxel_that_each_plane_calls_calcium_is_accepted_by_what_they_say_together(
    sure: float, unsure: float, status: Status
) -> None:
    strict = fusing.spec_of(0.95, 0.5, 0.99)
    assert fusing.judge(fusing.scan_of(fusing.CUBE), sure, sure, unsure, spec=strict).status == (status,)


def test_what_planes_are_sure_of_on_different_voxels_is_not_added_up_to_accept() -> None:
    scan, values = fusing.scan_of(fusing.CUBE), np.full((3, *fusing.SHAPE), 0.6, dtype=np.float32)
    for plane, column in enumerate((2, 3, 3)):
        values[plane, :, :, column] = 0.9
    strict = fusing.spec_of(0.85, 0.5, 0.99)
    assert fusing.judge(scan, *values, spec=strict).status == (Status.DOUBT,)
    values[0, 1, 2, 3] = 0.9
    fused = fusing.judge(scan, *values, spec=strict)
    assert (fused.status, fused.lesions.sizes.tolist()) == ((Status.ACCEPTED,), [8])


def test_a_flat_object_that_is_accepted_is_in_doubt_though_every_threshold_of_doubt_lies_above() -> None:
    late = fusing.spec_of(0.6, 0.95, 0.99)
    for place, overlap in ((fusing.FLAT, True), (fusing.FLAT, False)):
        fused = fusing.judge(fusing.scan_of(place, overlap=overlap), 0.8, 0.8, 0.55, spec=late)
        assert fused.status == (Status.DOUBT,)
        assert fused.shared[0] >= 0.6 > min(best[0] for best in fused.best.values())


def test_all_voxels_that_each_plane_calls_calcium_count_where_one_is_sure() -> None:
    values = np.full(fusing.SHAPE, 0.6, dtype=np.float32)
    values[1, 2, 2] = 0.97
    fused = fusing.judge(fusing.scan_of(fusing.CUBE), values, values, values, spec=fusing.spec_of(0.9, 0.95, 0.99))
    assert (fused.status, fused.agreed.tolist(), fused.lesions.sizes.tolist()) == ((Status.ACCEPTED,), [8], [8])


def test_a_voxel_below_130_hu_accepts_nothing() -> None:
    scan = fusing.scan_of(fusing.CUBE)
    scan.hu[1, 2, 2] = 129
    found = components.find(scan.hu > 100)
    sure = np.where(scan.hu.reshape(-1)[found.voxels] < 130, np.float32(0.99), np.float32(0.6))
    strict = fusing.spec_of(0.9, 0.5, 0.999)
    fused = fusion.fuse(scan, found, dict.fromkeys(finding.Plane, sure), strict, finding.Profile.DEFAULT)
    assert fused.status == (Status.DOUBT,)
    assert fused.shared.tolist() == [pytest.approx(0.6)]
