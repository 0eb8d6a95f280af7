import concurrent.futures
import contextlib
import logging
import os
import pathlib
import socket
import threading
from collections.abc import Iterator

import listening
import pydicom
import pytest
import small_ct
import structlog
from pydicom import uid

from triage import logs, spool
from triage.dicom import sending

CT = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)
SR = (uid.BasicTextSRStorage, uid.ExplicitVRLittleEndian)


@pytest.fixture
def node(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as running:
        yield running


def _store(node: listening.Node, *images: pydicom.Dataset) -> list[int]:
    peer = listening.associate(node.receiver.port, CT, SR)
    statuses = [peer.send_c_store(image).Status for image in images]
    peer.release()
    return statuses


def _send_raw(node: listening.Node, path: pathlib.Path, body: bytes, **meta: str) -> int:
    """Send any bytes as a data set under a CT image's command."""
    image = small_ct.slice_of_ct()
    for keyword, value in meta.items():
        setattr(image.file_meta, keyword, value)
    path.write_bytes(spool.Content.of_file(small_ct.to_bytes(image)).head + body)
    peer = listening.associate(node.receiver.port, CT)
    status = peer.send_c_store(path).Status
    peer.release()
    return status


def test_success_means_a_file_as_received_and_a_row(tmp_path, database_url):
    paths = small_ct.write(small_ct.series(3), tmp_path / "in")
    with listening.node(tmp_path, database_url) as node:
        report = sending.send(paths, node.target)
        assert (report.sent, report.failed) == (3, ())
        for path, kept in zip(paths, node.files(), strict=True):
            assert spool.Content.of_file(kept.read_bytes()).body == spool.Content.of_file(path.read_bytes()).body
            assert kept.name == f"{pydicom.dcmread(path).SOPInstanceUID}.dcm"
        assert node.arriving()[f"{small_ct.STUDY}.1"].images == 3


def test_the_same_image_again_changes_nothing(node):
    image = small_ct.slice_of_ct()
    assert _store(node, image) == [0]
    (file,) = node.files()
    before = (file.stat().st_ino, file.stat().st_mtime_ns, node.arriving()[image.SeriesInstanceUID].content_version)
    assert _store(node, image, image) == [0, 0]
    assert node.files() == [file]
    after = (file.stat().st_ino, file.stat().st_mtime_ns, node.arriving()[image.SeriesInstanceUID].content_version)
    assert after == before


def test_another_image_under_the_same_uid_is_kept_aside_and_the_first_stays(tmp_path, database_url):
    first, second = (
        small_ct.slice_of_ct(0),
        small_ct.slice_of_ct(1, SOPInstanceUID=small_ct.slice_of_ct(0).SOPInstanceUID),
    )
    with listening.node(tmp_path, database_url) as node:
        assert _store(node, first) == [0]
        kept = node.files()[0].read_bytes()
        assert _store(node, second, second) == [0, 0]
        assert node.files()[0].read_bytes() == kept
        assert [spool.is_aside(path) for path in node.spool.walk()] == [False, True]
        snapshot = node.arriving()[first.SeriesInstanceUID]
        assert (snapshot.images, snapshot.aside) == (1, 1)


def test_a_uid_reused_in_another_series_does_not_count_there_as_an_image(node):
    first = small_ct.slice_of_ct(0)
    second = small_ct.slice_of_ct(0, series=f"{small_ct.STUDY}.2", SOPInstanceUID=first.SOPInstanceUID)
    assert _store(node, first, second) == [0, 0]
    assert len(node.files()) == 2
    other = node.arriving()[second.SeriesInstanceUID]
    assert (other.images, other.aside) == (0, 1)


def test_garbage_gets_a_failure_status_and_leaves_nothing(node, tmp_path):
    assert 0xC000 <= _send_raw(node, tmp_path / "raw", b"garbage" * 100) < 0xD000
    assert 0xC000 <= _send_raw(node, tmp_path / "raw", b"\xff" * 1000) < 0xD000
    assert node.files() == []
    assert node.arriving() == {}


def test_an_image_after_a_refused_one_is_taken_on_the_same_association(node, tmp_path):
    bad = small_ct.slice_of_ct(0)
    del bad.SeriesInstanceUID
    statuses = _store(node, bad, small_ct.slice_of_ct(1))
    assert 0xC000 <= statuses[0] < 0xD000
    assert statuses[1] == 0


def test_a_data_set_that_is_not_what_the_command_says_is_refused(node, tmp_path):
    body = spool.Content.of_file(small_ct.to_bytes(small_ct.slice_of_ct(5))).body
    assert _send_raw(node, tmp_path / "raw", body) == 0xA900
    other = small_ct.slice_of_ct(SOPClassUID=uid.MRImageStorage)
    assert _send_raw(node, tmp_path / "raw", spool.Content.of_file(small_ct.to_bytes(other)).body) == 0xA900
    assert node.files() == []


@pytest.mark.parametrize("evil", ["../../../../tmp/evil", "/etc/evil", "..", "1.2.3\\..\\4", "1.2/3"])
def test_a_uid_that_is_a_path_is_refused_and_touches_no_file(node, tmp_path, evil):
    before = sorted(tmp_path.rglob("*.dcm"))
    image = small_ct.slice_of_ct()
    body = spool.Content.of_file(small_ct.to_bytes(image)).body
    old = image.SeriesInstanceUID.encode()
    text = evil.encode().ljust(len(old), b"\0")[: max(len(old), len(evil))]
    needle = b"\x20\x00\x0e\x00UI"
    start = body.index(needle) + len(needle)
    length = int.from_bytes(body[start : start + 2], "little")
    text += b"\0" * (len(text) % 2)
    body = body[:start] + len(text).to_bytes(2, "little") + text + body[start + 2 + length :]
    assert 0xC000 <= _send_raw(node, tmp_path / "raw", body) < 0xD000
    assert sorted(tmp_path.rglob("*.dcm")) == before


def test_a_disk_nearly_full_refuses_before_accepting_and_recovers_by_itself(tmp_path):
    margin = 512 << 20
    free = spool.Spool(tmp_path / "spool").free_bytes()
    if free < 4 * margin:
        pytest.skip("this test needs 2 GiB of free disk")
    with listening.node(tmp_path, listening.sqlite(tmp_path), min_free_bytes=free - margin) as node:
        ballast = tmp_path / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * margin)
        assert _store(node, small_ct.slice_of_ct()) == [0xA700]
        assert node.files() == []
        ballast.unlink()
        assert _store(node, small_ct.slice_of_ct()) == [0]


def test_a_spool_that_cannot_be_written_is_never_success(node):
    (node.spool.root / small_ct.STUDY).write_bytes(b"a file where the study's folder must be")
    assert _store(node, small_ct.slice_of_ct()) == [0xA700]
    (node.spool.root / small_ct.STUDY).unlink()
    assert _store(node, small_ct.slice_of_ct()) == [0]


def test_without_a_database_receiving_goes_on_and_leaves_a_marker(tmp_path):
    nowhere = f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'node.sqlite'}"
    with listening.node(tmp_path, nowhere) as node:
        assert _store(node, *small_ct.series(3)) == [0, 0, 0]
        assert len(node.files()) == 3
        assert sorted(node.spool.unnoted()) == list(node.spool.walk())


def test_objects_other_than_ct_are_kept_without_a_vote(node):
    report = small_ct.slice_of_ct(SOPClassUID=uid.BasicTextSRStorage, Modality="SR")
    del report.PixelData
    assert _store(node, report) == [0]
    snapshot = node.arriving()[report.SeriesInstanceUID]
    assert (snapshot.images, snapshot.other) == (0, 1)


def test_a_site_can_refuse_objects_other_than_ct(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path), refuse_non_ct=True) as node:
        peer = listening.associate(node.receiver.port, CT, SR)
        assert [context.abstract_syntax for context in peer.accepted_contexts] == [uid.CTImageStorage]
        peer.release()


def test_a_ct_image_without_its_pixels_is_kept_and_marked(node):
    image = small_ct.slice_of_ct()
    del image.PixelData
    assert _store(node, image) == [0]
    snapshot = node.arriving()[image.SeriesInstanceUID]
    assert (snapshot.images, snapshot.unreadable) == (0, 1)


def test_explicit_little_endian_is_preferred_and_implicit_taken_last(node):
    import pynetdicom

    entity = pynetdicom.AE()
    offers = [uid.ImplicitVRLittleEndian, uid.JPEG2000Lossless, uid.ExplicitVRLittleEndian]
    entity.add_requested_context(uid.CTImageStorage, offers)
    entity.add_requested_context(uid.EnhancedCTImageStorage, offers[:2])
    peer = entity.associate("127.0.0.1", node.receiver.port)
    chosen = {context.abstract_syntax: context.transfer_syntax[0] for context in peer.accepted_contexts}
    peer.release()
    assert chosen[uid.CTImageStorage] == uid.ExplicitVRLittleEndian
    assert chosen[uid.EnhancedCTImageStorage] == uid.JPEG2000Lossless


def test_an_association_counts_as_open_until_it_is_released(node):
    image = small_ct.slice_of_ct()
    peer = listening.associate(node.receiver.port, CT)
    assert peer.send_c_store(image).Status == 0
    assert node.arriving()[image.SeriesInstanceUID].open_associations == 1
    peer.release()
    listening.until(lambda: node.arriving()[image.SeriesInstanceUID].open_associations == 0)
    assert not node.arriving()[image.SeriesInstanceUID].aborted


@pytest.mark.parametrize("how", ["abort", "hang up"])
def test_a_broken_association_is_closed_as_aborted_and_leaves_no_thread(node, how):
    threads = set(threading.enumerate())
    peer = listening.associate(node.receiver.port, CT)
    image = small_ct.slice_of_ct()
    assert peer.send_c_store(image).Status == 0
    with peer.dul.socket.socket as wire:
        if how == "abort":
            peer.abort()
        else:
            wire.shutdown(socket.SHUT_RDWR)
        listening.until(lambda: node.arriving()[image.SeriesInstanceUID].aborted)
        assert node.arriving()[image.SeriesInstanceUID].open_associations == 0
        listening.until(lambda: set(threading.enumerate()) <= threads)


def _served(node: listening.Node) -> bool:
    peer = listening.associate(node.receiver.port, CT)
    served = peer.is_established and peer.send_c_store(small_ct.slice_of_ct()).Status == 0
    peer.release()
    return served


def test_probes_that_connect_and_leave_hold_neither_threads_nor_places(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path), max_associations=2) as node:
        threads = set(threading.enumerate())
        for _ in range(20):
            socket.create_connection(("127.0.0.1", node.receiver.port)).close()
        # Far sooner than the 10 s after which a silent connection is dropped.
        listening.until(lambda: _served(node), seconds=5)
        listening.until(lambda: set(threading.enumerate()) <= threads, seconds=5)


def test_more_associations_than_allowed_are_rejected_for_now(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path), max_associations=1) as node:
        first = listening.associate(node.receiver.port, CT)
        second = listening.associate(node.receiver.port, CT)
        assert (first.is_established, second.is_rejected) == (True, True)
        first.release()


def test_senders_racing_for_one_uid_lose_no_image(node):
    sop = small_ct.slice_of_ct(0).SOPInstanceUID
    images = [small_ct.slice_of_ct(number % 4, SOPInstanceUID=sop) for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda image: _store(node, image), images))
    assert statuses == [[0]] * 8
    names = list(node.spool.walk())
    assert [spool.is_aside(name) for name in names] == [False, True, True, True]
    snapshot = node.arriving()[images[0].SeriesInstanceUID]
    assert (snapshot.images, snapshot.aside) == (1, 3)


@pytest.mark.filterwarnings("ignore:Invalid value")  # the sender's own
def test_no_patient_data_reaches_the_log(tmp_path, capfd):
    secret = {"PatientName": "Geheim^Name", "PatientID": "GEHEIM77", "PatientBirthDate": "19010203X"}
    with _logging_everything(), listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        bad = small_ct.slice_of_ct(1, **secret)
        del bad.SeriesInstanceUID
        assert _store(node, small_ct.slice_of_ct(0, **secret)) == [0]
        _store(node, bad)
    written = capfd.readouterr()
    assert "refused" in written.err
    for word in ("Geheim", "GEHEIM", "1901"):
        assert word not in written.err + written.out


@contextlib.contextmanager
def _logging_everything() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("DEBUG")
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
