"""Connected sets by runs: the same sets in the same order as labelling every voxel gives."""

import numpy as np
import pytest
from scipy import ndimage

from cac import components, together

IN_SLICE_8 = np.zeros((3, 3, 3), dtype=bool)
IN_SLICE_8[1] = True
IN_SLICE_4 = np.zeros((3, 3, 3), dtype=bool)
IN_SLICE_4[1] = ndimage.generate_binary_structure(2, 1)


@pytest.mark.parametrize("structure", [components.TOUCHING_3D, IN_SLICE_8, IN_SLICE_4], ids=["26", "8", "4"])
@pytest.mark.parametrize("seed", range(60))
def test_the_sets_are_those_of_labelling_every_voxel(seed, structure):
    random = np.random.default_rng(seed)
    mask = random.random(random.integers(1, 14, 3)) < random.choice([0.0, 0.02, 0.1, 0.3, 0.6, 1.0])
    labels, count = ndimage.label(mask, structure)
    where = np.flatnonzero(labels)
    order = np.argsort(labels.reshape(-1)[where], kind="stable")
    found = components.find(mask, structure)
    np.testing.assert_array_equal(found.voxels, where[order])
    np.testing.assert_array_equal(found.sizes, np.bincount(labels.ravel(), minlength=count + 1)[1:])
    assert found.shape == mask.shape


@pytest.mark.parametrize("threads", [1, 3])
def test_answers_come_in_order_and_the_first_error_is_raised(threads):
    assert together.each(lambda number: number**2, range(20), threads) == [number**2 for number in range(20)]

    def divide(number: int) -> float:
        return 1 / (number - 7)

    with pytest.raises(ZeroDivisionError):
        together.each(divide, range(20), threads)
