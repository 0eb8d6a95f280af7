"""Accepted calcium as a DICOM Segmentation (PS3.3 A.51): BINARY, one segment, in the frame of the source images."""

import contextlib
import dataclasses
import datetime as dt
import importlib.metadata
import re
import uuid
import warnings
from collections.abc import Sequence

import highdicom
import numpy as np
import pydicom
from pydicom import uid as dicom_uid
from pydicom import valuerep

from cac import volume
from triage.dicom import codes

PRODUCT = "cac-triage"
SERIES_NUMBER = 9001
_GEOMETRY = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
)
_TEXTS = {
    "PatientName": 64,
    "PatientID": 64,
    "AccessionNumber": 16,
    "StudyID": 16,
    "StudyDescription": 64,
    "ReferringPhysicianName": 64,
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """Name a SEG: its UIDs, the moment it states as its own, and the models that made it."""

    series_uid: str
    sop_uid: str
    created: dt.datetime
    models_hash: str


def result_uid(kind: str, series_uid: str, content_hash: str, models_hash: str) -> str:
    """Derive a UID that is the same whenever the same images meet the same models (PS3.5 B.2)."""
    name = f"{PRODUCT}|{kind}|{series_uid}|{content_hash}|{models_hash}"
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def acquired_at(source: pydicom.Dataset) -> dt.datetime:
    """Return the study's own date and time, the epoch where it has none: the same on every run, unlike a clock."""
    date, time = _date(source.get("StudyDate")), _time(source.get("StudyTime"))
    moment = dt.datetime.combine(
        valuerep.DA(date) if date else dt.date(1970, 1, 1), valuerep.TM(time) if time else dt.time()
    )
    return moment.replace(tzinfo=None)


def build(sources: Sequence[pydicom.Dataset], mask: volume.BoolArray, identity: Identity) -> pydicom.Dataset:
    """Build the SEG of `mask`, bool (frame, row, column) in the order and orientation of `sources`.

    Raises ValueError for a mask without voxels: a negative has no SEG, for an empty one reads as 'did not run'.
    """
    if not mask.any():
        raise ValueError("A mask without voxels makes no segmentation.")
    description = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Coronary artery calcium",
        segmented_property_category=codes.SEGMENT_CATEGORY,
        segmented_property_type=codes.SEGMENT_TYPE,
        algorithm_type="AUTOMATIC",
        algorithm_identification=_algorithm(identity),
        tracking_uid=result_uid("tracking", identity.series_uid, identity.sop_uid, identity.models_hash),
        tracking_id="Coronary artery calcium",
        anatomic_regions=[codes.HEART],
        primary_anatomic_structures=[codes.CORONARY_ARTERY],
    )
    # Its warnings quote the patient's name.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segmentation = _segmentation(sources, mask, description, identity)
    _settle(segmentation, identity)
    return segmentation


def _segmentation(
    sources: Sequence[pydicom.Dataset],
    mask: volume.BoolArray,
    description: highdicom.seg.SegmentDescription,
    identity: Identity,
) -> highdicom.seg.Segmentation:
    return highdicom.seg.Segmentation(
        source_images=_clean(sources),
        pixel_array=mask.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[description],
        series_instance_uid=identity.series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.sop_uid,
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=_version(),
        device_serial_number="0",
        content_label="CORONARY_CALCIUM",
        content_description="Coronary calcium, research only",
        series_description="Coronary calcium (research only)",
        transfer_syntax_uid=dicom_uid.ExplicitVRLittleEndian,
        content_date=identity.created.date(),
        content_time=identity.created.time(),
    )


def _settle(segmentation: pydicom.Dataset, identity: Identity) -> None:
    """Replace what highdicom takes from clock and chance: the same result is the same bytes."""
    segmentation.InstanceCreationDate = valuerep.DA(identity.created.date())
    segmentation.InstanceCreationTime = valuerep.TM(identity.created.time())
    for equipment in segmentation.get("ContributingEquipmentSequence", []):
        equipment.ContributionDateTime = valuerep.DT(identity.created)
    organization = result_uid("dimensions", identity.series_uid, identity.sop_uid, identity.models_hash)
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization


def _algorithm(identity: Identity) -> highdicom.AlgorithmIdentificationSequence:
    return highdicom.AlgorithmIdentificationSequence(
        name=PRODUCT,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=_version(),
        source=PRODUCT,
        parameters={"models": identity.models_hash},
    )


def _version() -> str:
    try:
        return importlib.metadata.version(PRODUCT)
    except importlib.metadata.PackageNotFoundError:
        return "unreleased"


def _clean(sources: Sequence[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Copy what a SEG inherits: scanners leave patient tags out, or fill them with what the standard forbids."""
    frame_of_reference = str(sources[0].get("FrameOfReferenceUID") or "") or result_uid(
        "frame-of-reference", str(sources[0].SeriesInstanceUID), "", ""
    )
    shared = _inherited(sources[0])
    return [_source(source, shared, frame_of_reference) for source in sources]


def _source(source: pydicom.Dataset, shared: pydicom.Dataset, frame_of_reference: str) -> pydicom.Dataset:
    copy = pydicom.Dataset()
    copy.update(shared)
    for name in _GEOMETRY:
        setattr(copy, name, source[name].value)
    copy.SOPClassUID = source.get("SOPClassUID") or dicom_uid.CTImageStorage
    copy.FrameOfReferenceUID = frame_of_reference
    copy.SliceThickness = source.get("SliceThickness") or 0
    copy.Modality = "CT"
    return copy


def _inherited(source: pydicom.Dataset) -> pydicom.Dataset:
    """Return patient and study attributes as Unicode: a character set nobody knows can then break no writer."""
    shared = pydicom.Dataset()
    shared.SpecificCharacterSet = "ISO_IR 192"
    for name, length in _TEXTS.items():
        setattr(shared, name, _text(source, name, length))
    shared.PatientBirthDate = _date(source.get("PatientBirthDate"))
    sex = _text(source, "PatientSex", 16)
    shared.PatientSex = sex if sex in {"M", "F", "O"} else ""
    shared.StudyDate = _date(source.get("StudyDate"))
    shared.StudyTime = _time(source.get("StudyTime"))
    return shared


def _text(source: pydicom.Dataset, name: str, length: int) -> str:
    # pydicom warns of bytes that do not fit the declared character set and replaces them: all that can be done.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = str(source.get(name) or "")
    text = _CONTROL.sub("", text).strip()
    if name in {"PatientName", "ReferringPhysicianName"}:
        return "=".join(part[:length] for part in text.split("=")[:3])
    return text[:length]


def _date(value: object) -> str:
    with contextlib.suppress(ValueError, TypeError):
        return str(valuerep.DA(str(value or ""), auto_format=False) or "")
    return ""


def _time(value: object) -> str:
    with contextlib.suppress(ValueError, TypeError):
        return str(valuerep.TM(str(value or "")) or "")
    return ""
