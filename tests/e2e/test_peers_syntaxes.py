"""A series in each transfer syntax, by each real peer, in order and shuffled: decoded here, its pixels are the same."""

import pathlib

import numpy as np
import pydicom
import pytest
from pydicom import uid

from tests import listening, peers, small_ct
from triage.dicom import reading

SLICES = 6
UNCOMPRESSED = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian)


def signed(image: pydicom.Dataset) -> pydicom.Dataset:
    """Store HU as signed values with a padded corner, as some scanners do: where decoders go wrong."""
    hu = image.pixel_array.astype(np.int16) - 1024
    hu[:8, :8] = -3024
    image.PixelData = hu.tobytes()
    image.PixelRepresentation, image.RescaleIntercept = 1, 0
    image.add_new("PixelPaddingValue", "SS", -3024)
    return image


def series(folder: pathlib.Path, number: int) -> list[pathlib.Path]:
    """Write a series of its own, of signed values where its number is odd."""
    images = small_ct.series(SLICES, series=f"{small_ct.STUDY}.{number + 1}")
    return small_ct.write([signed(image) if number % 2 else image for image in images], folder / str(number))


def decoded(paths: list[pathlib.Path]) -> np.ndarray:
    return reading.load_series(reading.read_headers(paths)).volume.hu


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Run one listener for all series: each has UIDs of its own."""
    home = tmp_path_factory.mktemp("node")
    with listening.node(home, listening.sqlite(home)) as running:
        yield running


def kept(node: listening.Node, sent: list[pathlib.Path]) -> list[pathlib.Path]:
    """Return the node's files of a series, each of them known to its database, in the order they were sent in."""
    known = [node.known(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in sent]
    assert None not in known
    return [node.spool.absolute(each.path) for each in known]


def assert_same(node: listening.Node, source: list[pathlib.Path], sent: list[pathlib.Path], syntax: str) -> None:
    """Compare what is kept with what was sent, bit for bit where compressed, and with the source once decoded."""
    files = kept(node, sent)
    assert np.array_equal(decoded(files), decoded(source))
    for before, after in zip(map(pydicom.dcmread, sent), map(pydicom.dcmread, files), strict=True):
        came = after.file_meta.TransferSyntaxUID
        # An uncompressed one is offered in each form: the listener's first choice is taken.
        assert came == syntax if uid.UID(syntax).is_compressed else came in UNCOMPRESSED
        assert after.PixelData == before.PixelData


def manners(orthanc: peers.Orthanc | None) -> tuple:
    """Return in order over one association, and shuffled over four."""
    if orthanc:
        return orthanc.send, orthanc.send_shuffled
    return peers.dcmsend, lambda port, paths: peers.dcmsend(port, *peers.shuffled(paths))


@pytest.mark.parametrize("peer", ["dcmsend", "orthanc"])
@pytest.mark.parametrize("syntax", peers.TOOLS, ids=lambda syntax: uid.UID(syntax).keyword)
def test_each_transfer_syntax_comes_with_equal_pixels_in_order_and_shuffled(request, tmp_path, node, syntax, peer):
    orthanc = request.getfixturevalue("orthanc") if peer == "orthanc" else None
    place = list(peers.TOOLS).index(syntax) * 8 + (4 if orthanc else 0)
    for manner, deliver in enumerate(manners(orthanc)):
        for sign in range(2):
            number = place + manner * 2 + sign
            source = series(tmp_path, number)
            sent = peers.encode(source, tmp_path / f"{number}-sent", syntax)
            deliver(node.receiver.port, sent)
            assert_same(node, source, sent, syntax)
