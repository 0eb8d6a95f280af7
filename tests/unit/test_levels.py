"""The search for thresholds: what it may never do, and that it finds what there is to find."""

import numpy as np
import pytest

from training import levels


def scan(*, positive, logits, settled=False, specks=None, margin=levels.MARGIN):
    rows = np.array(logits, float).reshape(-1, 3)
    speck = np.zeros(len(rows), bool) if specks is None else np.array(specks, bool)
    return levels.Scan(positive=positive, settled=settled, logits=rows, speck=speck, margin=margin if positive else 0.0)


def drawn(seed, n):
    """Draw scans whose calcium scores higher than mimics do, with overlaps, and one that no net sees in a plane."""
    random = np.random.default_rng(seed)
    zeros = [
        scan(positive=False, logits=random.normal(-6, 4, (30, 3)), specks=random.random(30) < 0.5) for _ in range(n)
    ]
    positives = [scan(positive=True, logits=random.normal(6, 3, (random.integers(1, 4), 3))) for _ in range(n)]
    return [*zeros, *positives, scan(positive=True, logits=[[9, -12, -12]])]


def doubted(one, low, speck, high):
    """Tell by the rule as SCIENCE.md section 5 words it, with thresholds of their own for specks."""
    return any(
        sum(value >= level for value, level in zip(row, speck if small else low, strict=True)) >= 2
        or any(value >= level for value, level in zip(row, high, strict=True))
        for row, small in zip(one.logits, one.speck, strict=True)
    )


@pytest.mark.parametrize("seed", range(4))
def test_many_scans_at_once_are_judged_as_one_by_one(seed):
    scans, random = drawn(seed, 12), np.random.default_rng(seed)
    for _ in range(20):
        tried = random.uniform(-5, 12, (3, 3))
        wanted = sum(not doubted(one, *tried) for one in scans)
        assert levels.Doubts(scans).excluded(tried) == wanted


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
    chosen = levels.choose(scans)
    positives = [one for one in scans if one.positive]
    assert all(doubted(one, *(chosen + levels.MARGIN)) for one in positives)
    # One step up for all, and one positive at least is lost, or nothing is won by it.
    zeros = levels.Doubts([one for one in scans if not one.positive])
    higher = chosen + 0.5
    lost = not all(doubted(one, *(higher + levels.MARGIN)) for one in positives)
    assert lost or zeros.excluded(higher) == zeros.excluded(chosen)


def test_the_lower_the_margin_of_a_positive_the_higher_a_threshold_may_lie():
    zeros = [scan(positive=False, logits=[[value, value, -9]]) for value in np.arange(-2, 6, 0.5)]
    found = [levels.choose([*zeros, scan(positive=True, logits=[[5, 5, -9]], margin=margin)]) for margin in (3, 2, 1)]
    assert [levels.Doubts(zeros).excluded(chosen) for chosen in found] == [8, 10, 12]


def test_thresholds_come_in_order_each_capped_by_the_next():
    np.testing.assert_array_equal(levels.ordered(np.array([[5, 1], [4, 2], [3, 9]])), [[3, 1], [3, 2], [3, 9]])


def test_specks_have_thresholds_of_their_own_that_the_positives_bind_too():
    faint, noise = [[2.0, 2.0, -9.0]], [[3.0, 3.0, -9.0]]
    scans = [scan(positive=True, logits=faint), *[scan(positive=False, logits=noise, specks=[True])] * 3]
    chosen = levels.choose(scans)
    assert levels.Doubts(scans[1:]).excluded(chosen) == 3
    assert (np.diff(chosen, axis=0) >= 0).all()
    bound = levels.choose([*scans, scan(positive=True, logits=noise, specks=[True])])
    assert levels.Doubts(scans[1:]).excluded(bound) == 0


def test_what_can_be_told_apart_in_one_plane_only_is_found():
    zeros = [scan(positive=False, logits=[[-6, 4, 4], [-6, 4, -6]]) for _ in range(5)]
    positives = [scan(positive=True, logits=[[4, -9, -9]])] * 5
    assert levels.Doubts(zeros).excluded(levels.choose([*zeros, *positives])) == 5


def test_what_two_nets_or_one_are_sure_of_is_always_doubted():
    sure = [scan(positive=True, logits=[[12, 12, 12]]), scan(positive=False, logits=[])]
    low, speck, high = levels.choose(sure)
    assert (low <= speck).all()
    assert (speck < np.log(0.99 / 0.01)).all()
    assert (high < np.log(0.9999 / 0.0001)).all()


def test_without_a_positive_that_thresholds_can_decide_there_are_none():
    assert levels.choose([]) is None
    assert levels.choose([scan(positive=True, logits=[]), scan(positive=False, logits=[[3, 3, 3]])]) is None


def test_a_lesion_that_no_threshold_finds_ends_the_search():
    assert levels.choose([scan(positive=True, logits=[[-14, -14, -14]]), scan(positive=False, logits=[])]) is None


def test_a_scan_held_back_by_other_reasons_is_never_counted():
    assert levels.Doubts([scan(positive=False, logits=[], settled=True)]).excluded(np.zeros((3, 3))) == 0


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
