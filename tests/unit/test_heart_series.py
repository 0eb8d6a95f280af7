"""On real series: whole hearts are found without doubt, cut ones are doubted, and images are judged rightly."""

import dataclasses
import gzip
import re

import numpy as np
import pytest
from scipy import ndimage

from cac import heart, reasons, suitability
from tests import real_series

Code = reasons.ReasonCode
# First and last slice that hold coronary arteries, read off the images.
ARTERIES = {
    "lidc_idri_0002_zero": (130, 205),
    "acrin_nsclc_042_marked_calcium": (66, 90),
    "nlst_101287_calcium_sharp_kernel": (63, 101),
    "lung_pet_ct_dx_A0001_5mm": (32, 50),
    "lung_pet_ct_dx_A0002_8mm": (12, 21),
    "lidc_idri_0001_contrast": (60, 82),
}
# (slice, row, column) of calcium that the data's notes name.
CALCIUM = {
    "acrin_nsclc_042_marked_calcium": ((68, 197, 286), (74, 158, 233)),
    "nlst_101287_calcium_sharp_kernel": ((69, 212, 312), (67, 222, 258), (87, 248, 302)),
}


def judged(name: str) -> tuple[heart.Heart, list[reasons.ReasonCode]]:
    native = real_series.load(name)
    located = heart.locate(native)
    assert located is not None
    return located, [reason.code for reason in suitability.check_image(native, located, suitability.Limits())]


@pytest.mark.parametrize("name", ARTERIES)
def test_a_whole_heart_is_found_in_a_chest(name: str) -> None:
    located, refused = judged(name)
    first, last = ARTERIES[name]
    spacing = real_series.load(name).spacing
    assert located.doubts == ()
    assert located.box.slices[0] <= first - 8 / spacing[0]
    assert located.box.slices[1] > last + 8 / spacing[0]
    assert max(located.box.size_mm) <= 220
    assert (Code.CONTRAST_IMAGE in refused) == (name == "lidc_idri_0001_contrast")
    if name != "lidc_idri_0001_contrast":
        assert refused == []


@pytest.mark.parametrize("name", CALCIUM)
def test_known_calcium_lies_in_the_envelope(name: str) -> None:
    located, _ = judged(name)
    assert all(located.envelope[where] for where in CALCIUM[name])


def test_an_abdomen_has_no_heart() -> None:
    assert heart.locate(real_series.load("totalsegmentator_abdomen_contrast")) is None


@pytest.mark.parametrize(
    ("slices", "code"),
    [
        ((131, 261), Code.HEART_CUT_ABOVE),
        ((150, 261), Code.HEART_CUT_ABOVE),
        ((60, 205), Code.HEART_CUT_BELOW),
        ((60, 180), Code.HEART_CUT_BELOW),
    ],
)
def test_a_real_heart_cut_above_or_below_is_doubted(slices: tuple[int, int], code: reasons.ReasonCode) -> None:
    native = real_series.load("lidc_idri_0002_zero")
    located = heart.locate(dataclasses.replace(native, hu=native.hu[slice(*slices)]))
    assert located is not None
    assert code in [doubt.code for doubt in located.doubts]


def test_a_200_mm_field_of_view_gives_the_same_heart() -> None:
    native = real_series.load("lidc_idri_0002_zero")
    whole = heart.locate(native)
    part = (slice(102, 225), slice(38, 331), slice(138, 431))
    hu = native.hu[part].copy()
    rows, columns = np.ogrid[:293, :293]
    hu[:, (rows - 146) ** 2 + (columns - 146) ** 2 > 146**2] = -1024
    located = heart.locate(dataclasses.replace(native, hu=hu))
    assert whole is not None
    assert located is not None
    assert located.doubts == ()
    core = whole.core[part]
    assert (core & ~located.envelope).sum() < 0.001 * core.sum()


@pytest.mark.parametrize("patient", ["0506", "0909", "0987"])
def test_coronary_calcium_lies_within_12_mm_of_a_drawn_heart(patient: str) -> None:
    data = real_series.path("geometry", "deepcac_lidc_masks", f"LIDC_{patient}.msk.nrrd").read_bytes()
    head, _, body = data.partition(b"\n\n")
    sizes = re.search(rb"sizes: (\d+) (\d+) (\d+)", head)
    assert sizes is not None
    labels = np.frombuffer(gzip.decompress(body), "<i2").reshape([int(size) for size in sizes.groups()[::-1]])
    near = ndimage.find_objects((labels == 1).astype(np.int8))[0]
    distance = ndimage.distance_transform_edt(labels[near] != 1, sampling=(2.5, 0.68, 0.68))
    assert (labels[near] == 3).sum() == (labels == 3).sum()
    assert distance[labels[near] == 3].max() <= 12.0
