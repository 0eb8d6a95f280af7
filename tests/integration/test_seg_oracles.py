"""Independent readers take our SEG: dciodvfy finds no error, dcmqi reads every voxel back, Orthanc stores it."""

import datetime as dt
import gzip
import io
import json
import pathlib
import shutil
import subprocess
import sys
import time

import httpx
import numpy as np
import pydicom
import pytest
import small_ct

from triage.dicom import segmentation

SHAPE = (6, 64, 64)


def _mask() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    # Not symmetric in any axis: a flip or a shift shows.
    mask[2, 10:13, 20:26] = True
    mask[3, 12, 22:24] = True
    mask[4, 50:52, 5] = True
    return mask


def _write(folder: pathlib.Path, mask: np.ndarray, **changes: object) -> tuple[pathlib.Path, list[pathlib.Path]]:
    paths = small_ct.write(small_ct.series(SHAPE[0], **changes), folder / "ct")
    sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    identity = segmentation.Identity(
        series_uid=segmentation.result_uid("series", "1.2", "c", "m"),
        sop_uid=segmentation.result_uid("segmentation", "1.2", "c", "m"),
        created=dt.datetime(2026, 1, 2, 10, 11, 12),  # noqa: DTZ001 - DICOM times are local
        models_hash="0" * 64,
    )
    target = folder / "seg.dcm"
    segmentation.build(sources, mask, identity).save_as(target, enforce_file_format=True)
    return target, paths


def _tool(name: str) -> pathlib.Path:
    tool = pathlib.Path(sys.executable).with_name(name)
    if not tool.exists():
        pytest.skip(f"{name} is not installed")
    return tool


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jürgen"},
        {"PatientName": None, "PatientID": None, "StudyDate": None, "AccessionNumber": None, "StudyID": None},
    ],
    ids=["plain", "Latin-1 name", "no patient tags"],
)
def test_dciodvfy_finds_no_error(tmp_path: pathlib.Path, changes: dict[str, object]) -> None:
    seg, _ = _write(tmp_path, _mask(), **changes)
    told = subprocess.run([_tool("dciodvfy"), "-new", seg], check=False, capture_output=True, text=True, timeout=60)
    assert "Error" not in told.stdout + told.stderr
    assert "Segmentation" in told.stdout + told.stderr


def test_dcmqi_reads_every_voxel_back(tmp_path: pathlib.Path) -> None:
    tool = _tool("segimage2itkimage")
    seg, _ = _write(tmp_path, _mask())
    out = tmp_path / "out"
    out.mkdir()
    command = [tool, "--inputDICOM", seg, "--outputDirectory", out, "-t", "nrrd"]
    told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    (image,) = out.glob("*.nrrd")
    voxels, origin, directions = _nrrd(image)
    assert told.returncode == 0
    assert voxels.sum() == _mask().sum()
    assert _positions(voxels, origin, directions) == _expected()


def test_orthanc_takes_it_over_rest(tmp_path: pathlib.Path, free_port: int) -> None:
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not pathlib.Path(program).exists():
        pytest.skip("Orthanc is not installed")
    seg, _ = _write(tmp_path, _mask())
    folder = str(tmp_path / "orthanc")
    config = {
        "StorageDirectory": folder,
        "IndexDirectory": folder,
        "Plugins": [],
        "HttpPort": free_port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(config))
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, tmp_path / "orthanc.json"], stdout=log, stderr=log)
    try:
        root = f"http://127.0.0.1:{free_port}"
        _wait_for(f"{root}/system", process)
        answer = httpx.post(f"{root}/instances", content=seg.read_bytes(), timeout=30).json()
        stored = pydicom.dcmread(io.BytesIO(httpx.get(f"{root}/instances/{answer['ID']}/file", timeout=30).content))
        assert answer["Status"] == "Success"
        assert stored.PixelData == pydicom.dcmread(seg).PixelData
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url, timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("Orthanc did not answer")


def _expected() -> set[tuple[float, ...]]:
    """Return the LPS positions of the mask's voxels, by small_ct's own geometry."""
    return {(-100.0 + 0.5 * c, -100.0 + 0.5 * r, 3.0 * k) for k, r, c in np.argwhere(_mask())}


def _positions(voxels: np.ndarray, origin: np.ndarray, directions: np.ndarray) -> set[tuple[float, ...]]:
    found = np.argwhere(voxels)  # in the file's axis order
    return {tuple(round(float(v), 3) + 0.0 for v in origin + index @ directions) for index in found}


def _nrrd(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a NRRD: voxels with axes in the file's order (fastest first), origin and directions (axis, xyz) in LPS."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    assert fields["space"] == "left-posterior-superior"
    types = {"short": "<i2", "unsigned char": "u1", "unsigned short": "<u2"}
    raw = gzip.decompress(body) if fields["encoding"] == "gzip" else body
    sizes = [int(size) for size in fields["sizes"].split()]
    voxels = np.frombuffer(raw, types[fields["type"]]).reshape(sizes, order="F") > 0
    vectors = [[float(v) for v in part.strip("()").split(",")] for part in fields["space directions"].split()]
    origin = np.array([float(v) for v in fields["space origin"].strip("()").split(",")])
    return voxels, origin, np.array(vectors)
