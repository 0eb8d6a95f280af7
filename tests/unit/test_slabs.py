import numpy as np
import pytest

from cac import slabs, volume


def scan_of(hu: np.ndarray, increment: float, pixel: float = 0.5) -> volume.Volume:
    return volume.Volume(hu=hu.astype(np.float32), spacing=(increment, pixel, pixel), thickness=increment)


def noisy(increment: float, sd: float, seed: int = 1) -> volume.Volume:
    """Build 60 mm of blood whose 3 mm slabs have the given SD."""
    shape = (round(60 / increment), 96, 96)
    noise = np.random.default_rng(seed).normal(45, sd * np.sqrt(3 / increment), shape)
    return scan_of(noise, increment)


def everywhere(prepared: slabs.Slabs) -> np.ndarray:
    return np.ones(prepared.scan.hu.shape, dtype=bool)


@pytest.mark.parametrize("increment", [1.4, 1.5, 3.0])
def test_slices_that_can_be_scored_stay_as_they_are(increment: float) -> None:
    scan = scan_of(np.zeros((10, 4, 4)), increment)
    prepared = slabs.prepare(scan)
    assert prepared.scan is scan
    assert prepared.slab_of.tolist() == list(range(10))


def test_half_millimetre_slices_become_means_of_six() -> None:
    hu = np.arange(30.0)[:, None, None] * np.ones((1, 3, 3))
    prepared = slabs.prepare(scan_of(hu, 0.5))
    assert prepared.scan.spacing == (1.5, 0.5, 0.5)
    assert prepared.scan.thickness == 3.0
    assert prepared.scan.hu[:, 0, 0].tolist() == pytest.approx([2.5 + 3 * n for n in range(9)])


@pytest.mark.parametrize("increment", [0.5, 0.6, 0.625, 0.8, 1.0, 1.25, 1.3])
def test_a_gradient_keeps_its_place_at_any_increment(increment: float) -> None:
    count = round(45 / increment)
    height = -np.arange(count) * increment
    prepared = slabs.prepare(scan_of(height[:, None, None] * np.ones((1, 2, 2)), increment))
    slabs_height = prepared.scan.origin[2] - np.arange(prepared.scan.hu.shape[0]) * 1.5
    np.testing.assert_allclose(prepared.scan.hu[:-1, 0, 0], slabs_height[:-1], atol=0.15)


@pytest.mark.parametrize("increment", [0.5, 0.6, 0.8, 1.0, 1.25, 1.3])
def test_every_native_slice_has_a_slab_and_every_slab_a_native_slice(increment: float) -> None:
    prepared = slabs.prepare(scan_of(np.zeros((61, 2, 2)), increment))
    assert prepared.slab_of.size == 61
    assert set(prepared.slab_of.tolist()) == set(range(prepared.scan.hu.shape[0]))
    assert (np.diff(prepared.slab_of) >= 0).all()


def test_calcium_in_the_last_native_slice_is_not_lost() -> None:
    hu = np.zeros((61, 2, 2))
    hu[-1] = 2000
    assert slabs.prepare(scan_of(hu, 0.6)).scan.hu[-1].max() >= 130


@pytest.mark.parametrize("increment", [0.5, 0.6, 1.0, 1.25])
def test_noise_alone_erases_nothing(increment: float) -> None:
    for seed in range(3):
        scan = noisy(increment, 30.0, seed)
        prepared = slabs.prepare(scan)
        hidden = slabs.hidden(scan, prepared, everywhere(prepared))
        assert (hidden.erased.count, hidden.faded.size) == (0, 0)


def with_plaque(height: float, first: int) -> volume.Volume:
    scan = noisy(0.625, 15.0)
    scan.hu[first : first + 2, 40:45, 50:55] = height
    return scan


def test_a_thin_plaque_that_the_slabs_average_away_is_found() -> None:
    scan = with_plaque(200, 40)
    prepared = slabs.prepare(scan)
    prepared.scan.hu[:, 36:50, 46:60] = np.minimum(prepared.scan.hu[:, 36:50, 46:60], 125)
    lost = slabs.hidden(scan, prepared, everywhere(prepared)).erased
    assert lost.count == 1
    assert int(lost.coordinates[0][0]) in prepared.slab_of[40:42].tolist()


def test_a_plaque_that_the_slabs_still_show_is_not_erased() -> None:
    scan = with_plaque(600, 40)
    prepared = slabs.prepare(scan)
    hidden = slabs.hidden(scan, prepared, everywhere(prepared))
    assert (hidden.erased.count, hidden.faded.size) == (0, 0)


def test_what_is_erased_outside_the_envelope_is_no_candidate() -> None:
    scan = with_plaque(200, 40)
    prepared = slabs.prepare(scan)
    prepared.scan.hu[:] = np.minimum(prepared.scan.hu, 125)
    envelope = everywhere(prepared)
    envelope[:, 30:60, 40:65] = False
    assert slabs.hidden(scan, prepared, envelope).erased.count == 0


def test_a_plaque_of_which_the_slabs_leave_a_voxel_is_faded() -> None:
    scan = with_plaque(200, 40)
    prepared = slabs.prepare(scan)
    prepared.scan.hu[:] = np.minimum(prepared.scan.hu, 125)
    left = (int(prepared.slab_of[40]), 42, 52)
    prepared.scan.hu[left] = 140
    hidden = slabs.hidden(scan, prepared, everywhere(prepared))
    assert hidden.erased.count == 0
    assert hidden.faded.tolist() == [np.ravel_multi_index(left, prepared.scan.hu.shape)]


@pytest.mark.parametrize(("side", "faded"), [(4, True), (6, False)])
def test_a_plaque_of_which_the_slabs_lose_more_than_half_is_faded_though_noise_hides_its_rim(
    side: int, faded: bool
) -> None:
    scan = noisy(0.625, 30.0)
    scan.hu[36:46, 30:62, 38:68] = 45
    scan.hu[40:42, 41:49, 49:57] = 140  # 20 mm3, of which only what lies next to the middle is beyond noise
    scan.hu[40:42, 44:46, 52:54] = 600
    prepared = slabs.prepare(scan)
    prepared.scan.hu[:] = np.minimum(prepared.scan.hu, 125)
    prepared.scan.hu[int(prepared.slab_of[40]), 43 : 43 + side, 50 : 50 + side] = 140  # 6 or 13.5 mm3
    hidden = slabs.hidden(scan, prepared, everywhere(prepared))
    assert hidden.erased.count == 0
    assert hidden.faded.size == (side**2 if faded else 0)
