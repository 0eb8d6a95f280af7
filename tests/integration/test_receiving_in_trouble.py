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
