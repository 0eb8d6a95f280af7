"""The header alone says whether a series may be judged, and names every reason against it."""

import dataclasses
import math

import numpy as np
import pytest

from cac import header, reasons, suitability, volume

Code = reasons.ReasonCode
LIMITS = suitability.Limits()
GOOD = header.Header(
    modality="CT",
    sop_class_uid=header.CT_IMAGE,
    image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
    kvp=120.0,
    kernel="Qr36d\\3",
    thickness=3.0,
    contrast_agent=None,
    lossy=False,
    rescale_present=True,
    rescale_type="HU",
    description="Calcium score",
)


def against(**changes: object) -> list[reasons.ReasonCode]:
    return [reason.code for reason in header.check_header(dataclasses.replace(GOOD, **changes), LIMITS)]


def test_a_calcium_scoring_header_is_suitable() -> None:
    assert against() == []


def test_every_reason_is_named_not_only_the_first() -> None:
    assert against(kvp=140.0, kernel="B70f", thickness=8.0, lossy=True) == [
        Code.KVP_NOT_120,
        Code.KERNEL_NOT_LISTED,
        Code.THICK_SLICES,
        Code.LOSSY,
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modality": "MR"}, Code.NOT_CT),
        ({"modality": None}, Code.NOT_CT),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, Code.NOT_CT),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2.1"}, Code.ENHANCED_CT),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, Code.LOCALIZER),
        ({"description": "Topogram 0.6"}, Code.LOCALIZER),
        ({"image_type": ()}, Code.DERIVED),
        ({"image_type": ("DERIVED", "SECONDARY", "AXIAL")}, Code.DERIVED),
        ({"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "MIP")}, Code.DERIVED),
        ({"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 MPR")}, Code.DERIVED),
        ({"image_type": ("ORIGINAL", "PRIMARY", "PROJECTION IMAGE")}, Code.DERIVED),
        ({"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "MONOENERGETIC")}, Code.DERIVED),
        ({"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "MONO_E")}, Code.DERIVED),
        ({"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "VNC")}, Code.DERIVED),
        ({"description": "Heart MonoE 70keV"}, Code.DERIVED),
        ({"kvp": None}, Code.KVP_ABSENT),
        ({"kvp": 0.0}, Code.KVP_ABSENT),
        ({"kvp": 140.0}, Code.KVP_NOT_120),
        ({"kvp": math.nan}, Code.KVP_NOT_120),
        ({"kernel": None}, Code.KERNEL_ABSENT),
        ({"kernel": " "}, Code.KERNEL_ABSENT),
        ({"kernel": "FC51"}, Code.KERNEL_NOT_LISTED),
        ({"thickness": None}, Code.THICKNESS_ABSENT),
        ({"thickness": 0.0}, Code.THICKNESS_ABSENT),
        ({"thickness": 3.75}, Code.THICK_SLICES),
        ({"contrast_agent": "IV"}, Code.CONTRAST_TAG),
        ({"contrast_agent": "APPLIED"}, Code.CONTRAST_TAG),
        ({"lossy": True}, Code.LOSSY),
        ({"rescale_present": False}, Code.RESCALE_ABSENT),
        ({"rescale_type": "US"}, Code.RESCALE_ABSENT),
    ],
)
def test_one_wrong_value_is_one_reason(changes: dict[str, object], code: reasons.ReasonCode) -> None:
    assert against(**changes) == [code]


@pytest.mark.parametrize(
    "changes",
    [
        {"image_type": ("ORIGINAL", "SECONDARY", "AXIAL")},
        {"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI")},
        {"image_type": ("ORIGINAL", "PRIMARY", "AXIAL", "HELIX")},
        {"kvp": 120.4},
        {"thickness": 3.5},
        {"contrast_agent": "NONE"},
        {"contrast_agent": " no "},
        {"rescale_type": None},
        {"description": None},
    ],
)
def test_harmless_variants_pass(changes: dict[str, object]) -> None:
    assert against(**changes) == []


@pytest.mark.parametrize(
    "kernel",
    ["B30f", "b35f", "B35s", "B36f", "Qr36", "Qr36d\\3", "['I30f', '3']", "STANDARD", "soft", "FC03", "FC12", "B"],
)
def test_soft_and_medium_kernels_are_listed(kernel: str) -> None:
    assert header.is_soft(kernel, LIMITS.kernels)


@pytest.mark.parametrize(
    "kernel",
    ["B40f", "B70f", "Qr44d\\3", "FC51", "FC14", "LUNG", "BONEPLUS", "C", "D", "I70f\\3", "B35f\\LUNG", "3", "B3"],
)
def test_other_kernels_are_not(kernel: str) -> None:
    assert not header.is_soft(kernel, LIMITS.kernels)


def geometry(increment: float, thickness: float) -> list[reasons.ReasonCode]:
    empty = volume.Volume(hu=np.zeros((2, 2, 2), np.float32), spacing=(increment, 0.5, 0.5), thickness=thickness)
    return [reason.code for reason in suitability.check_geometry(empty, LIMITS)]


@pytest.mark.parametrize(
    ("increment", "thickness", "expected"),
    [
        (3.0, 3.0, []),
        (1.5, 3.0, []),
        (3.03, 3.0, []),
        (3.2, 3.0, [Code.INCREMENT_GAP]),
        (5.0, 5.0, [Code.THICK_SLICES]),
        (8.0, 5.0, [Code.THICK_SLICES, Code.INCREMENT_GAP]),
        (3.0, math.nan, [Code.THICKNESS_ABSENT]),
        (math.nan, 3.0, [Code.INCREMENT_GAP]),
    ],
)
def test_slices_must_be_thin_and_leave_no_gap(
    increment: float, thickness: float, expected: list[reasons.ReasonCode]
) -> None:
    assert geometry(increment, thickness) == expected
