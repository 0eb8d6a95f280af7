"""What becomes of awkward content: each test is a line of docs/CASES.md.

The nets of these tests answer 0 everywhere: they miss all calcium, so whatever is not `low` here is held back by
the node's own care, not by luck.
"""

import dataclasses

import numpy as np
import pydicom
import pytest
from pydicom import uid

from cac import finding, volume
from cac.phantom import scan
from tests import little_node
from tests.awkward import LOW, SMALL, codes, cropped, edit, ends


@pytest.mark.parametrize(
    ("kept", "reason"), [(slice(22, None), "heart_cut_above"), (slice(None, 24), "heart_cut_below")]
)
def test_a_heart_cut_off_never_becomes_low(node, write, zero, kept, reason):
    node.send(*write(made=cropped(zero, kept)))
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is not LOW
    assert node.only().flag.outcome.value in ("indeterminate", "unsuitable")
    assert codes(node.only()) & {reason, "heart_not_found", "heart_unstable"}


def test_a_single_slice_is_unsuitable(node, write):
    node.send(*edit(write()[:1], lambda image: image.pop("NumberOfSeriesRelatedInstances")))
    ends(node, "unsuitable", "single_slice")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"contrast_agent": "IOMERON 400"}, "contrast_tag"),
        ({"thickness_mm": 8.0}, "thick_slices"),
        ({"kvp": 140.0}, "kvp_not_120"),
        ({"kvp": None}, "kvp_absent"),
        ({"kernel": "B70f"}, "kernel_not_listed"),
        ({"kernel": None}, "kernel_absent"),
        ({"image_type": ("DERIVED", "SECONDARY", "MIP")}, "derived"),
        ({"rescale": False}, "rescale_absent"),
    ],
    ids=["contrast", "8mm", "140kvp", "no-kvp", "sharp-kernel", "no-kernel", "derived", "no-rescale"],
)
def test_a_header_that_forbids_scoring_is_unsuitable(node, write, header, reason):
    node.send(*write(**header))
    ends(node, "unsuitable", reason)


def test_contrast_seen_in_the_image_alone_is_unsuitable(node, write):
    bright = scan.make(agatston=0, seed=11, increment=3.0, mimics=0, style=dataclasses.replace(SMALL, blood=320.0))
    node.send(*write(made=bright))
    ends(node, "unsuitable", "contrast_image")


def test_lossy_compression_by_tag_is_unsuitable(node, write):
    node.send(*edit(write(), lambda image: setattr(image, "LossyImageCompression", "01")))
    ends(node, "unsuitable", "lossy")


def test_what_is_no_heart_is_never_low(node, write, zero):
    legs = np.full_like(zero.volume.hu, -1000.0)
    legs[:, 80:180, 40:110] = legs[:, 80:180, 146:216] = 50.0
    legs[:, 120:140, 65:85] = legs[:, 120:140, 171:191] = 900.0
    made = dataclasses.replace(zero, volume=dataclasses.replace(zero.volume, hu=legs))
    node.send(*write(made=made))
    ends(node, "unsuitable", "heart_not_found")


@pytest.mark.parametrize("intercept", [-24, -2024])
def test_a_wrong_rescale_is_never_low(node, write, intercept):
    node.send(*edit(write(), lambda image: setattr(image, "RescaleIntercept", intercept)))
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is not LOW
    assert node.only().flag.outcome.value == "unsuitable"


class Broken(little_node.ConstantEngine):
    """Answer NaN in one plane, or fail there."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__(0.0)
        self._fails = fails

    def predict(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        answer = super().predict(plane, stack, core)
        if plane is finding.Plane.CORONAL:
            if self._fails:
                raise RuntimeError("no such net")
            answer[:] = np.nan
        return answer


def test_not_a_number_from_a_net_ends_indeterminate(node, write):
    noisy = scan.make(agatston=0, seed=12, increment=3.0, mimics=6, style=SMALL)
    node.use(Broken(fails=False), "n" * 64)
    node.send(*write(made=noisy))
    ends(node, "indeterminate", "non_finite")


def test_one_net_missing_ends_failed(node, write):
    noisy = scan.make(agatston=0, seed=12, increment=3.0, mimics=6, style=SMALL)
    node.use(Broken(fails=True), "n" * 64)
    node.send(*write(made=noisy))
    ends(node, "failed")


def test_a_chest_ct_without_calcium_is_absent_but_keeps_its_place(node, write):
    node.send(*write(study_description="CT CHEST W/O CONTRAST", body_part="CHEST"))
    ends(node, "absent", "not_admitted")


def test_a_truncated_file_is_never_low(node, write):
    paths = write()
    paths[20].write_bytes(paths[20].read_bytes()[:-40_000])
    node.send(*paths)
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is not LOW


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "M\xfcller^J\xf6rg"),
        ("ISO_IR 192", "\u5c71\u7530^\u592a\u90ce"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"),
    ],
    ids=["latin-1", "utf-8", "iso-2022"],
)
def test_odd_character_sets_survive(node, write, charset, name):
    def rename(image: pydicom.Dataset) -> None:
        image.SpecificCharacterSet = charset
        image.PatientName = name

    node.send(*edit(write(), rename))
    node.settle()
    assert node.only().flag.priority is LOW
    assert name in node.only().patient_name


def test_missing_patient_tags_are_no_obstacle(node, write):
    def strip(image: pydicom.Dataset) -> None:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"):
            delattr(image, keyword)

    node.send(*edit(write(), strip))
    node.settle()
    assert node.only().flag.outcome.value == "absent"


def test_an_enhanced_ct_is_kept_and_unsuitable(node, write):
    def enhance(image: pydicom.Dataset) -> None:
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = uid.EnhancedCTImageStorage

    node.send(*edit(write()[:1], enhance))
    ends(node, "unsuitable", "enhanced_ct")
