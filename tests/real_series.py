"""Real CT series for tests, read with pydicom alone; a missing one skips the test by name."""

import functools
import os
import pathlib

import numpy as np
import pydicom
import pytest

from cac import volume

DATA = pathlib.Path(
    os.environ.get("CAC_TRIAGE_TEST_DATA") or pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
)


def path(*parts: str) -> pathlib.Path:
    """Return a path within the data, or skip the test and say what is missing."""
    wanted = DATA.joinpath(*parts)
    if not wanted.exists():
        pytest.skip(f"test data {'/'.join(parts)} is not here")
    return wanted


@functools.lru_cache(maxsize=1)
def load(name: str) -> volume.Volume:
    """Read an axial series as a volume, padding as -1024 HU."""
    images = [pydicom.dcmread(file) for file in sorted(path("series", name).glob("*.dcm"))]
    images.sort(key=lambda image: -float(image.ImagePositionPatient[2]))
    first, last = images[0], images[-1]
    slope, intercept = np.float32(first.RescaleSlope), np.float32(first.RescaleIntercept)
    hu = np.stack([image.pixel_array.astype(np.float32) * slope + intercept for image in images])
    length = float(first.ImagePositionPatient[2]) - float(last.ImagePositionPatient[2])
    rows, columns = (float(mm) for mm in first.PixelSpacing)
    return volume.Volume(
        hu=np.maximum(hu, np.float32(-1024.0)),
        spacing=(length / (len(images) - 1), rows, columns),
        thickness=float(first.SliceThickness),
    )
