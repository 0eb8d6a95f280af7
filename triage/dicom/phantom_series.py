"""Phantoms as DICOM: arrays in patient space written as an original axial CT series."""

import dataclasses
import hashlib
import pathlib
from typing import Any, Protocol

import numpy as np
import pydicom
from pydicom import uid

from cac import volume

INTERCEPT = -1024


class Scan(Protocol):
    """Hold a volume in HU and the Agatston score it was made with, as `cac.phantom` gives them."""

    @property
    def volume(self) -> volume.Volume:
        """Return the image."""
        ...

    @property
    def agatston(self) -> float:
        """Return the score that its truth has."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """Hold what the header says beside the geometry; None and '' leave the attribute out or empty.

    `key` and `series_number` enter the UIDs: another key makes another study, another number another series of the
    same study. `thickness_mm` overrides the volume's, `declared` the number of images stated in each of them.
    """

    study_description: str = "CT Cardiac Calcium Scoring"
    series_description: str = "CaScore Qr36"
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = "20260105"
    modality: str = "CT"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    body_part: str = "HEART"
    kvp: float | None = 120.0
    kernel: str | None = "Qr36d"
    contrast_agent: str = ""
    thickness_mm: float | None = None
    rescale: bool = True
    declared: int | None = None
    acquisition_number: int = 1
    series_number: int = 1
    key: str = ""


DEFAULT = Header()


def write_series(scan: Scan, folder: pathlib.Path, *, seed: int, header: Header = DEFAULT) -> list[pathlib.Path]:
    """Write a scan as CT Image Storage objects, one a slice from head to feet, and return their paths.

    Explicit VR Little Endian, signed 16 bits, HU = stored - 1024. The same scan, seed and header give the same
    bytes under the same UIDs (2.25.*, PS3.5 B.2). The folder is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = scan.volume
    study = f"{seed}/{scan.agatston:.3f}/{image.spacing[0]:.4f}/{header.key}"
    common = _common(study, image, seed=seed, header=header)
    stored = np.clip(np.rint(image.hu) - INTERCEPT, -32768, 32767).astype("<i2")
    paths = []
    for index, pixels in enumerate(stored):
        path = folder / f"{header.series_number:02d}-{index + 1:04d}.dcm"
        dataset = _slice(common, index, image, f"{study}/{header.series_number}")
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _common(study: str, image: volume.Volume, *, seed: int, header: Header) -> pydicom.Dataset:
    """Return what all images of the series share."""
    made = pydicom.Dataset()
    thickness = image.thickness if header.thickness_mm is None else header.thickness_mm
    _set(made, _patient_and_study(study, seed, header))
    _set(
        made,
        {
            "Modality": header.modality,
            "SeriesInstanceUID": _uid(f"{study}/{header.series_number}/series"),
            "SeriesNumber": header.series_number,
            "SeriesDescription": header.series_description,
            "SeriesDate": header.study_date,
            "SeriesTime": "101500",
            "BodyPartExamined": header.body_part,
            "PatientPosition": "HFS",
            "NumberOfSeriesRelatedInstances": len(image.hu) if header.declared is None else header.declared,
            "FrameOfReferenceUID": _uid(f"{study}/frame"),
            "PositionReferenceIndicator": "",
            "Manufacturer": "cac-triage",
            "ManufacturerModelName": "phantom",
            "SoftwareVersions": "1",
            "ImageType": list(header.image_type),
            "AcquisitionNumber": header.acquisition_number,
            "AcquisitionDate": header.study_date,
            "AcquisitionTime": "101500",
            "SliceThickness": f"{thickness:.6g}",
            "PixelSpacing": [f"{image.spacing[1]:.10g}", f"{image.spacing[2]:.10g}"],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ScanOptions": "SEQUENCE",
            "GantryDetectorTilt": 0,
            **_reading(header),
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": image.hu.shape[1],
            "Columns": image.hu.shape[2],
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "BurnedInAnnotation": "NO",
            "WindowCenter": 130,
            "WindowWidth": 800,
        },
    )
    return made


def _patient_and_study(study: str, seed: int, header: Header) -> dict[str, Any]:
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": uid.CTImageStorage,
        "PatientName": header.patient_name or f"PHANTOM^SEED {seed}",
        "PatientID": header.patient_id or f"PHANTOM-{seed}",
        "PatientBirthDate": "19600101",
        "PatientSex": "O",
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "Procedural phantom: no person was imaged",
        "StudyInstanceUID": _uid(f"{study}/study"),
        "StudyID": str(seed)[:16],
        "StudyDate": header.study_date,
        "StudyTime": "101500",
        "StudyDescription": header.study_description,
        "AccessionNumber": header.accession_number or f"PH{_digest(study) % 10**10:010d}",
        "ReferringPhysicianName": "",
    }


def _reading(header: Header) -> dict[str, Any]:
    """Return what says how the values were made: left out where the header has None."""
    stated: dict[str, Any] = {}
    if header.kvp is not None:
        stated["KVP"] = f"{header.kvp:g}"
    if header.kernel is not None:
        stated["ConvolutionKernel"] = header.kernel
    if header.contrast_agent:
        stated["ContrastBolusAgent"] = header.contrast_agent
    if header.rescale:
        stated |= {"RescaleSlope": 1, "RescaleIntercept": INTERCEPT, "RescaleType": "HU"}
    return stated


def _slice(common: pydicom.Dataset, index: int, image: volume.Volume, series: str) -> pydicom.Dataset:
    made = pydicom.Dataset()
    made.update(common)
    x, y, z = image.origin
    height = z - index * image.spacing[0]
    _set(
        made,
        {
            "SOPInstanceUID": _uid(f"{series}/{index}"),
            "InstanceNumber": index + 1,
            "ImagePositionPatient": [f"{x:.8g}", f"{y:.8g}", f"{height:.8g}"],
            "SliceLocation": f"{height:.8g}",
        },
    )
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def _set(dataset: pydicom.Dataset, values: dict[str, Any]) -> None:
    for keyword, value in values.items():
        setattr(dataset, keyword, value)


def _uid(text: str) -> str:
    return f"2.25.{_digest(text)}"


def _digest(text: str) -> int:
    """Return 128 bits of a text's SHA-256."""
    return int.from_bytes(hashlib.sha256(f"cac-triage phantom {text}".encode()).digest()[:16], "big")
