"""Receiving while disk, database or sender fail: every sender gets its answer, and Success is never said too early."""

import concurrent.futures
import contextlib
import errno
import os
import socket
import sqlite3
import stat
import struct
import threading
import time
from collections.abc import Iterator

import listening
import pydicom
import pytest
import small_ct
import sqlalchemy as sa
from pydicom import uid
from pynetdicom import association

from service import associations, reconcile
from triage import domain
from triage.db import tables

CT = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)


@pytest.fixture
def node(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as running:
        yield running


@contextlib.contextmanager
def _held(node: listening.Node) -> Iterator[list[str]]:
    """Keep every other writer out; give the list of those that wait, the sign of life apart."""
    waits: list[str] = []

    def begun(connection: sa.Connection) -> None:
        name = threading.current_thread().name
        if connection.get_execution_options().get("triage_write") and name != "listener-heartbeat":
            waits.append(name)

    holder = sqlite3.connect(node.spool.root.parent / "node.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    sa.event.listen(node.db._writer, "begin", begun, insert=True)
    try:
        yield waits
    finally:
        sa.event.remove(node.db._writer, "begin", begun)
        holder.execute("ROLLBACK")
        holder.close()


def _store(node: listening.Node, *images: pydicom.Dataset) -> list[int]:
    peer = listening.associate(node.receiver.port, CT)
    statuses = [peer.send_c_store(image).Status for image in images]
    peer.release()
    return statuses


@pytest.mark.parametrize("aside", [False, True])
def test_a_file_whose_folder_could_not_be_synced_is_no_success_until_it_is(node, monkeypatch, aside):
    image = small_ct.slice_of_ct(0)
    changes = {"SOPInstanceUID": image.SOPInstanceUID} if aside else {}
    assert _store(node, small_ct.slice_of_ct(1, **changes)) == [0]  # the folder is there
    synced = os.fsync

    def failing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "the disk fails")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    assert _store(node, image, image) == [0xA700, 0xA700]
    monkeypatch.setattr(os, "fsync", synced)
    assert _store(node, image) == [0]
    assert len(node.files()) == 2
    assert node.known(image.SOPInstanceUID) is not None


@pytest.mark.parametrize(("known", "most_waits"), [(True, 2), (False, 7)])
def test_a_database_that_hangs_costs_each_sender_one_wait(node, known, most_waits):
    peers = [listening.associate(node.receiver.port, CT) for _ in range(6)]
    images = small_ct.series(12)
    if known:
        assert [peer.send_c_store(image).Status for peer, image in zip(peers, images[6:], strict=True)] == [0] * 6

    def send(peer: association.Association, image: pydicom.Dataset) -> int:
        return peer.send_c_store(image).Status

    with _held(node) as waits, concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(send, peers, images[:6])) == [0] * 6
        assert 1 <= len(waits) <= most_waits
        assert len(node.spool.unnoted()) == 6
    assert reconcile.unnoted(node.db, node.spool, node.rules, domain.utc_now()) == 0
    assert all(node.known(image.SOPInstanceUID) for image in images[:6])
    for peer in peers:
        peer.release()


def test_two_threads_of_one_association_make_one_row(db):
    open_ones = associations.Associations(db, "a listener", domain.utc_now)
    both = threading.Barrier(2)

    def ask(peer: threading.Thread) -> int:
        both.wait(10)
        return open_ones.row_of(peer, "SENDER")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            peer = threading.Thread()
            first, second = [asked.result() for asked in [pool.submit(ask, peer) for _ in range(2)]]
            assert first == second
    open_ones.end_all()
    with db.read() as session:
        rows = session.scalars(sa.select(tables.Association)).all()
        assert len(rows) == 20
        assert all(row.closed_at is not None for row in rows)


def _stall(line: socket.socket) -> None:
    """Begin an image and send no more: its command, and the head of a PDU that does not come."""
    image = small_ct.slice_of_ct(9)
    values = {
        0x0002: image.SOPClassUID.encode() + b"\0" * (len(image.SOPClassUID) % 2),
        0x0100: struct.pack("<H", 1),
        0x0110: struct.pack("<H", 7),
        0x0800: struct.pack("<H", 1),
        0x1000: image.SOPInstanceUID.encode() + b"\0" * (len(image.SOPInstanceUID) % 2),
    }
    command = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in values.items())
    line.sendall(
        struct.pack(">BBLLBB", 4, 0, len(command) + 6, len(command) + 2, 1, 3)
        + command
        + struct.pack(">BBLLBB", 4, 0, 8000, 4002, 1, 0)
        + bytes(100)
    )


def test_a_stalled_sender_does_not_keep_the_listener_from_stopping(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        stalled, idle = (listening.associate(node.receiver.port, CT) for _ in range(2))
        for number, peer in enumerate((stalled, idle)):
            assert peer.send_c_store(small_ct.slice_of_ct(number)).Status == 0
        with stalled.dul.socket.socket as line:
            stalled.dul.kill_dul()  # from now on it answers nothing, not even the end of the connection
            stalled.dul.join(10)
            _stall(line)
            listening.until(lambda: any(wire._due for wire in node.receiver._wires.values()))  # it is being read
            begun = time.monotonic()
            node.receiver.stop()
            assert time.monotonic() - begun < 15
        listening.until(lambda: idle.is_aborted)
        assert not any(thread.name.startswith("AcceptorThread") for thread in threading.enumerate())
        (snapshot,) = node.arriving().values()
        assert (snapshot.images, snapshot.open_associations) == (2, 0)


def test_an_object_that_came_whole_is_answered_though_the_listener_stops(node):
    peer = listening.associate(node.receiver.port, CT)
    with _held(node) as waits, concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(peer.send_c_store, small_ct.slice_of_ct())
        listening.until(lambda: waits)
        node.receiver.stop()
        assert answer.result().Status == 0
    assert len(node.spool.unnoted()) == 1
    listening.until(lambda: peer.is_aborted)
