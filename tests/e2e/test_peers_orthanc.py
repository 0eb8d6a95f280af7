import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import listening
import numpy as np
import pydicom
import pytest
import small_ct
from pydicom import uid

SYNTAXES = {
    uid.ExplicitVRLittleEndian: None,
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.RLELossless: "pydicom",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """Talk to a running Orthanc over its REST interface."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"

    def call(self, path: str, data: bytes | None = None) -> object:
        with urllib.request.urlopen(self._root + path, data=data, timeout=30) as answer:
            return json.load(answer)

    def wait(self, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            try:
                self.call("/system")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("Orthanc did not answer")


@pytest.fixture
def orthanc(tmp_path):
    """Start Orthanc knowing one modality, `node`, at a port of our choice; yield it and that port."""
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not pathlib.Path(program).exists():
        pytest.skip("Orthanc is not installed")
    http, dicom, ours = _free_port(), _free_port(), _free_port()
    config = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "Plugins": [],
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {"node": ["CACTRIAGE", "127.0.0.1", ours]},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(config))
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(tmp_path / "orthanc.json")], stdout=log, stderr=log)
    try:
        peer = Orthanc(http)
        peer.wait(process)
        yield peer, ours
    finally:
        process.terminate()
        process.wait(20)


def test_orthanc_stores_series_of_each_transfer_syntax(tmp_path, orthanc):
    peer, port = orthanc
    sent: dict[str, pydicom.Dataset] = {}
    for number, (syntax, plugin) in enumerate(SYNTAXES.items()):
        for image in small_ct.series(4, series=f"{small_ct.STUDY}.{number + 1}"):
            if plugin:
                image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
            peer.call("/instances", small_ct.to_bytes(image))
            sent[image.SOPInstanceUID] = image
    with listening.node(tmp_path, listening.sqlite(tmp_path), port=port) as node:
        for series in peer.call("/series"):
            answer = peer.call("/modalities/node/store", json.dumps({"Resources": [series]}).encode())
            assert answer["FailedInstancesCount"] == 0
        kept = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, node.files())}
        assert kept.keys() == sent.keys()
        for sop_uid, image in sent.items():
            assert kept[sop_uid].file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID
            assert kept[sop_uid].PixelData == image.PixelData
            assert np.array_equal(kept[sop_uid].pixel_array, image.pixel_array)
            assert node.known(sop_uid) is not None
