"""What a population changes in a phantom, and scans of many plaques."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from cac.phantom import mimics, population, scan
from training import crops

SMALL = {"matrix": 224, "pixel": 1.0, "noise": 4.0}


def made(seed: int = 5, agatston: float = 0, **style: object) -> scan.Phantom:
    """Make a quiet phantom with three hard negatives at most."""
    return scan.make(agatston=agatston, seed=seed, mimics=3, style=scan.Style(**{**SMALL, **style}))


def people(**ranges: object) -> population.Population:
    return dataclasses.replace(population.STANDARD, **ranges)


@pytest.mark.parametrize("who", [population.STANDARD, population.BROAD, population.EXTERNAL])
def test_the_same_seed_gives_the_same_person(who):
    np.testing.assert_array_equal(made(people=who).volume.hu, made(people=who).volume.hu)


def test_mottled_cartilage_has_spots_of_130_hu_where_even_cartilage_has_none():
    even, mottled = (made(people=people(mottle=(sd, sd)), classes=()).volume.hu for sd in (0.0, 30.0))
    _, fewer = ndimage.label(even >= 130)
    _, more = ndimage.label(mottled >= 130)
    assert more > fewer + 20


def test_septa_lift_fat_and_leave_muscle_as_it_is():
    clean, crossed = (made(people=people(septa=(lift, lift)), classes=()).volume.hu for lift in (0.0, 30.0))
    fat, muscle = (clean > -110) & (clean < -85), (clean > 45) & (clean < 60)
    assert (crossed - clean)[fat].mean() > 10
    assert abs((crossed - clean)[muscle].mean()) < 1


def test_noise_that_lingers_is_shared_by_slices_that_do_not_overlap():
    def shared(linger: float) -> float:
        noisy = people(grain=(0.3, 0.3), linger=(linger, linger))
        hu = made(people=noisy, noise=20.0, classes=()).volume.hu[10:30, 100:120, 100:120]
        return float(np.corrcoef(np.diff(hu[:-1], axis=2).ravel(), np.diff(hu[1:], axis=2).ravel())[0, 1])

    assert shared(0.5) > shared(0.0) + 0.2


def test_faint_mimics_hardly_pass_130_hu():
    def peak(share: float) -> float:
        style = {"people": people(faint=share), "classes": ("pericardium", "aortic_wall", "calcified_node")}
        held = made(seed=7, **style)
        marked = np.isin(held.origins, [mimics.code(name) for name in held.mimics])
        return float(held.volume.hu[marked].max())

    assert peak(1.0) < 300 < peak(0.0)


def test_scattered_plaques_lie_all_over_the_arteries_and_are_all_marked():
    held = made(agatston=20, scattered=20)
    _, lesions = ndimage.label(held.truth, np.ones((3, 3, 3)))
    assert lesions >= 8
    assert len(set(held.owners[held.truth].tolist())) >= 3
    assert held.agatston > 60


def test_a_training_scan_of_many_plaques_never_has_to_be_free_of_calcium():
    counts = [(crops.wanted(seed)[0], crops.scattered(seed)) for seed in range(1_300_000, 1_300_200)]
    assert all(count == 0 for wanted, count in counts if wanted == 0)
    some = [count for wanted, count in counts if wanted > 0]
    assert 0.35 < np.mean(np.array(some) > 0) < 0.65
    assert min(count for count in some if count) >= crops.SCATTERED[0]
