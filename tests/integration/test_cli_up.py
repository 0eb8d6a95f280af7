"""The whole node as `cac-triage up` runs it: real processes, sockets and signals."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import listening
import psutil
import pytest
import small_ct
from test_cli import cli, free_port

from triage.dicom import sending


class Up:
    """Hold a running node of one command."""

    def __init__(self, home: pathlib.Path) -> None:
        self.home, self.dicom_port, self.http_port = home, free_port(), free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CAC_TRIAGE_")}
        ports = ["--dicom-port", str(self.dicom_port), "--http-port", str(self.http_port)]
        with (home / "log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up", "--home", str(home / "node"), *ports],
                env={**kept, "CAC_TRIAGE_MIN_FREE_BYTES": "1"},
                stdout=log,
                stderr=log,
            )
        listening.until(lambda: self.log().count("Ctrl-C stops") or self.process.poll() is not None, 90)
        assert self.process.poll() is None, self.log()
        self.roles = psutil.Process(self.process.pid).children(recursive=True)

    def log(self) -> str:
        return (self.home / "log").read_text()

    def get(self, path: str):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
            return json.load(answer)

    def role(self, name: str) -> psutil.Process | None:
        """Return the process of a role, None where it does not run."""
        for child in psutil.Process(self.process.pid).children():
            if child.status() != psutil.STATUS_ZOMBIE and name in child.cmdline():
                return child
        return None


@contextlib.contextmanager
def _running(home: pathlib.Path) -> Iterator[Up]:
    node = Up(home)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.process.terminate()
            node.process.wait(40)


@pytest.fixture
def up(tmp_path):
    with _running(tmp_path) as node:
        yield node


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A node for the tests that leave it as it is."""
    with _running(tmp_path_factory.mktemp("shared")) as node:
        yield node


def _gone(processes: list[psutil.Process], seconds: float = 40) -> bool:
    deadline = time.monotonic() + seconds
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in _alive(processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running()]


def test_a_study_sent_to_the_node_gets_its_end(shared, tmp_path):
    paths = small_ct.write(small_ct.series(8), tmp_path / "ct")
    target = sending.Target(aet="CACTRIAGE", host="127.0.0.1", port=shared.dicom_port)
    assert sending.send(paths, target).sent == 8
    flag = lambda: shared.get(f"/api/v1/studies/{small_ct.STUDY}/flag")["flag"]  # noqa: E731
    listening.until(lambda: flag()["outcome"] != "pending", 90)
    assert (flag()["priority"], flag()["outcome"]) == ("routine", "unsuitable")
    with urllib.request.urlopen(f"http://127.0.0.1:{shared.http_port}/metrics", timeout=10) as answer:
        assert "\ncac_triage_agreed 1\n" in answer.read().decode()
    told = cli("worklist", "--url", f"http://127.0.0.1:{shared.http_port}", home=tmp_path)
    assert "unsuitable" in told.stdout
    for role in ("listener", "api", "assembler"):
        ports = {"dicom_port": shared.dicom_port, "http_port": shared.http_port}
        told = cli("doctor", "--role", role, home=shared.home / "node", **ports)
        assert told.returncode == 0, told.stdout


def test_sigterm_stops_every_role(up):
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(40) == 0
    assert _gone(up.roles, 1)


def test_killing_the_node_leaves_no_role_running(up):
    up.process.kill()
    up.process.wait()
    assert _gone(up.roles)


def test_a_role_that_dies_is_started_again(shared):
    listener = shared.role("listen")
    assert listener is not None
    listener.kill()
    listening.until(lambda: (again := shared.role("listen")) is not None and again.pid != listener.pid, 30)


def test_a_second_node_in_the_same_home_is_refused(shared, tmp_path):
    told = cli("up", "--home", shared.home / "node", "--dicom-port", 0, "--http-port", 0, home=tmp_path)
    assert told.returncode == 1
    assert "Another node runs in" in told.stderr


def test_a_taken_port_is_said_before_anything_starts(shared, tmp_path):
    told = cli("up", "--dicom-port", shared.dicom_port, "--http-port", 0, home=tmp_path / "other")
    assert told.returncode == 1
    assert "choose another with --dicom-port" in told.stderr
