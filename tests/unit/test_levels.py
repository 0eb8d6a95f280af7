"""The search for thresholds: what it may never do, and that it finds what there is to find."""

import numpy as np
import pytest

from training import levels


def scan(*, positive, logits, settled=False):
    return levels.Scan(positive=positive, settled=settled, logits=np.array(logits, float).reshape(-1, 3))


def drawn(seed, n):
    """Draw scans whose calcium scores higher than mimics do, with overlaps, and one that no net sees in a plane."""
    random = np.random.default_rng(seed)
    zeros = [scan(positive=False, logits=random.normal(-6, 4, (30, 3))) for _ in range(n)]
    positives = [scan(positive=True, logits=random.normal(6, 3, (random.integers(1, 4), 3))) for _ in range(n)]
    return [*zeros, *positives, scan(positive=True, logits=[[9, -12, -12]])]


def doubted(one, low, high):
    """Tell by the rule as SCIENCE.md section 5 words it."""
    return any(
        sum(value >= level for value, level in zip(row, low, strict=True)) >= 2
        or any(value >= level for value, level in zip(row, high, strict=True))
        for row in one.logits
    )


@pytest.mark.parametrize("seed", range(4))
def test_many_scans_at_once_are_judged_as_one_by_one(seed):
    scans, random = drawn(seed, 12), np.random.default_rng(seed)
    for _ in range(20):
        low, high = random.uniform(-5, 12, (2, 3))
        wanted = sum(not doubted(one, low, high) for one in scans)
        assert levels.Doubts(scans).excluded(low, high) == wanted


@pytest.mark.parametrize("seed", range(4))
def test_what_no_other_voxel_reaches_in_every_plane_is_all_that_decides(seed):
    said = np.random.default_rng(seed).integers(-6, 7, (200, 3)).astype(float)
    kept = levels.unexceeded(said)
    beaten = [any((other >= one).all() and (other > one).any() for other in said) for one in said]
    assert {tuple(one) for one in kept} == {tuple(one) for one, lost in zip(said, beaten, strict=True) if not lost}
    assert levels.unexceeded(np.empty((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("seed", range(4))
def test_no_positive_is_absent_not_even_with_the_margin(seed):
    scans = drawn(seed, 12)
    low, high = levels.choose(scans)
    positives = [one for one in scans if one.positive]
    assert all(doubted(one, low + levels.MARGIN, high + levels.MARGIN) for one in positives)
    # One step up for all, and one positive at least is lost, or nothing is won by it.
    zeros = levels.Doubts([one for one in scans if not one.positive])
    higher = (low + 0.5, high + 0.5)
    lost = not all(doubted(one, *(level + levels.MARGIN for level in higher)) for one in positives)
    assert lost or zeros.excluded(*higher) == zeros.excluded(low, high)


def test_what_can_be_told_apart_in_one_plane_only_is_found():
    zeros = [scan(positive=False, logits=[[-6, 6, 6], [-6, 6, -6]]) for _ in range(5)]
    positives = [scan(positive=True, logits=[[4, -9, -9]])] * 5
    low, high = levels.choose([*zeros, *positives])
    assert levels.Doubts(zeros).excluded(low, high) == 5


def test_what_two_nets_or_one_are_sure_of_is_always_doubted():
    sure = [scan(positive=True, logits=[[12, 12, 12]]), scan(positive=False, logits=[])]
    low, high = levels.choose(sure)
    assert (low < np.log(0.999 / 0.001)).all()
    assert (high < np.log(0.9999 / 0.0001)).all()


def test_without_a_positive_that_thresholds_can_decide_there_are_none():
    assert levels.choose([]) is None
    assert levels.choose([scan(positive=True, logits=[]), scan(positive=False, logits=[[3, 3, 3]])]) is None


def test_a_lesion_that_no_threshold_finds_ends_the_search():
    assert levels.choose([scan(positive=True, logits=[[-14, -14, -14]]), scan(positive=False, logits=[])]) is None


def test_a_scan_held_back_by_other_reasons_is_never_counted():
    assert levels.Doubts([scan(positive=False, logits=[], settled=True)]).excluded(np.zeros(3), np.zeros(3)) == 0


def test_accepted_is_what_agrees_best_with_the_truth_in_voxels():
    least, voxels = np.array([6.0, 4.0, 2.2, 1.2]), np.array([50.0, 30, 20, 400])
    assert levels.accept(least, voxels, np.array([True, True, True, False])) == 1.5
    assert levels.accept(least, voxels, np.array([True, True, True, True])) == 0.0
    assert levels.accept(np.empty(0), np.empty(0), np.empty(0, bool)) == 0.0


def test_a_bone_of_many_voxels_does_not_decide_alone_what_is_accepted():
    least, true = np.array([6.0, 4.0, 4.0, 4.0, 3.5]), np.array([True, True, True, True, False])
    assert levels.accept(least, np.array([50.0, 50, 50, 50, 20_000]), true) == 4.0
    false_and_surer = np.array([3.0, 3.0, 3.0, 3.0, 3.5])
    assert levels.accept(false_and_surer, np.array([50.0, 50, 50, 50, 20_000]), true) == 0.0
