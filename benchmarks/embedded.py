"""A whole node as `cac-triage up` runs it, for benchmarks: started, watched over REST, stopped."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import psutil

from triage.dicom import sending

START_SECONDS = 180.0
POLL_SECONDS = 0.1


class Node:
    """Hold a running node, and watch its changes as a worklist would: by asking what moved, ten times a second."""

    def __init__(self, process: subprocess.Popen[bytes], home: pathlib.Path, ports: tuple[int, int]) -> None:
        self.process, self.home = process, home
        self.database = f"sqlite:///{home / 'cac-triage.sqlite'}"
        self.target = sending.Target(aet="CACTRIAGE", host="127.0.0.1", port=ports[0])
        self._address = f"http://127.0.0.1:{ports[1]}"
        self._seen: dict[str, float] = {}
        self._moved = threading.Condition()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="worklist", daemon=True)

    def text(self, path: str) -> str:
        """Return what an address answers; OSError where it does not with 200."""
        with urllib.request.urlopen(self._address + path, timeout=10) as answer:
            return str(answer.read().decode())

    def ready(self) -> bool:
        """Tell whether listener and REST interface take work."""
        try:
            socket.create_connection((self.target.host, self.target.port), timeout=5).close()
            self.text("/health/ready")
        except OSError:
            return False
        return True

    def seen_at(self, study_uid: str, until: float) -> float | None:
        """Wait until a study's flag is no longer pending; return when it was seen so, None after a moment `until`."""
        with self._moved:
            while study_uid not in self._seen:
                if not self._moved.wait(max(until - time.time(), 0)):
                    return None
            return self._seen[study_uid]

    def role(self, name: str) -> int:
        """Return the process number of a role; LookupError where it does not run."""
        for child in psutil.Process(self.process.pid).children():
            if name in child.cmdline():
                return int(child.pid)
        raise LookupError(f"the role {name} does not run")

    def begin(self) -> None:
        """Wait until the node is ready and begin to watch it; RuntimeError where it does not become so."""
        end = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the node did not start: {(self.home / 'log').read_text()[-2000:]}")
            time.sleep(0.2)
        self._watcher.start()

    def end(self) -> None:
        """Stop the node and all its roles."""
        self._stop.set()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._watcher.ident is not None:
            self._watcher.join()

    def _watch(self) -> None:
        since = 0
        while not self._stop.wait(POLL_SECONDS):
            with contextlib.suppress(OSError, ValueError):
                page: Mapping[str, Any] = json.loads(self.text(f"/api/v1/changes?since={since}&limit=500"))
                since, now = page["next"], time.time()
                with self._moved:
                    for item in page["items"]:
                        if item["flag"]["outcome"] != "pending":
                            self._seen.setdefault(item["study_instance_uid"], now)
                    self._moved.notify_all()


@contextlib.contextmanager
def running(home: pathlib.Path, environment: Mapping[str, str]) -> Iterator[Node]:
    """Run `cac-triage up` on free ports of the loopback until the block ends."""
    dicom, rest = _free_port(), _free_port()
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CAC_TRIAGE_")}
    ports = ["--dicom-port", str(dicom), "--http-port", str(rest)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up", "--home", str(home), *ports],
            env={**kept, **environment},
            stdout=log,
            stderr=log,
        )
    node = Node(process, home, (dicom, rest))
    try:
        node.begin()
        yield node
    finally:
        node.end()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
