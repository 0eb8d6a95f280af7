"""The image itself says whether it may be judged: contrast, noise, metal, values that are no HU."""

import dataclasses

import numpy as np
import pytest

from cac import heart, reasons, suitability, volume
from cac.phantom import scan

Code = reasons.ReasonCode
STYLE = scan.Style(matrix=256, pixel=1.3, noise=20.0)


@pytest.fixture(scope="module")
def phantom() -> scan.Phantom:
    return scan.make(agatston=0, seed=5, increment=3.0, mimics=0, style=STYLE)


@pytest.fixture(scope="module")
def located(phantom: scan.Phantom) -> heart.Heart:
    found = heart.locate(phantom.volume)
    assert found is not None
    return found


def against(phantom: scan.Phantom, located: heart.Heart, hu: np.ndarray) -> list[reasons.ReasonCode]:
    changed = dataclasses.replace(phantom.volume, hu=hu.astype(np.float32))
    return [reason.code for reason in suitability.check_image(changed, located, suitability.Limits())]


def test_a_usual_scan_passes(phantom: scan.Phantom, located: heart.Heart) -> None:
    assert against(phantom, located, phantom.volume.hu) == []


def test_the_blood_pool_is_measured_apart_from_anatomy(phantom: scan.Phantom, located: heart.Heart) -> None:
    blood = suitability.measure_blood(phantom.volume, located)
    assert 35 < blood.mean < 60
    assert blood.noise == pytest.approx(20, rel=0.25)


def test_contrast_in_the_blood_pool_is_seen(phantom: scan.Phantom, located: heart.Heart) -> None:
    blood = phantom.heart & (phantom.volume.hu > 0)
    assert against(phantom, located, np.where(blood, phantom.volume.hu + 100, phantom.volume.hu)) == [
        Code.CONTRAST_IMAGE
    ]


def test_undiluted_contrast_is_called_neither_noise_nor_metal(phantom: scan.Phantom, located: heart.Heart) -> None:
    rng = np.random.default_rng(8)
    hu = np.where(located.core, phantom.volume.hu + 300 + rng.normal(0, 60, phantom.volume.hu.shape), phantom.volume.hu)
    hu[tuple(np.argwhere(located.core)[1000])] = 3000
    assert against(phantom, located, hu) == [Code.CONTRAST_IMAGE]


def test_a_very_noisy_image_is_seen(phantom: scan.Phantom, located: heart.Heart) -> None:
    rng = np.random.default_rng(7)
    noisy = phantom.volume.hu + rng.normal(0, 45, phantom.volume.hu.shape)
    assert Code.NOISY in against(phantom, located, noisy)


def test_one_voxel_of_metal_in_the_envelope_is_seen(phantom: scan.Phantom, located: heart.Heart) -> None:
    hu = phantom.volume.hu.copy()
    hu[tuple(np.argwhere(located.core)[1000])] = 2600
    assert against(phantom, located, hu) == [Code.METAL]


def test_metal_far_from_the_heart_is_no_matter(phantom: scan.Phantom, located: heart.Heart) -> None:
    hu = phantom.volume.hu.copy()
    hu[5, 128, 5] = 3000
    assert against(phantom, located, hu) == []


@pytest.mark.parametrize("shift", [-60, 60, 1024])
def test_shifted_values_are_no_hu(phantom: scan.Phantom, located: heart.Heart, shift: float) -> None:
    assert Code.RESCALE_IMPLAUSIBLE in against(phantom, located, phantom.volume.hu + shift)


def test_scaled_values_are_no_hu(phantom: scan.Phantom, located: heart.Heart) -> None:
    assert Code.RESCALE_IMPLAUSIBLE in against(phantom, located, phantom.volume.hu * 0.5)


def test_values_that_are_no_numbers_are_no_hu(phantom: scan.Phantom, located: heart.Heart) -> None:
    hu = phantom.volume.hu.copy()
    hu[0, 0, 0] = np.nan
    assert Code.RESCALE_IMPLAUSIBLE in against(phantom, located, hu)


def test_a_heart_without_a_core_cannot_be_measured_and_is_refused(phantom: scan.Phantom, located: heart.Heart) -> None:
    hollow = dataclasses.replace(located, core=np.zeros_like(located.core))
    codes = [reason.code for reason in suitability.check_image(phantom.volume, hollow, suitability.Limits())]
    assert codes == [Code.BLOOD_NOT_MEASURED]


def test_a_volume_of_air_is_refused_not_measured(located: heart.Heart, phantom: scan.Phantom) -> None:
    air = volume.Volume(hu=np.full_like(phantom.volume.hu, -1000), spacing=phantom.volume.spacing, thickness=3.0)
    codes = {reason.code for reason in suitability.check_image(air, located, suitability.Limits())}
    assert codes == {Code.RESCALE_IMPLAUSIBLE, Code.BLOOD_NOT_MEASURED}
