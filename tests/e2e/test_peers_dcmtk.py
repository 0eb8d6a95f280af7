import pathlib
import random
import subprocess

import pydicom
import pytest
from pydicom import uid

from tests import listening, small_ct
from tests.peers import encode, tool
from triage import spool


def assert_received(node: listening.Node, sent: list[pathlib.Path]) -> None:
    """Compare transfer syntaxes and pixel streams in the spool with those sent, and find each in the database."""
    by_uid = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, node.files())}
    assert len(by_uid) == len(sent)
    for image in map(pydicom.dcmread, sent):
        kept = by_uid[image.SOPInstanceUID]
        # An uncompressed one is offered in each form: the listener's first choice is taken.
        sent_as = image.file_meta.TransferSyntaxUID
        offered = {sent_as} if sent_as.is_compressed else {sent_as, uid.ExplicitVRLittleEndian}
        assert kept.file_meta.TransferSyntaxUID in offered
        assert kept.PixelData == image.PixelData
        known = node.known(image.SOPInstanceUID)
        assert known is not None
        assert known.path == node.spool.find(known.path).path


@pytest.fixture(scope="module")
def slices(tmp_path_factory) -> list[pathlib.Path]:
    return small_ct.write(small_ct.series(8), tmp_path_factory.mktemp("slices"))


@pytest.mark.parametrize(
    ("option", "syntax"), [("-xi", uid.ImplicitVRLittleEndian), ("-xd", uid.DeflatedExplicitVRLittleEndian)]
)
def test_a_sender_with_one_uncompressed_syntax_is_understood(tmp_path, slices, option, syntax):
    storescu = tool("storescu")
    sent = encode(slices, tmp_path / "sent", syntax)
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        subprocess.run([storescu, option, "127.0.0.1", str(node.receiver.port), *map(str, sent)], check=True)
        kept = [pydicom.dcmread(path) for path in node.files()]
        assert {image.file_meta.TransferSyntaxUID for image in kept} == {syntax}
        assert_received(node, sent)


def test_four_associations_at_once_deliver_a_shuffled_series_whole(tmp_path):
    dcmsend = tool("dcmsend")
    sent = small_ct.write(small_ct.series(24), tmp_path / "sent")
    shuffled = random.Random(1).sample(sent, len(sent))
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        senders = [
            subprocess.Popen([dcmsend, "127.0.0.1", str(node.receiver.port), *map(str, shuffled[part::4])])
            for part in range(4)
        ]
        assert [sender.wait(60) for sender in senders] == [0] * 4
        assert_received(node, sent)
        (snapshot,) = node.arriving().values()
    assert (snapshot.images, snapshot.open_associations, snapshot.aborted) == (24, 0, False)


def test_storescu_gets_success_for_each_file(tmp_path, slices):
    storescu = tool("storescu")
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        command = [storescu, "-v", "127.0.0.1", str(node.receiver.port), *map(str, slices)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert (done.stdout + done.stderr).count("Received Store Response (Success)") == len(slices)
        for path in slices:
            kept = node.spool.absolute(node.known(pydicom.dcmread(path).SOPInstanceUID).path)
            assert spool.Content.of_file(kept.read_bytes()).sha256 == spool.Content.of_file(path.read_bytes()).sha256


def test_echoscu_is_answered(tmp_path):
    echoscu = tool("echoscu")
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        subprocess.run([echoscu, "127.0.0.1", str(node.receiver.port)], check=True)


def test_a_stranger_calling_another_title_is_refused_when_the_site_asks_for_it(tmp_path):
    echoscu = tool("echoscu")
    with listening.node(tmp_path, listening.sqlite(tmp_path), called_aet_check=True) as node:
        port = str(node.receiver.port)
        assert (
            subprocess.run([echoscu, "-aec", "OTHER", "127.0.0.1", port], check=False, capture_output=True).returncode
            != 0
        )
        assert subprocess.run([echoscu, "-aec", "CACTRIAGE", "127.0.0.1", port], check=False).returncode == 0
