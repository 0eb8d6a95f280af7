"""The heart is found between the lungs, with room for every artery, or it is said why it cannot be trusted."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from cac import finding, heart, reasons, volume
from cac.phantom import scan

Code = reasons.ReasonCode
WIDE = scan.Style(matrix=256, pixel=1.3, noise=15.0)
SMALL = scan.Style(matrix=256, pixel=0.85, noise=15.0)


@pytest.fixture(scope="module", params=[(0, WIDE), (1, SMALL), (6, SMALL)], ids=["wide", "small", "small again"])
def phantom(request: pytest.FixtureRequest) -> scan.Phantom:
    seed, style = request.param
    return scan.make(agatston=80, seed=seed, increment=3.0, mimics=0, style=style)


@pytest.fixture(scope="module")
def wide() -> scan.Phantom:
    return scan.make(agatston=0, seed=3, increment=3.0, mimics=0, style=WIDE)


def found(native: volume.Volume, profile: finding.Profile = finding.Profile.DEFAULT) -> heart.Heart:
    located = heart.locate(native, profile=profile)
    assert located is not None
    return located


def crop(
    native: volume.Volume, slices: slice = slice(None), rows: slice = slice(None), columns: slice = slice(None)
) -> volume.Volume:
    return dataclasses.replace(native, hu=native.hu[slices, rows, columns])


def doubts(native: volume.Volume) -> list[reasons.ReasonCode]:
    return [doubt.code for doubt in found(native).doubts]


def ends(phantom: scan.Phantom) -> tuple[int, int]:
    seen = np.flatnonzero(phantom.heart.any(axis=(1, 2)))
    return int(seen[0]), int(seen[-1]) + 1


def test_the_envelope_holds_the_heart_and_all_coronary_calcium(phantom: scan.Phantom) -> None:
    envelope = found(phantom.volume).envelope
    assert phantom.truth.any()
    assert not (phantom.truth & ~envelope).any()
    assert (phantom.heart & ~envelope).sum() < 0.005 * phantom.heart.sum()


def test_a_whole_heart_raises_no_doubt(phantom: scan.Phantom) -> None:
    assert doubts(phantom.volume) == []


def test_the_box_holds_the_envelope_and_is_at_least_160_mm_wide(phantom: scan.Phantom) -> None:
    located = found(phantom.volume)
    for axis in (0, 1):
        size = located.box.size_mm[axis]
        assert size >= 160.0
        assert size % 2.0 == 0.0
        seen = np.flatnonzero(located.envelope.any(axis=(0, 2 - axis)))
        reach = np.abs(seen - located.box.centre[axis]).max() * phantom.volume.spacing[axis + 1]
        assert reach <= size / 2 + phantom.volume.spacing[axis + 1]


def test_the_box_names_the_slices_of_the_envelope(phantom: scan.Phantom) -> None:
    located = found(phantom.volume)
    first, last = located.box.slices
    assert located.envelope[first:last].any(axis=(1, 2)).all()
    assert not located.envelope[:first].any()
    assert not located.envelope[last:].any()


def test_the_envelope_lies_12_mm_around_the_core_in_every_direction(wide: scan.Phantom) -> None:
    located = found(wide.volume)
    distance = ndimage.distance_transform_edt(~located.core, sampling=wide.volume.spacing)
    assert located.envelope[distance <= 12.0].all()


def test_the_core_is_heart_and_not_lung_or_liver(wide: scan.Phantom) -> None:
    located = found(wide.volume)
    first, last = ends(wide)
    middle = slice(first + (last - first) // 4, last - (last - first) // 3)
    core, sac = located.core[middle], wide.heart[middle]
    assert (core & sac).sum() > 0.8 * sac.sum()
    assert np.median(wide.volume.hu[located.core]) > 20


def test_reconstruction_padding_changes_nothing(wide: scan.Phantom) -> None:
    located = found(wide.volume)
    rows, columns = np.ogrid[:256, :256]
    outside = (rows - 127.5) ** 2 + (columns - 127.5) ** 2 > 127**2
    padded = found(dataclasses.replace(wide.volume, hu=np.where(outside, np.float32(-3024), wide.volume.hu)))
    assert np.abs(np.subtract(padded.box.centre, located.box.centre)).max() * wide.volume.spacing[1] < 5.0
    assert padded.doubts == ()


def test_a_heart_cut_through_above_is_doubted(wide: scan.Phantom) -> None:
    first, last = ends(wide)
    assert Code.HEART_CUT_ABOVE in doubts(crop(wide.volume, slice(first + (last - first) // 3, None)))


@pytest.mark.parametrize("missing_mm", [0, 15, 40])
def test_a_heart_cut_through_below_is_doubted(wide: scan.Phantom, missing_mm: int) -> None:
    _, last = ends(wide)
    assert Code.HEART_CUT_BELOW in doubts(crop(wide.volume, slice(0, last - missing_mm // 3)))


def test_a_heart_that_leaves_the_field_of_view_sideways_is_doubted(wide: scan.Phantom) -> None:
    centre = found(wide.volume).box.centre
    cut = crop(wide.volume, columns=slice(0, round(centre[1] + 40 / wide.volume.spacing[2])))
    assert Code.HEART_CUT_IN_PLANE in doubts(cut)


def test_a_box_beyond_the_image_is_doubted(wide: scan.Phantom) -> None:
    centre = found(wide.volume).box.centre
    cut = crop(wide.volume, columns=slice(round(centre[1] - 65 / wide.volume.spacing[2]), None))
    assert Code.HEART_CUT_IN_PLANE in doubts(cut)


def test_an_abdomen_has_no_heart() -> None:
    rows, columns = np.ogrid[:128, :128]
    body = ((rows - 64) / 40) ** 2 + ((columns - 64) / 55) ** 2 < 1
    hu = np.broadcast_to(np.where(body, np.float32(45), np.float32(-1000)), (20, 128, 128)).copy()
    assert heart.locate(volume.Volume(hu=hu, spacing=(3.0, 2.5, 2.5), thickness=3.0)) is None


def test_empty_air_has_no_heart() -> None:
    hu = np.full((20, 64, 64), -1000, np.float32)
    assert heart.locate(volume.Volume(hu=hu, spacing=(3.0, 2.5, 2.5), thickness=3.0)) is None


def test_the_paper_profile_crops_320_native_pixels_at_the_same_centre(wide: scan.Phantom) -> None:
    paper = found(wide.volume, finding.Profile.PAPER)
    assert paper.box.size_mm == pytest.approx((320 * wide.volume.spacing[1], 320 * wide.volume.spacing[2]))
    assert paper.box.centre == found(wide.volume).box.centre
