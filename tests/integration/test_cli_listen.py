"""`cac-triage listen` with several listeners on one port: real processes, sockets and signals."""

import contextlib
import os
import subprocess
import sys

import listening
import psutil
import small_ct
from pydicom import uid

from triage import domain
from triage.db import assembly, session

CT = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)


def _listeners(parent: psutil.Process) -> set[psutil.Process]:
    """Return a process's children that accept connections."""
    found = set()
    for child in parent.children():
        with contextlib.suppress(psutil.Error):
            if any(one.status == psutil.CONN_LISTEN for one in child.net_connections("tcp")):
                found.add(child)
    return found


def test_several_listeners_serve_one_port_are_made_good_and_leave_none_behind(tmp_path, free_port):
    url = listening.sqlite(tmp_path)
    settings = {
        "CAC_TRIAGE_HOME": str(tmp_path / "home"),
        "CAC_TRIAGE_DATABASE_URL": url,
        "CAC_TRIAGE_DICOM_PORT": str(free_port),
        "CAC_TRIAGE_LISTENERS": "2",
        "CAC_TRIAGE_MIN_FREE_BYTES": "0",
    }
    process = subprocess.Popen([sys.executable, "-m", "cli.main", "listen"], env={**os.environ, **settings})
    parent = psutil.Process(process.pid)
    try:
        listening.until(lambda: len(_listeners(parent)) == 2, 60)
        killed = next(iter(_listeners(parent)))
        killed.kill()
        listening.until(lambda: len(_listeners(parent) - {killed}) == 2, 60)
        peer = listening.associate(free_port, CT)
        assert [peer.send_c_store(image).Status for image in small_ct.series(3)] == [0, 0, 0]
        peer.release()
        left = _listeners(parent)
    finally:
        process.terminate()
        process.wait(40)
    assert psutil.wait_procs(left, timeout=20)[1] == []
    db = session.Database(url)
    (snapshot,) = assembly.arriving(db, domain.utc_now())
    db.dispose()
    assert snapshot.images == 3


def test_listeners_do_not_share_a_port_that_another_program_has(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path), shared=True) as node:
        taken = {"CAC_TRIAGE_DICOM_PORT": str(node.receiver.port), "CAC_TRIAGE_LISTENERS": "2"}
        home = {"CAC_TRIAGE_HOME": str(tmp_path / "home")}
        ended = subprocess.run(
            [sys.executable, "-m", "cli.main", "listen"],
            env={**os.environ, **home, **taken},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "cannot be used" in ended.stderr
