import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading

import listening
import pytest
import small_ct
from pydicom import uid

from service import assembler
from triage import domain, rules, settings, spool
from triage.db import arrivals, assembly, session

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEND = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)
LISTENER = """
import pathlib, signal, sys, threading
from service import receiver
from triage import logs, rules, settings, spool
from triage.db import session
logs.configure()
home, url = pathlib.Path(sys.argv[1]), sys.argv[2]
listening = receiver.Listening(port=0, min_free_bytes=0)
site = rules.from_settings(settings.load())
running = receiver.Receiver(session.Database(url), spool.Spool(home / "spool"), site, listening)
running.start()
print(running.port, flush=True)
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
stop.wait()
running.stop()
"""


class Process:
    """A listener in a process of its own, so that it can be traced and killed."""

    def __init__(self, home: pathlib.Path, url: str, *wrapper: str) -> None:
        self._child = subprocess.Popen(
            [*wrapper, sys.executable, "-c", LISTENER, str(home), url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert self._child.stdout
        try:
            self.port = int(self._child.stdout.readline())
        except ValueError:
            self.end(signal.SIGKILL)
            raise

    def end(self, number: int) -> None:
        os.killpg(self._child.pid, number)
        self._child.wait(20)
        assert self._child.stdout
        self._child.stdout.close()


def _strace() -> str:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-o", os.devnull, "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace may not trace here (ptrace is not permitted)")
    return strace


def _calls(trace: pathlib.Path) -> list[tuple[str, str]]:
    """Return (thread, call) in order of completion; a call that strace shows in two halves is joined."""
    calls, begun = [], {}
    for line in trace.read_text(errors="replace").splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
            if call.startswith("sendto"):
                calls.append((thread, call))  # what is on its way counts as sent
        elif match := re.match(r"<\.\.\. \w+ resumed>", call):
            call = begun.pop(thread) + call[match.end() :]
            if not call.startswith("sendto"):
                calls.append((thread, call))
        else:
            calls.append((thread, call))
    return calls


def test_success_is_sent_after_write_sync_rename_folder_sync_and_commit(tmp_path):
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,fdatasync,?rename,renameat,sendto"
    url = listening.sqlite(tmp_path)
    listener = Process(tmp_path, url, _strace(), "-f", "-qq", "-yy", "-s", "400", "-e", calls, "-o", str(trace))
    peer = listening.associate(listener.port, SEND)
    first, second = small_ct.series(2)
    assert peer.send_c_store(first).Status == 0  # opens the association's row, which is another commit
    assert peer.send_c_store(second).Status == 0
    peer.release()
    listener.end(signal.SIGTERM)
    seen = _calls(trace)
    folder = f"/{re.escape(second.StudyInstanceUID)}/{re.escape(second.SeriesInstanceUID)}"
    renamed = (
        rf'rename(at)?\(.*{folder}/(\.[0-9a-f]+\.tmp)", .*{folder}/{re.escape(second.SOPInstanceUID)}\.dcm"\) += 0'
    )
    rename, match = next((at, found) for at, (_, call) in enumerate(seen) if (found := re.match(renamed, call)))
    storing, temporary = seen[rename][0], rf"\(\d+<[^>]*{folder}/{re.escape(match[2])}"
    own = [(at, call) for at, (thread, call) in enumerate(seen) if thread == storing]
    response = next(
        at for at, (_, call) in enumerate(seen) if at > rename and re.match(r'sendto\(\d+<TCP.*?>+, "\\4\\0', call)
    )
    order = [
        rf"write{temporary}",
        rf"fsync{temporary}.*= 0",
        r"rename",
        rf"fsync\(\d+<[^>]*{folder}>\) += 0",
        r"pwrite64\(\d+<[^>]*node\.sqlite-wal>",
        r"f(data)?sync\(\d+<[^>]*node\.sqlite-wal>\) += 0",
    ]
    place = -1
    for step in order:
        place = next((at for at, call in own if at > place and re.match(step, call)), None)
        assert place is not None, f"{step} does not follow in the trace"
    assert place < response


def test_every_acknowledged_image_survives_kill_9_of_the_listener(tmp_path):
    url = listening.sqlite(tmp_path)
    listener = Process(tmp_path, url)
    acknowledged: list[str] = []
    enough = threading.Event()

    def send(part: int) -> None:
        peer = listening.associate(listener.port, SEND)
        with peer.dul.socket.socket:  # pynetdicom lets go of a reset socket without closing it
            for number in range(part, 400, 4):
                image = small_ct.slice_of_ct(number)
                answer = peer.send_c_store(image) if peer.is_established else {}
                if "Status" not in answer:
                    return
                assert answer.Status == 0
                acknowledged.append(image.SOPInstanceUID)
                if len(acknowledged) > 40:
                    enough.set()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(send, part) for part in range(4)]
        assert enough.wait(60)
        listener.end(signal.SIGKILL)
        for sender in senders:
            sender.result(60)
    assert 40 < len(acknowledged) < 400
    _assert_kept(tmp_path, url, acknowledged)


def _assert_kept(home: pathlib.Path, url: str, acknowledged: list[str]) -> None:
    db, files = session.Database(url), spool.Spool(home / "spool")
    site = rules.from_settings(settings.load(home=home))
    ticking = assembler.Assembler(db, files, lambda _: None, site, assembler.Timing(settle=60, quiet=60))
    ticking.tick(domain.utc_now())
    assert assembly.agreed(db, domain.utc_now())
    assert list(files.root.rglob("*.tmp")) == []
    for sop_uid in acknowledged:
        known = arrivals.find(db, sop_uid)
        assert known is not None
        stored = files.find(known.path)
        assert stored is not None
        assert stored.sha256 == known.sha256
    db.dispose()


def test_what_was_cut_off_by_kill_9_can_be_sent_again_whole(tmp_path):
    url = listening.sqlite(tmp_path)
    images = small_ct.series(40)
    first = Process(tmp_path, url)
    peer = listening.associate(first.port, SEND)
    for image in images[:20]:
        assert peer.send_c_store(image).Status == 0
    first.end(signal.SIGKILL)
    listening.until(lambda: not peer.is_established)
    second = Process(tmp_path, url)
    peer = listening.associate(second.port, SEND)
    for image in images:
        assert peer.send_c_store(image).Status == 0
    peer.release()
    second.end(signal.SIGTERM)
    _assert_kept(tmp_path, url, [image.SOPInstanceUID for image in images])
    db = session.Database(url)
    (snapshot,) = assembly.arriving(db, domain.utc_now())
    db.dispose()
    assert (snapshot.images, snapshot.aside, snapshot.aborted) == (40, 0, False)
