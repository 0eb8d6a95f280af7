"""Receiving while disk, database or sender fail: every sender gets its answer, and Success is never said too early."""

import errno
import os
import stat

import listening
import pydicom
import pytest
import small_ct
from pydicom import uid

CT = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)


@pytest.fixture
def node(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as running:
        yield running


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
