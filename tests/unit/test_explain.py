import numpy as np
import pytest

from cac import candidates, components, explain, finding, fusion, reasons, volume

Code, Status, Plane = reasons.ReasonCode, finding.CandidateStatus, finding.Plane


def spec_of(accept: float, low: float, high: float, other: float = 1.0, speck: float = 1.0) -> finding.NetSpec:
    levels = finding.Levels(low=low, high=high)
    return finding.NetSpec(
        levels=dict.fromkeys(Plane, levels), joint=finding.Joint(accept=accept, other=other, speck=speck)
    )


SPEC = spec_of(0.5, 0.2, 0.8)
SHAPE = (6, 12, 12)
CUBE = (slice(1, 3), slice(2, 4), slice(2, 4))
FLAT = (slice(4, 5), slice(8, 10), slice(8, 10))


def scan_of(place: tuple[slice, ...], *, increment: float = 1.5, hu: float = 300) -> volume.Volume:
    values = np.zeros(SHAPE, dtype=np.float32)
    values[place] = hu
    return volume.Volume(hu=values, spacing=(increment, 0.5, 0.5), thickness=3.0)


def why(
    scan: volume.Volume,
    *answers: float | np.ndarray,
    profile: finding.Profile = finding.Profile.DEFAULT,
    faded: bool = False,
    spec: finding.NetSpec = SPEC,
) -> tuple[Status, reasons.Reason]:
    """Return what becomes of the scan's one candidate and why; answers are a number or a map a plane."""
    found = components.find(scan.hu > 0)
    maps = {
        p: np.broadcast_to(np.float32(m), SHAPE).reshape(-1)[found.voxels] for p, m in zip(Plane, answers, strict=True)
    }
    fused = fusion.fuse(scan, found, maps, spec, profile, found.voxels[:1] if faded else None)
    (reason,) = explain.each(fused, spec)
    return fused.status[0], reason


def test_an_accepted_candidate_names_all_three_planes_and_their_thresholds() -> None:
    status, reason = why(scan_of(CUBE), 0.9, 0.8, 0.7, spec=spec_of(0.75, 0.2, 0.8))
    assert (status, reason.code) == (Status.ACCEPTED, Code.ALL_PLANES_ACCEPT)
    assert reason.text == (
        "All three planes accept 8 voxel(s) of it: axial 0.9 >= 0.5, sagittal 0.8 >= 0.5, coronal 0.7 >= 0.5; "
        "together they come to 0.814 >= 0.75 on one voxel."
    )


def test_what_the_planes_come_to_where_one_calls_it_no_calcium_is_not_what_accepts_it() -> None:
    sure, unsure = np.full((2, *SHAPE), 0.7, dtype=np.float32)
    sure[1, 2, 2], unsure[1, 2, 2] = 1.0, 0.4
    reason = why(scan_of(CUBE), sure, sure, unsure, spec=spec_of(0.6, 0.9, 1.0))[1]
    assert reason.text.endswith("together they come to 0.7 >= 0.6 on one voxel.")


def test_the_paper_asks_for_no_more_than_one_half_in_each_plane_and_is_not_told_to() -> None:
    spec = spec_of(0.95, 0.2, 0.8)
    assert "together" not in why(scan_of(CUBE), 0.6, 0.6, 0.6, profile=finding.Profile.PAPER, spec=spec)[1].text


def test_a_candidate_that_no_plane_suspects_says_so() -> None:
    status, reason = why(scan_of(CUBE), 0.1, 0.19, 0.0)
    assert (status, reason.code) == (Status.REJECTED, Code.NO_PLANE_SUSPECTS)
    assert "axial 0.1 < 0.2, sagittal 0.19 < 0.2, coronal 0 < 0.2" in reason.text


def test_a_speck_is_held_against_its_own_threshold_and_says_so() -> None:
    speck = (slice(1, 2), slice(2, 3), slice(2, 3))
    spec = spec_of(0.5, 0.7, 0.8, other=0.2, speck=0.4)
    status, reason = why(scan_of(speck, hu=190), 0.3, 0.3, 0.3, spec=spec)
    assert (status, reason.code) == (Status.REJECTED, Code.NO_PLANE_SUSPECTS)
    assert reason.text.endswith(
        "coronal 0.3 < 0.7. Together they come to 0.3 on its most suspect voxel; 0.4 would be a doubt. "
        "It is a speck such as noise makes, too small to score, so that doubt asks for more."
    )
    assert "too small" not in why(scan_of(CUBE), 0.1, 0.1, 0.0, spec=spec)[1].text


@pytest.mark.parametrize("alone", list(Plane))
def test_a_plane_that_stands_alone_is_named_and_so_are_those_that_said_no(alone: finding.Plane) -> None:
    status, reason = why(scan_of(CUBE), *(0.7 if plane is alone else 0.1 for plane in Plane))
    assert (status, reason.code) == (Status.REJECTED, Code.ONE_PLANE_ALONE)
    assert (
        f"Only the {alone} plane is sure of calcium (0.7 >= 0.2), but not as sure as one alone must be" in reason.text
    )
    assert "must be (0.7 < 0.8): " in reason.text
    assert all(f"{plane} 0.1 < 0.2" in reason.text for plane in Plane if plane is not alone)


def test_planes_that_suspect_different_voxels_say_so() -> None:
    left, right = np.zeros((2, *SHAPE), dtype=np.float32)
    left[:, :, 2], right[:, :, 3] = 0.7, 0.3
    status, reason = why(scan_of(CUBE), left, right, 0.1)
    assert (status, reason.code) == (Status.REJECTED, Code.PLANES_APART)
    assert "no two of them of the same voxel: axial 0.7 >= 0.2, sagittal 0.3 >= 0.2, coronal 0.1 < 0.2" in reason.text


def test_a_2d_object_that_all_planes_accept_is_doubted_for_that_where_slices_overlap() -> None:
    status, reason = why(scan_of(FLAT), 0.9, 0.9, 0.9)
    assert (status, reason.code) == (Status.DOUBT, Code.CANDIDATE_IN_DOUBT)
    assert "never drops it without a doubt" in reason.text


def test_what_the_papers_2d_rule_dropped_says_so() -> None:
    status, reason = why(scan_of(FLAT, increment=3.0), 0.9, 0.9, 0.9, profile=finding.Profile.PAPER)
    assert (status, reason.code) == (Status.REJECTED, Code.FLAT_OBJECT)
    assert "the paper's 2D rule" in reason.text


def test_a_2d_object_without_overlap_is_doubted_for_that() -> None:
    status, reason = why(scan_of(FLAT, increment=3.0), 0.9, 0.9, 0.9)
    assert (status, reason.code) == (Status.DOUBT, Code.THIN_LESION)
    assert "2D object" in reason.text


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (
            (0.3, 0.25, 0.1),
            "two are sure of calcium on one voxel (axial 0.3 >= 0.2, sagittal 0.25 >= 0.2, coronal 0.1 < 0.2)",
        ),
        (
            (0.9, 0.1, 0.1),
            "(sagittal 0.1 < 0.5, coronal 0.1 < 0.5); in doubt, for one so high is enough (axial 0.9 >= 0.8)",
        ),
        ((0.9, 0.9, 0.4), "Not all planes call it calcium (coronal 0.4 < 0.5); in doubt, for"),
    ],
)
def test_a_doubt_names_who_refuses_and_who_insists(answers: tuple[float, ...], sentence: str) -> None:
    status, reason = why(scan_of(CUBE), *answers)
    assert (status, reason.code) == (Status.DOUBT, Code.CANDIDATE_IN_DOUBT)
    assert sentence in reason.text


def test_a_doubt_by_what_the_planes_say_together_says_so() -> None:
    status, reason = why(scan_of(CUBE), 0.45, 0.45, 0.45, spec=spec_of(0.5, 0.7, 0.8, other=0.4))
    assert (status, reason.code) == (Status.DOUBT, Code.CANDIDATE_IN_DOUBT)
    assert reason.text.endswith("in doubt, for together they come to 0.45 >= 0.4 on one voxel.")


def test_planes_that_accept_different_voxels_are_a_doubt_that_says_so() -> None:
    left, right = np.zeros((2, *SHAPE), dtype=np.float32)
    left[:, :, 2], right[:, :, 3] = 0.9, 0.9
    status, reason = why(scan_of(CUBE), left, right, right, spec=spec_of(0.8, 0.95, 0.99))
    assert (status, reason.code) == (Status.DOUBT, Code.CANDIDATE_IN_DOUBT)
    assert reason.text == (
        "Each plane calls voxels of it calcium, but no voxel is called so by all three; in doubt, for each plane is as "
        "sure of some voxel as accepting asks (axial 0.9 >= 0.8, sagittal 0.9 >= 0.8, coronal 0.9 >= 0.8)."
    )


def test_what_all_planes_call_calcium_without_enough_together_says_so() -> None:
    status, reason = why(scan_of(CUBE), 0.7, 0.6, 0.8, spec=spec_of(0.8, 0.9, 0.95, other=0.6))
    assert (status, reason.code) == (Status.DOUBT, Code.CANDIDATE_IN_DOUBT)
    assert reason.text == (
        "All planes call a voxel of it calcium, too unsurely to accept it (together 0.707 < 0.8); in doubt, "
        "for together they come to 0.707 >= 0.6 on one voxel."
    )


def test_a_thick_candidate_of_which_one_slice_is_agreed_on_says_so() -> None:
    one = np.zeros(SHAPE, dtype=np.float32)
    one[1] = 0.9
    status, reason = why(scan_of(CUBE), one, one, 0.9 * (one > 0) + 0.5 * (one == 0))
    assert (status, reason.code) == (Status.DOUBT, Code.CANDIDATE_IN_DOUBT)
    assert "2D object (one voxel thick)" in reason.text


def test_what_the_slabs_erased_or_faded_says_so() -> None:
    assert why(scan_of(CUBE, hu=120), 0.9, 0.9, 0.9)[1].code is Code.ERASED_BY_SLABS
    status, reason = why(scan_of(CUBE), 0.0, 0.0, 0.0, faded=True)
    assert (status, reason.code) == (Status.DOUBT, Code.FADED_BY_SLABS)
    assert "thin slices" in reason.text


def test_no_reason_leaves_a_fact_unfilled() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        scan = scan_of(CUBE if rng.random() < 0.5 else FLAT, increment=rng.choice([1.5, 3.0]))
        profile = finding.Profile.PAPER if rng.random() < 0.3 else finding.Profile.DEFAULT
        status, reason = why(scan, *rng.random(3), profile=profile)
        assert reason.text.endswith(".")
        assert not set("{}") & set(reason.text)
        doubts = {Code.THIN_LESION, Code.CANDIDATE_IN_DOUBT}
        assert (reason.code in doubts) == (status is Status.DOUBT)
        assert (reason.code is Code.ALL_PLANES_ACCEPT) == (status is Status.ACCEPTED)


def test_without_candidates_there_is_nothing_to_explain() -> None:
    scan = scan_of(CUBE, hu=0)
    found = candidates.find(scan, np.ones(SHAPE, dtype=bool))
    nothing = {plane: np.empty(0, np.float32) for plane in Plane}
    fused = fusion.fuse(scan, found, nothing, SPEC, finding.Profile.DEFAULT)
    assert explain.each(fused, SPEC) == ()
    assert candidates.describe(scan, found, fused.best, (), np.arange(SHAPE[0])) == ()


def test_probabilities_close_to_their_threshold_are_told_apart() -> None:
    close = spec_of(0.97004, 0.6, 0.9999996)
    status, reason = why(scan_of(CUBE), 1.0, 0.6055, 1.0, spec=close)
    assert status is Status.DOUBT
    assert "(together 0.97 < 0.97004); in doubt, for one so high" in reason.text
    assert "axial 1 >= 0.9999996" in reason.text


def test_a_plane_that_is_nearly_as_sure_as_one_alone_must_be_is_not_told_to_be_so() -> None:
    shipped = spec_of(0.95, 0.99, 0.9999)
    status, reason = why(scan_of(CUBE), 0.9998, 0.01, 0.001, spec=shipped)
    assert status is Status.REJECTED
    assert "sure of calcium (0.9998 >= 0.99), but not as sure as one alone must be (0.9998 < 0.9999)" in reason.text


def test_a_joint_threshold_is_told_as_it_was_compared_in_single_precision() -> None:
    together = float(np.float32(0.45))  # the three planes' common answer is what they come to
    status, reason = why(scan_of(CUBE), 0.45, 0.45, 0.45, spec=spec_of(0.5, 0.9, 0.95, other=together + 1e-9))
    assert status is Status.DOUBT
    assert "together they come to 0.45 >= 0.45" in reason.text


def test_a_comparison_is_told_as_it_was_made_in_single_precision() -> None:
    """Take a threshold that is less in single precision: a probability equal to it was accepted."""
    level = next(value for value in (0.9907, 0.9906, 0.9903) if float(np.float32(value)) < value)
    equal = spec_of(level, 0.6, 0.99999)
    status, reason = why(scan_of(CUBE), level, level, level, spec=equal)
    assert status is Status.ACCEPTED
    assert reason.text.count(">=") == 4
