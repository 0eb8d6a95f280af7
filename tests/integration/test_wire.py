"""The shorter way to the socket, on real sockets: what pynetdicom does of itself must still hold."""

import socket
import struct

import listening
import pydicom
import pynetdicom
import pytest
import small_ct
from pydicom import uid
from pynetdicom import dimse_messages, dimse_primitives

from service import receiver, wire

CT = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)


@pytest.fixture
def node(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as running:
        yield running


@pytest.fixture
def pair():
    """A wire and the raw socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with wire.Wire(accepted) as ours, sender:
        yield ours, sender


def test_a_pdu_is_handed_out_in_the_pieces_asked_for_and_never_read_beyond(pair):
    ours, sender = pair
    body = bytes(range(256)) * 1000
    sender.sendall(struct.pack(">BBL", 4, 0, len(body)) + body + b"\5\0\0\0\0\4rest")
    assert ours.recv(6) == struct.pack(">BBL", 4, 0, len(body))
    got = b""
    while len(got) < len(body):
        got += ours.recv(min(4096, len(body) - len(got)))
    assert got == body
    assert ours.recv(6) == b"\5\0\0\0\0\4"
    assert ours.recv(4) == b"rest"


def test_a_pdu_that_is_cut_off_ends_as_a_closed_connection(pair):
    ours, sender = pair
    sender.sendall(struct.pack(">BBL", 4, 0, 1 << 31) + b"abc")
    sender.shutdown(socket.SHUT_WR)
    assert ours.recv(6)[2:] == struct.pack(">L", 1 << 31)
    assert ours.recv(4096) == b"abc"  # and no 2 GiB were set aside for it
    assert ours.recv(4096) == b""


@pytest.mark.parametrize("status", [0x0000, 0xA700])
def test_a_plain_answer_is_what_pynetdicom_would_have_sent(status):
    answer = dimse_primitives.C_STORE()
    answer.MessageIDBeingRespondedTo = 513
    answer.AffectedSOPClassUID = uid.CTImageStorage
    answer.AffectedSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    answer.Status = status
    theirs = dimse_messages.C_STORE_RSP()
    theirs.primitive_to_message(answer)
    (sent,) = theirs.encode_msg(1, 0)
    assert sent.presentation_data_value_list[0][1] == b"\3" + wire._store_response(answer)


def test_an_answer_does_not_wait_for_the_next_look(node):
    peer = listening.associate(node.receiver.port, ("1.2.840.10008.1.1", uid.ImplicitVRLittleEndian), CT)
    for number in range(5):
        assert peer.send_c_echo().Status == 0
        assert peer.send_c_store(small_ct.slice_of_ct(number)).Status == 0
    peer.release()
    assert peer.is_released


@pytest.mark.parametrize("most", [1024, 4096, 16384])
def test_pdus_of_any_size_arrive_whole(tmp_path, monkeypatch, most):
    monkeypatch.setattr(receiver, "_PDU_BYTES", most)  # what senders then split their messages by
    image = small_ct.slice_of_ct(0, PixelData=bytes(range(256)) * 32, Rows=64, Columns=64)
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        peer = listening.associate(node.receiver.port, CT)
        assert peer.send_c_store(image).Status == 0
        peer.release()
        (kept,) = node.files()
    assert pydicom.dcmread(kept).PixelData == image.PixelData


def test_a_pdu_that_comes_in_pieces_is_waited_for(node):
    entity = pynetdicom.AE()
    entity.add_requested_context(*CT)
    peer = entity.associate("127.0.0.1", node.receiver.port)
    inner = peer.dul.socket.socket
    inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    class Slow:
        def send(self, data: bytes) -> int:
            return inner.send(data[:97])

        def __getattr__(self, name: str):
            return getattr(inner, name)

    peer.dul.socket.socket = Slow()
    assert peer.send_c_store(small_ct.slice_of_ct(0)).Status == 0
    peer.release()
    assert len(node.files()) == 1


def test_two_listeners_share_a_port_and_no_image_is_lost(tmp_path, free_port):
    url = listening.sqlite(tmp_path)
    changes = {"port": free_port, "shared": True}
    with listening.node(tmp_path, url, **changes) as first, listening.node(tmp_path, url, **changes):
        taken = [listening.associate(free_port, CT) for _ in range(12)]
        for number, peer in enumerate(taken):
            assert peer.send_c_store(small_ct.slice_of_ct(number)).Status == 0
        assert first.arriving()[f"{small_ct.STUDY}.1"].open_associations == 12
        for peer in taken:
            peer.release()
        assert first.arriving()[f"{small_ct.STUDY}.1"].images == 12


def test_a_listener_that_does_not_share_its_port_lets_nobody_in(tmp_path, free_port):
    url = listening.sqlite(tmp_path)
    with (
        listening.node(tmp_path, url, port=free_port),
        pytest.raises(OSError, match="in use"),
        listening.node(tmp_path, url, port=free_port, shared=True),
    ):
        pass
