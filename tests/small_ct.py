"""Small CT series for tests of the way in: real DICOM files, a few kB each."""

import pathlib

import numpy as np
import pydicom
from pydicom import dataset, uid

STUDY = "1.2.826.0.1.3680043.8.498.1"


def slice_of_ct(
    number: int = 0, *, series: str = f"{STUDY}.1", study: str = STUDY, **changes: object
) -> dataset.Dataset:
    """Build one axial slice of 64 x 64 pixels, 3 mm thick; `changes` are keywords, None deletes one."""
    image = dataset.Dataset()
    image.file_meta = dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    values: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": uid.CTImageStorage,
        "SOPInstanceUID": f"{series}.{number + 1}",
        "StudyDate": "20260102",
        "AcquisitionDate": "20260102",
        "AcquisitionTime": "101112.5",
        "AccessionNumber": "A1",
        "Modality": "CT",
        "StudyDescription": "CT CALCIUM SCORE",
        "SeriesDescription": "3 mm",
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PatientBirthDate": "19600101",
        "BodyPartExamined": "HEART",
        "SliceThickness": 3.0,
        "KVP": 120.0,
        "ConvolutionKernel": "B35f",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "StudyID": "1",
        "AcquisitionNumber": 1,
        "InstanceNumber": number + 1,
        "ImagePositionPatient": [-100.0, -100.0, 3.0 * number],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "FrameOfReferenceUID": f"{study}.9",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 64,
        "Columns": 64,
        "PixelSpacing": [0.5, 0.5],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
        "RescaleType": "HU",
        **changes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(image, keyword, value)
    image.PixelData = pixels(number).tobytes()
    image.file_meta.MediaStorageSOPClassUID = image.get("SOPClassUID", uid.CTImageStorage)
    image.file_meta.MediaStorageSOPInstanceUID = image.get("SOPInstanceUID", "1.2")
    return image


def pixels(number: int) -> np.ndarray:
    """Return slice `number`'s stored values, uint16 (row, column): smooth, noisy, different in each."""
    rows, columns = np.mgrid[:64, :64]
    noise = np.random.default_rng(number).integers(0, 32, (64, 64))
    return (900 + 3 * rows + columns + 7 * number + noise).astype(np.uint16)


def series(count: int = 8, **changes: object) -> list[dataset.Dataset]:
    """Build a series of slices 3 mm apart."""
    return [slice_of_ct(number, **changes) for number in range(count)]


def to_bytes(image: dataset.Dataset) -> bytes:
    """Encode one object as a DICOM file."""
    from io import BytesIO

    stream = BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def write(images: list[dataset.Dataset], folder: pathlib.Path) -> list[pathlib.Path]:
    """Write a series to `0000.dcm` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.dcm" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        pydicom.dcmwrite(path, image, enforce_file_format=True)
    return paths
