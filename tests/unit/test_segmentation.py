"""The SEG says the same whenever it is made, and survives what scanners write into patients' headers."""

import datetime as dt
import io
import warnings

import numpy as np
import pydicom
import pytest
import small_ct
from pydicom import uid

from triage.dicom import segmentation

IDENTITY = segmentation.Identity(
    series_uid=segmentation.result_uid("series", "1.2", "c", "m"),
    sop_uid=segmentation.result_uid("segmentation", "1.2", "c", "m"),
    created=dt.datetime(2026, 1, 2, 10, 11, 12),  # noqa: DTZ001 - DICOM times are local
    models_hash="m" * 64,
)


def _mask(slices: int = 3) -> np.ndarray:
    mask = np.zeros((slices, 64, 64), bool)
    mask[1, 10:12, 20:23] = True
    return mask


def _sources(**changes: object) -> list[pydicom.Dataset]:
    # Through bytes, as a sender's encoding would come: with its own character set.
    sources = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(3):
            buffer = io.BytesIO()
            small_ct.slice_of_ct(number, **changes).save_as(buffer, enforce_file_format=True)
            buffer.seek(0)
            sources.append(pydicom.dcmread(buffer, stop_before_pixels=True))
    return sources


def _read_back(built: pydicom.Dataset) -> tuple[bytes, pydicom.Dataset]:
    buffer = io.BytesIO()
    built.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return buffer.getvalue(), pydicom.dcmread(buffer)


def test_the_same_result_gives_the_same_bytes() -> None:
    first, _ = _read_back(segmentation.build(_sources(), _mask(), IDENTITY))
    again, _ = _read_back(segmentation.build(_sources(), _mask(), IDENTITY))
    assert first == again


def test_the_segment_is_coded_as_calcification_of_the_coronary_arteries() -> None:
    _, built = _read_back(segmentation.build(_sources(), _mask(), IDENTITY))
    (segment,) = built.SegmentSequence
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "18115005"
    assert segment.AnatomicRegionSequence[0].CodeValue == "80891009"
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert built.SegmentationType == "BINARY"
    assert built.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian


def test_a_mask_without_voxels_is_refused() -> None:
    with pytest.raises(ValueError, match="without voxels"):
        segmentation.build(_sources(), np.zeros((3, 64, 64), bool), IDENTITY)


def test_missing_patient_tags_do_not_stop_the_seg() -> None:
    absent = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID", "StudyDate")
    sources = _sources(**dict.fromkeys(absent), SliceThickness=None, FrameOfReferenceUID=None)
    _, built = _read_back(segmentation.build(sources, _mask(), IDENTITY))
    assert built.PatientID == ""
    assert built.FrameOfReferenceUID


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (None, "Doe^Jane"),
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Иванов^Пётр"),
        ("ISO_IR 192", "Øre^Åsa=山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_a_name_in_any_character_set_survives(character_set: object, name: str) -> None:
    sources = _sources(SpecificCharacterSet=character_set, PatientName=name)
    _, built = _read_back(segmentation.build(sources, _mask(), IDENTITY))
    assert str(built.PatientName) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"SpecificCharacterSet": "ISO_IR 999"},
        {"PatientName": "X" * 90},
        {"PatientBirthDate": "about 1960"},
        {"StudyDate": "20261399"},
        {"AccessionNumber": "A" * 40},
        {"StudyTime": "at noon"},
        {"PatientSex": "unknown"},
    ],
    ids=str,
)
def test_forbidden_header_values_do_not_stop_the_seg(changes: dict[str, object]) -> None:
    sources = _sources()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in sources:
            for keyword, value in changes.items():
                element = pydicom.DataElement(keyword, "LO", value)
                source[keyword] = element
        segmentation.acquired_at(sources[0])
    _read_back(segmentation.build(sources, _mask(), IDENTITY))


def test_uids_follow_from_series_content_and_models() -> None:
    names = [("1.2", "c", "m"), ("1.3", "c", "m"), ("1.2", "d", "m"), ("1.2", "c", "n")]
    made = [segmentation.result_uid("series", *name) for name in names]
    assert len(set(made)) == 4
    assert made[0] == segmentation.result_uid("series", "1.2", "c", "m")
    assert all(uid.UID(each).is_valid for each in made)


def test_a_study_without_a_date_has_the_epoch() -> None:
    assert segmentation.acquired_at(pydicom.Dataset()).year == 1970
