"""Receivers to be measured, each started fresh on a free loopback port: this node, DCMTK's storescp, Orthanc."""

import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

NAMES = {
    "synced": "cac-triage",
    "two": "cac-triage, two listeners on the port",
    "unsynced": "cac-triage, syncing off (not a setting)",
    "storescp-nodelay": "DCMTK storescp, TCP_NODELAY=1 (does not sync)",
    "orthanc-nodelay": "Orthanc, TCP_NODELAY=1",
    "orthanc": "Orthanc, as shipped",
}
AE_TITLE = "CACTRIAGE"
READY_SECONDS = 60.0
ROOT = pathlib.Path(__file__).resolve().parents[1]
_UNSYNCED = """
import os, sys
os.fsync = os.fdatasync = lambda descriptor: None
from triage.db import session
prepare = session._prepare_sqlite
def unsynced(connection, record):
    prepare(connection, record)
    connection.execute("PRAGMA synchronous=OFF")
session._prepare_sqlite = unsynced
from cli import main
sys.argv[1:] = ["listen", "--lifeline"]
main.app()
"""
_HOG = """
import numpy
a = numpy.random.default_rng(1).random((700, 700), dtype="float32")
while True:
    a = a @ a
    a /= abs(a).max()
"""


class Peer:
    """Hold a running receiver: where it listens, where it keeps files, its process."""

    def __init__(self, kind: str, port: int, kept: pathlib.Path, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self._kind, self._kept = kind, kept
        self._process = psutil.Process(process.pid)

    def kept(self) -> int:
        """Count the objects that lie in its folder."""
        if self._kind.startswith("orthanc"):  # by content, two levels of folders; those of CT images alone
            return sum(path.stat().st_size > 100_000 for path in self._kept.glob("*/*/*"))
        ours = self._kind in ("synced", "two", "unsynced")
        return sum(1 for path in self._kept.rglob("*.dcm" if ours else "CT*") if path.is_file())

    def processor_seconds(self) -> float:
        """Return the processor time it and its children have used."""
        return sum(sum(one.cpu_times()[:2]) for one in self._all())

    def resident_mib(self) -> float:
        """Return the resident memory of it and its children, in MiB."""
        return sum(float(one.memory_info().rss) for one in self._all()) / (1 << 20)

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


def there(kind: str) -> bool:
    """Tell whether a receiver, and the sender, are installed."""
    needed = {"storescp": "storescp", "orthanc": "Orthanc"}.get(kind.split("-")[0], "dcmsend")
    if kind == "two" and (os.cpu_count() or 1) < 2:
        return False
    found = program(needed) is not None
    if not found:
        say(f"{NAMES[kind]} is left out: {needed} is not installed (make peers).")
    return found


def program(name: str) -> str | None:
    """Find a peer's program: DCMTK's own, for pynetdicom installs scripts of the same names beside Python."""
    return shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin")


@contextlib.contextmanager
def running(kind: str, folder: pathlib.Path) -> Iterator[Peer]:
    """Start a receiver with an empty folder, wait until it accepts, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command, environment, kept = _command(kind, folder, port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**_clean(), **environment},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, port, folder / "log")
        yield Peer(kind, port, kept, process)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """Compute without end in processes of their own, as a worker does, niced as little."""
    started = [subprocess.Popen([sys.executable, "-c", _HOG], env=_clean()) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def machine() -> str:
    """Describe this machine in a line."""
    memory = psutil.virtual_memory().total / (1 << 30)
    load = os.getloadavg()[0]
    cores = os.cpu_count()
    return f"{cores} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, load {load:.1f} at the end."


def say(text: str) -> None:
    """Report progress on standard error."""
    print(text, file=sys.stderr, flush=True)


def _command(kind: str, folder: pathlib.Path, port: int) -> tuple[list[str], dict[str, str], pathlib.Path]:
    """Return how a receiver is started, in which environment, and where it keeps objects."""
    kept = folder / "kept"
    kept.mkdir()
    nodelay = {"TCP_NODELAY": "1"} if kind.endswith("-nodelay") else {}  # read by DCMTK, which Orthanc is built on
    if kind.startswith("storescp"):
        start = [str(program("storescp")), "--fork", "--max-pdu", "131072", "--output-directory", str(kept)]
        return [*start, "--aetitle", AE_TITLE, str(port)], nodelay, kept
    if kind.startswith("orthanc"):
        return [str(program("Orthanc")), str(_orthanc(folder, kept, port))], nodelay, kept
    home = folder / "home"
    environment = {
        "CAC_TRIAGE_HOME": str(home),
        "CAC_TRIAGE_DICOM_PORT": str(port),
        "CAC_TRIAGE_MIN_FREE_BYTES": "0",
        "CAC_TRIAGE_LOG_LEVEL": "WARNING",
        "CAC_TRIAGE_LISTENERS": "2" if kind == "two" else "1",
    }
    upgrade = [sys.executable, "-m", "cli.main", "db", "upgrade"]
    subprocess.run(upgrade, env={**_clean(), **environment}, cwd=ROOT, check=True, capture_output=True)
    start = ["-c", _UNSYNCED] if kind == "unsynced" else ["-m", "cli.main", "listen", "--lifeline"]
    return [sys.executable, *start], environment, home / "spool"


def _orthanc(folder: pathlib.Path, kept: pathlib.Path, port: int) -> pathlib.Path:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        http = int(probe.getsockname()[1])
    config = {
        "StorageDirectory": str(kept),
        "IndexDirectory": str(kept),
        "Plugins": [],
        "HttpPort": http,
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(config))
    return path


def _clean() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CAC_TRIAGE_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def _wait(process: subprocess.Popen[bytes], port: int, log: pathlib.Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"the receiver does not accept: {log.read_text(errors='replace')[-2000:]}")
