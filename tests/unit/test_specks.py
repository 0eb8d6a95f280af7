import itertools

import numpy as np
import pytest

from cac import candidates, specks, volume

SHAPE = (12, 12, 12)


def which(
    *places: tuple[slice | int, ...],
    hu: float = 190,
    pixel: float = 0.5,
    averaged: bool = False,
    envelope: tuple[slice, ...] = (slice(None),) * 3,
) -> list[bool]:
    """Tell which candidates of a scan that is dense in some places only are specks."""
    values = np.zeros(SHAPE, dtype=np.float32)
    for place in places:
        values[place] = hu
    scan = volume.Volume(hu=values, spacing=(1.5, pixel, pixel), thickness=3.0)
    region = np.zeros(SHAPE, dtype=bool)
    region[envelope] = True
    return specks.which(scan, candidates.find(scan, region), averaged=averaged).tolist()


@pytest.mark.parametrize(
    ("place", "changes", "speck"),
    [
        ((3, 3, slice(3, 6)), {}, True),
        ((slice(3, 5), 3, slice(3, 6)), {}, True),
        ((3, 3, slice(3, 7)), {}, False),  # 1 mm2 in a slice scores
        ((3, 3, slice(3, 7)), {"pixel": 0.4}, True),
        ((slice(3, 6), 3, slice(3, 6)), {}, False),  # nine voxels, though no slice scores
        ((slice(1, 8), 3, 3), {}, False),
        ((3, 3, slice(3, 6)), {"hu": 200}, False),
        ((3, 3, slice(3, 6)), {"averaged": True}, False),
    ],
)
def test_a_speck_is_small_in_all_and_in_each_slice_faint_and_never_of_slabs(place, changes, speck) -> None:
    assert which(place, **changes) == [speck]


@pytest.mark.parametrize("step", [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)])
def test_a_part_that_the_envelope_leaves_of_more_is_no_speck(step: tuple[int, int, int]) -> None:
    part, beyond = (3, 3, 3), tuple(3 + each for each in step)
    inside = (slice(3, 4), slice(3, 4), slice(3, 4))
    assert which(part, envelope=inside) == [True]
    assert which(part, beyond, envelope=inside) == [False]
    assert which(part, beyond, envelope=inside, hu=130) == [False]
    assert which(part, tuple(3 + 2 * each for each in step), envelope=inside) == [True]


def test_each_candidate_is_judged_alone() -> None:
    assert which((1, 1, 1), (5, 5, slice(2, 9)), (9, 9, 9)) == [True, False, True]
    assert which() == []


def test_what_lies_at_the_scan_s_edge_does_not_touch_itself_across_it() -> None:
    inside = (slice(0, 1), slice(0, 1), slice(0, 1))
    assert which((0, 0, 0), (11, 11, 11), (0, 0, 11), (11, 0, 0), envelope=inside) == [True]
