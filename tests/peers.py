"""Real DICOM peers for tests, from DCMTK and Orthanc; a missing one skips the test by name (`make peers`)."""

import contextlib
import json
import pathlib
import random
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent import futures

import pydicom
import pytest
import servers
from pydicom import uid

# How each transfer syntax is made: a tool of DCMTK, or a library where DCMTK has no encoder.
TOOLS = {
    uid.ExplicitVRLittleEndian: ["dcmconv", "+te"],
    uid.ImplicitVRLittleEndian: ["dcmconv", "+ti"],
    uid.DeflatedExplicitVRLittleEndian: ["dcmconv", "+td"],
    uid.JPEGLosslessSV1: ["dcmcjpeg", "+e1", "+un"],
    uid.JPEGLossless: ["dcmcjpeg", "+el", "+un"],
    uid.JPEGLSLossless: ["dcmcjpls", "+el", "+un"],
    uid.RLELossless: ["dcmcrle", "+un"],
    uid.JPEG2000Lossless: [],
}
ASSOCIATIONS = 4
SECONDS = 300


def tool(name: str) -> str:
    """Return the path of one of DCMTK's tools."""
    path = pathlib.Path("/usr/bin") / name  # a venv with pynetdicom shadows DCMTK's names
    if not path.exists():
        pytest.skip(f"DCMTK's {name} is not installed (make peers)")
    return str(path)


def encode(paths: Sequence[pathlib.Path], folder: pathlib.Path, syntax: str) -> list[pathlib.Path]:
    """Write copies of the files in another transfer syntax."""
    folder.mkdir(parents=True)
    for path in paths:
        if TOOLS[syntax]:
            subprocess.run([tool(TOOLS[syntax][0]), *TOOLS[syntax][1:], path, folder / path.name], check=True)
        else:
            image = pydicom.dcmread(path)
            image.compress(syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
            image.save_as(folder / path.name)
    return sorted(folder.iterdir())


def shuffled(paths: Sequence[pathlib.Path]) -> list[list[pathlib.Path]]:
    """Deal files in a shuffled order into one part an association."""
    mixed = random.Random(7).sample(list(paths), len(paths))
    return [mixed[part::ASSOCIATIONS] for part in range(ASSOCIATIONS)]


def dcmsend(port: int, *parts: Sequence[pathlib.Path]) -> None:
    """Send each part of the files over an association of its own, all at once, as they are and in their order."""
    # Left to itself, dcmsend decompresses to Explicit LE where the listener prefers that.
    command = [tool("dcmsend"), "-dn", "127.0.0.1", str(port), "-aec", "CACTRIAGE"]
    senders = [subprocess.Popen([*command, *map(str, part)]) for part in parts]
    assert [sender.wait(SECONDS) for sender in senders] == [0] * len(parts)


class Orthanc:
    """Talk to a running Orthanc over its REST interface."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"

    def call(self, path: str, data: bytes | None = None, method: str | None = None) -> object:
        request = urllib.request.Request(self._root + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read() or b"null")

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

    @contextlib.contextmanager
    def holding(self, paths: Sequence[pathlib.Path]) -> Iterator[dict[pathlib.Path, str]]:
        """Keep files in Orthanc until the block ends; give Orthanc's name for each."""
        names = {path: self.call("/instances", path.read_bytes())["ID"] for path in paths}
        try:
            yield names
        finally:
            for series in self.call("/series"):
                self.call(f"/series/{series}", method="DELETE")

    def store(self, port: int, *resources: Sequence[str]) -> None:
        """Store each list of resources to the node at this port over an association of its own, all at once."""
        at = {"AET": "CACTRIAGE", "Host": "127.0.0.1", "Port": port}
        self.call("/modalities/node", json.dumps(at).encode(), method="PUT")
        bodies = [json.dumps({"Resources": list(each)}).encode() for each in resources]
        with futures.ThreadPoolExecutor(len(bodies)) as pool:
            answers = list(pool.map(lambda body: self.call("/modalities/node/store", body), bodies))
        assert [answer["FailedInstancesCount"] for answer in answers] == [0] * len(bodies)

    def send(self, port: int, paths: Sequence[pathlib.Path]) -> None:
        """Send one series whole, by its name, as a person at Orthanc's button would."""
        with self.holding(paths):
            self.store(port, self.call("/series"))

    def send_shuffled(self, port: int, paths: Sequence[pathlib.Path]) -> None:
        """Send images one by one, shuffled, over four associations."""
        with self.holding(paths) as names:
            self.store(port, *([names[path] for path in part] for part in shuffled(paths)))


@contextlib.contextmanager
def orthanc(home: pathlib.Path) -> Iterator[Orthanc]:
    """Run Orthanc until the block ends."""
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not pathlib.Path(program).exists():
        pytest.skip("Orthanc is not installed (make peers)")
    http = servers.free_port()
    config = {
        "StorageDirectory": str(home / "orthanc"),
        "IndexDirectory": str(home / "orthanc"),
        "Plugins": [],
        "HttpPort": http,
        "DicomPort": servers.free_port(),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "ConcurrentJobs": ASSOCIATIONS,
        "OverwriteInstances": True,
    }
    (home / "orthanc.json").write_text(json.dumps(config))
    with (home / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(home / "orthanc.json")], stdout=log, stderr=log)
    try:
        peer = Orthanc(http)
        peer.wait(process)
        yield peer
    finally:
        process.terminate()
        process.wait(20)
