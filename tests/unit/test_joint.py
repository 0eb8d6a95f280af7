"""What the three planes say of a voxel together, and when that is a doubt."""

import dataclasses

import numpy as np
import pytest

from cac import finding, joint
from tests import fusing

Status = finding.CandidateStatus


def said(*each):
    return {plane: np.array([value], np.float32) for plane, value in zip(finding.Plane, each, strict=True)}


def test_equal_answers_come_to_themselves_and_opposite_ones_to_a_half():
    assert joint.probability(said(0.3, 0.3, 0.3)) == pytest.approx([0.3])
    assert joint.probability(said(0.9, 0.1, 0.5)) == pytest.approx([0.5])


def test_no_plane_counts_for_more_than_odds_of_148_to_1():
    assert joint.probability(said(1, 1, 1)) == pytest.approx([1 / (1 + np.exp(-5))])
    assert joint.probability(said(0, 0, 0)) == pytest.approx([1 / (1 + np.exp(5))])
    assert joint.probability(said(0.9934, 0.9934, 0)) >= joint.CEILING
    assert joint.probability(said(0.97069, 0.97069, 0.97069)) >= joint.SPECKS_CEILING


def together(other: float, speck: float) -> finding.NetSpec:
    """Return thresholds of which those on what the planes say together are in reach."""
    return fusing.spec_of(0.5, 0.95, 0.99, finding.Joint(accept=0.5, other=other, speck=speck))


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ((0.4, 0.4, 0.4), Status.DOUBT),
        ((0.39, 0.39, 0.39), Status.REJECTED),
        ((0.9, 0.4, 0.05), Status.DOUBT),  # odds of 9, 2/3 and 1/19 have a geometric mean of 0.68: more than 2/3
        ((0.9, 0.4, 0.04), Status.REJECTED),
        ((0.94, 0.94, 0.0), Status.DOUBT),  # a plane's no counts as 1/148 at least
        ((0.94, 0.01, 0.0), Status.REJECTED),
    ],
)
def test_what_the_planes_say_of_a_voxel_together_is_a_doubt(answers: tuple[float, ...], status: Status) -> None:
    assert fusing.judge(fusing.scan_of(fusing.CUBE), *answers, spec=together(0.4, 0.4)).status == (status,)


def test_a_joint_threshold_is_compared_in_the_probabilities_own_precision() -> None:
    assert fusing.judge(
        fusing.scan_of(fusing.CUBE), 0.45, 0.45, 0.45, spec=together(float(np.float32(0.45)) + 1e-9, 1.0)
    ).doubt != (None,)


def test_what_the_planes_say_of_different_voxels_is_not_added_up() -> None:
    scan, values = fusing.scan_of(fusing.CUBE), np.full((3, *fusing.SHAPE), 0.1, dtype=np.float32)
    for plane, column in enumerate((2, 3, 3)):
        values[plane, :, :, column] = 0.45
    assert fusing.judge(scan, *values, spec=together(0.3, 0.3)).status == (Status.REJECTED,)
    values[0, 1, 2, 3] = 0.45
    assert fusing.judge(scan, *values, spec=together(0.3, 0.3)).status == (Status.DOUBT,)


@pytest.mark.parametrize(
    ("columns", "answer", "status"),
    [(3, 0.69, Status.REJECTED), (3, 0.7, Status.DOUBT), (4, 0.3, Status.DOUBT), (4, 0.29, Status.REJECTED)],
)
def test_a_speck_has_a_joint_threshold_of_its_own(columns: int, answer: float, status: Status) -> None:
    # 3 pixels of 0.25 mm2 in a slice score nothing, 4 do. Of 0.7 no voxel is accepted.
    scan = fusing.scan_of((slice(1, 3), slice(2, 3), slice(2, 2 + columns)), hu=190)
    joint = finding.Joint(accept=0.5, other=0.2999, speck=0.6999)
    fused = fusing.judge(scan, answer, answer, answer, spec=fusing.spec_of(0.9, 0.95, 0.99, joint))
    assert fused.status == (status,)
    assert fused.specks.tolist() == [columns == 3]
    assert fused.together.tolist() == [pytest.approx(answer)]


@pytest.mark.parametrize(
    ("pixel", "coronal", "status"),
    [
        (0.3, 0.51, Status.REJECTED),  # 0.675 together: more than 0.6, less than a speck's 0.7
        (0.3, 0.59, Status.ACCEPTED),  # 0.702
        (0.8, 0.51, Status.ACCEPTED),  # four pixels of 0.64 mm2: no speck
    ],
)
def test_a_speck_is_accepted_at_its_threshold_of_doubt_at_least(pixel: float, coronal: float, status: Status) -> None:
    scan = fusing.scan_of(
        (slice(1, 3), slice(2, 3), slice(2, 4)), (slice(1, 2), slice(3, 4), slice(2, 4)), hu=190, pixel=pixel
    )
    joint = finding.Joint(accept=0.6, other=0.3, speck=0.7)
    fused = fusing.judge(scan, 0.75, 0.75, coronal, spec=fusing.spec_of(0.6, 0.95, 0.99, joint))
    assert (fused.status, fused.specks.tolist()) == ((status,), [pixel == 0.3])
    paper = fusing.judge(scan, 0.75, 0.75, coronal, finding.Profile.PAPER, fusing.spec_of(0.6, 0.95, 0.99, joint))
    assert paper.status == (Status.ACCEPTED,)


@pytest.mark.parametrize("answers", [(0.96, 0.96, 0.0), (0.0, 0.0, 0.995)])
def test_a_speck_that_two_planes_or_one_are_sure_of_is_in_doubt(answers: tuple[float, ...]) -> None:
    scan = fusing.scan_of((slice(1, 2), slice(2, 3), slice(2, 3)), hu=190)
    assert fusing.judge(scan, *answers, spec=together(0.9, 0.9)).status == (Status.DOUBT,)


def test_on_slabs_nothing_is_a_speck() -> None:
    scan = fusing.scan_of((slice(1, 2), slice(2, 3), slice(2, 3)), hu=190)
    assert fusing.judge(scan, 0.4, 0.4, 0.4, spec=together(0.3, 0.7)).status == (Status.REJECTED,)
    nothing = np.array([], dtype=np.int64)
    assert fusing.judge(scan, 0.4, 0.4, 0.4, spec=together(0.3, 0.7), faded=nothing).status == (Status.DOUBT,)


def test_a_speck_that_each_plane_accepts_is_in_doubt_whatever_its_own_threshold() -> None:
    voxels = [np.zeros(fusing.SHAPE, dtype=np.float32) for _ in finding.Plane]
    for column, own in enumerate(voxels, 2):
        own[:, :, column] = 0.5
    scan = fusing.scan_of((slice(1, 2), slice(2, 3), slice(2, 5)), hu=190)
    assert fusing.judge(scan, *voxels, spec=together(0.9, 0.9)).status == (Status.DOUBT,)


def test_an_answer_that_is_no_number_is_a_doubt() -> None:
    fused = fusing.judge(fusing.scan_of(fusing.CUBE), 0.0, float("nan"), 0.0, spec=together(0.8, 0.9))
    assert fused.status == (Status.DOUBT,)


def test_thresholds_that_nobody_chose_doubt_all() -> None:
    spec = dataclasses.replace(fusing.SPEC, joint=finding.NetSpec(levels={}).joint)
    assert fusing.judge(fusing.scan_of(fusing.CUBE), 0.0, 0.0, 0.0, spec=spec).status == (Status.DOUBT,)
