"""Objects taken off the wire in one thread, on real sockets: what pynetdicom does of itself must still hold."""

import socket
import struct

import listening
import pydicom
import pynetdicom
import pytest
import small_ct
from pydicom import uid
from pynetdicom import dimse_messages, dimse_primitives, dsutils

from service import receiver, stores

CT = (uid.CTImageStorage, uid.ExplicitVRLittleEndian)
COMMAND, DATA, LAST = 1, 0, 2  # bits of the message control header, PS3.8 section E.2


@pytest.fixture
def node(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as running:
        yield running


@pytest.fixture
def line(node):
    """An association, and its socket to write to behind pynetdicom's back."""
    peer = listening.associate(node.receiver.port, CT)
    yield peer, peer.dul.socket.socket
    peer.abort()


def _request(image: pydicom.Dataset) -> tuple[bytes, bytes]:
    """Return a C-STORE-RQ's command set and data set as pynetdicom encodes them."""
    request = dimse_primitives.C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    message = dimse_messages.C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = 1
    (command,) = message.encode_msg(1, 0)
    return command.presentation_data_value_list[0][1][1:], dsutils.encode(image, False, True)


def _value(control: int, data: bytes) -> bytes:
    return struct.pack(">LBB", len(data) + 2, 1, control) + data


def _pdu(*values: bytes) -> bytes:
    return struct.pack(">BBL", 4, 0, sum(map(len, values))) + b"".join(values)


@pytest.mark.parametrize("status", [0x0000, 0xA700])
def test_an_answer_is_what_pynetdicom_would_have_sent(status):
    answer = dimse_primitives.C_STORE()
    answer.MessageIDBeingRespondedTo = 513
    answer.AffectedSOPClassUID = uid.CTImageStorage
    answer.AffectedSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    answer.Status = status
    theirs = dimse_messages.C_STORE_RSP()
    theirs.primitive_to_message(answer)
    (sent,) = theirs.encode_msg(1, 0)
    command = stores.Command(
        message_id=513, sop_class_uid=uid.CTImageStorage, sop_instance_uid="1.2.826.0.1.3680043.8.498.1"
    )
    assert command.answer(1, status) == _pdu(_value(COMMAND | LAST, sent.presentation_data_value_list[0][1][1:]))


def test_a_command_is_read_as_it_was_meant():
    image = small_ct.slice_of_ct()
    command, _ = _request(image)
    assert stores.Command.decode(command) == stores.Command(
        message_id=7, sop_class_uid=image.SOPClassUID, sop_instance_uid=image.SOPInstanceUID
    )


@pytest.mark.parametrize(
    ("what", "by"),
    [
        (struct.pack("<HHLH", 0, 0x0100, 2, 1), struct.pack("<HHLH", 0, 0x0100, 2, 0x30)),  # a C-ECHO-RQ
        (struct.pack("<HHLH", 0, 0x0800, 2, 1), struct.pack("<HHLH", 0, 0x0800, 2, 0x0101)),  # no data set
        (struct.pack("<HHL", 0, 0x1000, 32), struct.pack("<HHL", 0, 0x1001, 32)),  # no SOP instance
        (b"1.2.840", b"1.2.84\xb5"),
        (struct.pack("<HHL", 0, 0x0110, 2), struct.pack("<HHL", 0, 0x0110, 1 << 20)),
    ],
)
def test_any_other_command_is_left_to_pynetdicom(what, by):
    command, _ = _request(small_ct.slice_of_ct())
    assert command.count(what) >= 1
    assert stores.Command.decode(command.replace(what, by)) is None


def test_command_and_data_set_may_share_a_pdu(node, line):
    _, wire = line
    command, data = _request(small_ct.slice_of_ct())
    wire.sendall(_pdu(_value(COMMAND | LAST, command), _value(DATA, data[:99]), _value(DATA | LAST, data[99:])))
    listening.until(lambda: len(node.files()) == 1)
    assert node.files()[0].read_bytes().endswith(data)


def test_a_command_in_pieces_is_taken_too(node, line):
    _, wire = line
    command, data = _request(small_ct.slice_of_ct())
    wire.sendall(_pdu(_value(COMMAND, command[:50])) + _pdu(_value(COMMAND | LAST, command[50:])))
    wire.sendall(_pdu(_value(DATA | LAST, data)))
    listening.until(lambda: len(node.files()) == 1)
    command, data = _request(small_ct.slice_of_ct(1))  # and the next one, plain
    wire.sendall(_pdu(_value(COMMAND | LAST, command)) + _pdu(_value(DATA | LAST, data)))
    listening.until(lambda: len(node.files()) == 2)


def test_an_abort_within_a_data_set_leaves_nothing(node, line):
    peer, wire = line
    assert peer.send_c_store(small_ct.slice_of_ct()).Status == 0
    command, data = _request(small_ct.slice_of_ct(1))
    wire.sendall(_pdu(_value(COMMAND | LAST, command)) + _pdu(_value(DATA, data[:99])) + b"\7\0\0\0\0\4\0\0\0\0")
    listening.until(lambda: node.arriving()[f"{small_ct.STUDY}.1"].aborted)
    assert len(node.files()) == 1


@pytest.mark.parametrize(
    "then",
    [
        _pdu(_value(COMMAND | LAST, b"another message")),
        _pdu(struct.pack(">LBB", 6, 3, DATA | LAST) + b"else"),  # another presentation context
        _pdu(_value(DATA | LAST, b"end") + _value(COMMAND, b"more")),
        struct.pack(">BBLLBB", 4, 0, 9, 6, 1, 2) + b"too little",
    ],
)
def test_a_data_set_that_breaks_the_rules_ends_the_association(node, line, then):
    peer, wire = line
    command, data = _request(small_ct.slice_of_ct())
    wire.sendall(_pdu(_value(COMMAND | LAST, command)) + _pdu(_value(DATA, data[:99])) + then)
    listening.until(lambda: peer.is_aborted)
    assert node.files() == []
    other = listening.associate(node.receiver.port, CT)
    assert other.send_c_store(small_ct.slice_of_ct()).Status == 0
    other.release()


def test_a_data_set_without_end_is_not_held_in_memory(node, line, monkeypatch):
    monkeypatch.setattr(stores, "_MOST_BYTES", 4000)
    peer, wire = line
    command, data = _request(small_ct.slice_of_ct())
    wire.sendall(
        _pdu(_value(COMMAND | LAST, command)) + _pdu(_value(DATA, data[:3000])) + _pdu(_value(DATA, data[:3000]))
    )
    listening.until(lambda: peer.is_aborted)
    assert node.files() == []


@pytest.mark.parametrize("pieces", [1, 2])
def test_an_image_sent_as_a_verification_is_never_success(node, pieces):
    echo = "1.2.840.10008.1.1"
    peer = listening.associate(node.receiver.port, (echo, uid.ExplicitVRLittleEndian))
    command, data = _request(small_ct.slice_of_ct(SOPClassUID=echo))
    values = [_value(COMMAND | LAST, command)]
    if pieces == 2:
        values = [_value(COMMAND, command[:50]), _value(COMMAND | LAST, command[50:])]
    peer.dul.socket.socket.sendall(b"".join(map(_pdu, values)) + _pdu(_value(DATA | LAST, data)))
    listening.until(lambda: peer.is_aborted)
    assert node.files() == []


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
