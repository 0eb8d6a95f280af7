"""The search for thresholds: what it may never do, and that it finds what there is to find."""

import math

import numpy as np
import pytest

from cac import finding
from training import levels


def scan(*, positive, logits, settled=False, specks=None, margin=levels.MARGIN):
    rows = np.array(logits, float).reshape(-1, 3)
    speck = np.zeros(len(rows), bool) if specks is None else np.array(specks, bool)
    return levels.Scan(positive=positive, settled=settled, logits=rows, speck=speck, margin=margin if positive else 0.0)


def drawn(seed, n):
    """Draw scans whose calcium scores higher than mimics do, with overlaps."""
    random = np.random.default_rng(seed)
    zeros = [
        scan(positive=False, logits=random.normal(-6, 4, (30, 3)), specks=random.random(30) < 0.5) for _ in range(n)
    ]
    return [*zeros, *[scan(positive=True, logits=random.normal(6, 2, (random.integers(1, 4), 3))) for _ in range(n)]]


def doubted(one, other, speck):
    """Tell by the rule as it is worded: two planes or one sure, or the mean of logits within 5 to either side."""
    return one.settled or any(
        sum(value >= math.log(99) for value in row) >= 2
        or max(row) >= math.log(9999)
        or sum(min(max(value, -5), 5) for value in row) / 3 >= (speck if small else other)
        for row, small in zip(one.logits, one.speck, strict=True)
    )


def joint(other, speck):
    return finding.Joint(accept=0.5, other=1 / (1 + math.exp(-other)), speck=1 / (1 + math.exp(-speck)))


@pytest.mark.parametrize("seed", range(4))
def test_many_scans_are_judged_as_the_rule_is_worded(seed):
    scans, random = drawn(seed, 12), np.random.default_rng(seed)
    for _ in range(20):
        other, speck = random.uniform(-5, 5, 2)
        assert levels.excluded(scans, joint(other, speck)) == [not doubted(one, other, speck) for one in scans]


@pytest.mark.parametrize("seed", range(4))
def test_what_no_other_voxel_reaches_in_every_plane_is_all_that_decides(seed):
    said = np.random.default_rng(seed).integers(-6, 7, (200, 3)).astype(float)
    kept = levels.unexceeded(said)
    beaten = [any((other >= one).all() and (other > one).any() for other in said) for one in said]
    assert {tuple(one) for one in kept} == {tuple(one) for one, lost in zip(said, beaten, strict=True) if not lost}
    assert levels.unexceeded(np.empty((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("seed", range(8))
def test_no_positive_is_absent_not_even_with_the_margin(seed):
    scans = drawn(seed, 12)
    chosen = levels.choose(scans)
    positives, zeros = ([one for one in scans if one.positive is which] for which in (True, False))
    assert not any(levels.excluded([one.lowered() for one in positives], chosen))
    # No other pair keeps every positive and excludes more.
    most = sum(levels.excluded(zeros, chosen))
    for speck in levels.SPECK:
        for other in np.arange(levels.LEAST, min(speck, 5 / 3), 0.05):
            tried = joint(other, speck)
            lost = any(levels.excluded([one.lowered() for one in positives], tried))
            assert lost or sum(levels.excluded(zeros, tried)) <= most


def test_the_lower_the_margin_of_a_positive_the_higher_a_threshold_may_lie():
    zeros = [scan(positive=False, logits=[[value] * 3]) for value in np.arange(-2, 6, 0.5)]
    found = [levels.choose([*zeros, scan(positive=True, logits=[[2.9] * 3], margin=margin)]) for margin in (3, 2, 1.5)]
    assert [sum(levels.excluded(zeros, chosen)) for chosen in found] == [4, 6, 7]


def test_the_threshold_lies_half_way_between_the_surest_zero_it_excludes_and_the_positive_that_binds_it():
    zeros = [scan(positive=False, logits=[[value] * 3]) for value in (-2.0, 0.0, 1.5)]
    chosen = levels.choose([*zeros, scan(positive=True, logits=[[3.0] * 3], margin=2)])
    assert levels.logit(chosen.other) == pytest.approx(0.5, abs=1e-5)


def test_specks_have_a_threshold_of_their_own_that_the_positives_bind_too():
    noise = [[3.0, 3.0, 3.0]]
    scans = [scan(positive=True, logits=noise), *[scan(positive=False, logits=noise, specks=[True])] * 3]
    chosen = levels.choose(scans)
    assert levels.excluded(scans[1:], chosen) == [True] * 3
    assert chosen.other < chosen.speck
    bound = levels.choose([*scans, scan(positive=True, logits=noise, specks=[True])])
    assert levels.excluded(scans[1:], bound) == [False] * 3


def test_a_positive_seen_in_a_speck_alone_is_not_lost_by_the_thresholds_of_all_else():
    small = scan(positive=True, logits=[[2.0] * 3], specks=[True], margin=0)
    scans = [small, scan(positive=True, logits=[[12.0] * 3]), scan(positive=False, logits=[[1.6] * 3])]
    chosen = levels.choose(scans)
    assert levels.excluded([small], chosen) == [False]
    assert chosen.other <= chosen.speck


def test_both_thresholds_go_down_half_way_and_specks_keep_the_higher_one():
    sure = scan(positive=True, logits=[[12.0] * 3])
    noisy = levels.choose([sure, scan(positive=False, logits=[[1.0] * 3, [1.5] * 3], specks=[False, True])])
    assert [levels.logit(each) for each in (noisy.other, noisy.speck)] == pytest.approx([4 / 3, 2.5], abs=1e-5)
    quiet = levels.choose([sure, scan(positive=False, logits=[[1.0] * 3, [-9.0] * 3], specks=[False, True])])
    assert [levels.logit(each) for each in (quiet.other, quiet.speck)] == pytest.approx([4 / 3] * 2, abs=1e-5)


@pytest.mark.parametrize("zeros", [[], [scan(positive=False, logits=[[4.6] * 3])], [scan(positive=False, logits=[])]])
def test_where_no_zero_scan_tells_how_high_a_threshold_may_lie_all_is_doubted(zeros):
    chosen = levels.choose([scan(positive=True, logits=[[12.0] * 3]), *zeros])
    assert [levels.logit(each) for each in (chosen.other, chosen.speck)] == pytest.approx([levels.LEAST] * 2, abs=1e-4)


def test_zeros_without_specks_say_nothing_of_these():
    chosen = levels.choose([scan(positive=True, logits=[[12.0] * 3]), scan(positive=False, logits=[[-1.0] * 3])])
    assert chosen.speck == chosen.other


def test_a_positive_held_back_by_other_reasons_binds_nothing():
    sure, zero = scan(positive=True, logits=[[12.0] * 3]), scan(positive=False, logits=[[1.0] * 3])
    faded = scan(positive=True, logits=[[-9.0] * 3], settled=True)
    assert faded.findable
    assert levels.choose([sure, faded, zero]) == levels.choose([sure, zero])


def test_what_two_nets_or_one_or_all_together_are_sure_of_is_always_doubted():
    chosen = levels.choose([scan(positive=True, logits=[[12, 12, 12]]), scan(positive=False, logits=[[-9, -9, -9]])])
    for row in ([5, 5, -20], [9.3, -20, -20], [3.6, 3.6, 3.6], [5, 4, 2]):
        assert levels.excluded([scan(positive=False, logits=[row], specks=[True])], chosen) == [False]
    assert levels.excluded([scan(positive=False, logits=[[4.5, 4.5, -3]])], chosen) == [False]


def test_without_a_positive_that_thresholds_can_decide_there_are_none():
    assert levels.choose([]) is None
    assert levels.choose([scan(positive=True, logits=[]), scan(positive=False, logits=[[3, 3, 3]])]) is None


def test_a_lesion_that_no_threshold_finds_ends_the_search():
    missed = scan(positive=True, logits=[[-14, -14, -14]])
    assert not missed.findable
    assert levels.choose([missed, scan(positive=False, logits=[])]) is None
    assert scan(positive=True, logits=[[-1.9, -1.9, -1.9]]).findable


def test_a_scan_held_back_by_other_reasons_is_never_counted():
    assert levels.excluded([scan(positive=False, logits=[], settled=True)], joint(0, 0)) == [False]


def test_accepted_is_what_agrees_best_with_the_truth_in_voxels():
    reach, voxels = np.array([4.9, 4.0, 2.2, 1.2]), np.array([50.0, 30, 20, 400])
    assert levels.accept(reach, voxels, np.array([True, True, True, False])) == 1.25
    assert levels.accept(reach, voxels, np.array([True, True, True, True])) == 0.0
    assert levels.accept(np.array([-np.inf, *reach[1:]]), voxels, np.array([True, True, True, False])) == 1.25
    assert levels.accept(np.empty(0), np.empty(0), np.empty(0, bool)) == 0.0


def test_of_thresholds_that_agree_nearly_as_well_the_lowest_is_accepted():
    reach, true = np.array([4.9, 3.0, 2.9]), np.array([True, True, False])
    assert levels.accept(reach, np.array([997.0, 3.0, 3.0]), true) == 0.0
    assert levels.accept(reach, np.array([900.0, 90.0, 90.0]), true) == 3.0


def test_a_bone_of_many_voxels_does_not_decide_alone_what_is_accepted():
    reach, true = np.array([4.9, 4.0, 4.0, 4.0, 3.5]), np.array([True, True, True, True, False])
    assert levels.accept(reach, np.array([50.0, 50, 50, 50, 20_000]), true) == 3.75
    false_and_surer = np.array([3.0, 3.0, 3.0, 3.0, 3.5])
    assert levels.accept(false_and_surer, np.array([50.0, 50, 50, 50, 20_000]), true) == 0.0
