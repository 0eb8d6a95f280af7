"""Sockets that read PDUs whole, and listeners on one port."""

import socket
import struct

import listening
import pytest
import small_ct
from pydicom import uid

from service import wire

CT = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)


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


def test_values_come_one_by_one_and_the_first_can_be_given_back(pair):
    ours, sender = pair
    first, second = b"\0\0\0\5\1\3abc", b"\0\0\0\4\1\2de"
    sender.sendall(struct.pack(">BBL", 4, 0, len(first + second)) + first + second)
    got = ours.fragment()
    assert (got.data, got.is_command, got.is_last, ours.within_pdu) == (b"abc", True, True, True)
    ours.unread(got)
    assert ours.recv(6) == struct.pack(">BBL", 4, 0, len(first + second))
    assert ours.recv(99) + ours.recv(99) == first + second
    sender.sendall(struct.pack(">BBL", 4, 0, len(first + second)) + first + second)
    assert ours.fragment() == got
    last = ours.fragment()
    assert (last.data, last.is_command, last.is_last, ours.within_pdu) == (b"de", False, True, False)


@pytest.mark.parametrize("other", [b"\5\0\0\0\0\4rest", b"\7\0\0\0\0\4rest", b"\7\0", b""])
def test_what_holds_no_value_is_left_as_it_came(pair, other):
    ours, sender = pair
    sender.sendall(other)
    sender.shutdown(socket.SHUT_WR)
    assert ours.fragment() is None
    assert ours.recv(6) + ours.recv(99) == other


@pytest.mark.parametrize("pdu_length", [0, 5, 9])
def test_a_value_that_reaches_beyond_its_pdu_is_malformed(pair, pdu_length):
    ours, sender = pair
    sender.sendall(struct.pack(">BBLLBB", 4, 0, pdu_length, 6, 1, 2) + b"abcd")
    with pytest.raises(wire.Malformed):
        ours.fragment()


def test_a_value_that_is_cut_off_is_a_lost_connection(pair):
    ours, sender = pair
    sender.sendall(struct.pack(">BBLLBB", 4, 0, 1 << 31, (1 << 31) - 4, 1, 2) + b"abcd")
    sender.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        ours.fragment()


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
