"""pynetdicom's way to the socket, made shorter through its public seams: its protocol, states and answers stay its own.

As it comes, it reads 4 KiB at a time, letting go of the interpreter at each, and its two threads a peer look for work
once a millisecond. Here a PDU is read in one call, both threads sleep until something comes, and an answer leaves from
the thread that has it.
"""

import queue
import select
import socket
import socketserver
import struct
from typing import Any, cast

from pynetdicom import association, dimse, dimse_primitives, pdu, pdu_primitives, transport

_HEADER_BYTES = 6  # PS3.8 section 9.3.1: type, reserved, length
_MOST_BYTES = 1 << 20  # a PDU may claim 4 GiB: no more than this is set aside before it has come
_LOOK_SECONDS = 0.01
"""How long a thread waits before it looks for what nothing wakes it for: a release, an abort, the end."""
_STALLED_SECONDS = 60
_NOTHING = memoryview(b"")
_TRANSFER = "Sta6"  # PS3.8 table 9-1: ready for data transfer


class Wire(socket.socket):
    """A connected socket that reads each PDU whole, never beyond it, and hands it out in the pieces asked for."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Not `settimeout`: that makes the socket non-blocking underneath, and MSG_WAITALL void.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _STALLED_SECONDS, 0))
        self._read = _NOTHING
        self._due = 0  # of the PDU under way, not yet read

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return what is left of the PDU under way, at most `bufsize` bytes; the next PDU's header after it."""
        if not self._read:
            if self._due == 0:
                return self._header(bufsize, flags)
            self._read = memoryview(super().recv(min(self._due, _MOST_BYTES), flags | socket.MSG_WAITALL))
            self._due -= len(self._read)
        part, rest = self._read[:bufsize], self._read[bufsize:]
        self._read = rest or _NOTHING  # an empty rest would hold on to the whole PDU
        return bytes(part)

    def _header(self, bufsize: int, flags: int) -> bytes:
        header = super().recv(min(bufsize, _HEADER_BYTES), flags | socket.MSG_WAITALL)
        if len(header) == _HEADER_BYTES:
            self._due = int.from_bytes(header[2:], "big")
        return header


class _Line:
    """An association's socket that waits for data where pynetdicom would ask and sleep."""

    def __init__(self, inner: transport.AssociationSocket, peer: association.Association) -> None:
        self._inner = inner
        self._peer = peer

    @property
    def ready(self) -> bool:
        """Tell whether there is data to read; while data is what is waited for, wait for it."""
        wire = self._inner.socket
        if wire is not None and self._peer.dul.state_machine.current_state == _TRANSFER:
            try:
                waiting = select.poll()
                waiting.register(wire, select.POLLIN)
                waiting.poll(_LOOK_SECONDS * 1000)
            except (OSError, ValueError):
                return self._inner.ready  # closed meanwhile: it knows what to say of that
        return self._inner.ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Outgoing(queue.Queue[Any]):
    """What is to be sent: data at once, from the thread that has it; all else in pynetdicom's turn."""

    def __init__(self, peer: association.Association) -> None:
        super().__init__()
        self._peer = peer

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        dul = self._peer.dul
        at_once = isinstance(item, pdu_primitives.P_DATA) and dul.state_machine.current_state == _TRANSFER
        if at_once and dul.socket is not None and self.empty():
            dul.socket.send(pdu.P_DATA_TF(item).encode())
        else:
            super().put(item, block, timeout)


class _Incoming(queue.Queue[Any]):
    """Requests that have come: who looks whether there is one is woken by the next."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return super().get(True, timeout if block else _LOOK_SECONDS)


class _Messages(dimse.DIMSEServiceProvider):
    """pynetdicom's DIMSE provider, which is woken by a request and does not encode a plain answer by way of pydicom."""

    def __init__(self, peer: association.Association) -> None:
        super().__init__(peer)
        self.msg_queue = _Incoming()

    def send_msg(self, primitive: dimse_primitives.DimsePrimitiveType, context_id: int) -> None:
        """Send a message; a C-STORE response that holds a status and nothing to comment, at once."""
        if isinstance(primitive, dimse_primitives.C_STORE) and _is_plain_answer(primitive):
            values = pdu_primitives.P_DATA()
            values.presentation_data_value_list = []
            values.presentation_data_value_list.append((context_id, b"\x03" + _store_response(primitive)))
            self.dul.send_pdu(values)
        else:
            super().send_msg(primitive, context_id)


def _is_plain_answer(primitive: dimse_primitives.C_STORE) -> bool:
    stated = (primitive.MessageIDBeingRespondedTo, primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID)
    return None not in stated and not (primitive.ErrorComment or primitive.OffendingElement)


def _store_response(answer: dimse_primitives.C_STORE) -> bytes:
    """Encode a C-STORE-RSP's command set (PS3.7 table 9.3-2), in Implicit VR Little Endian as all of them."""
    numbers = {0x0100: 0x8001, 0x0120: answer.MessageIDBeingRespondedTo, 0x0800: 0x0101, 0x0900: answer.Status}
    command = b"".join(
        (
            _command_element(0x0002, _padded(str(answer.AffectedSOPClassUID))),
            *(_command_element(element, struct.pack("<H", number)) for element, number in numbers.items()),
            _command_element(0x1000, _padded(str(answer.AffectedSOPInstanceUID))),
        )
    )
    return _command_element(0x0000, struct.pack("<L", len(command))) + command


def _command_element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, element, len(value)) + value


def _padded(uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    return value + b"\0" * (len(value) % 2)


def shorten(peer: association.Association) -> None:
    """Bring the shorter way to an accepted association whose threads have not started yet."""
    inner = peer.dul.socket
    if inner is None:
        return
    peer.dul.socket = cast(transport.AssociationSocket, _Line(inner, peer))
    peer.dul.to_provider_queue = _Outgoing(peer)
    peer.dimse = _Messages(peer)


class Server(transport.ThreadedAssociationServer):
    """pynetdicom's threaded server, accepting on `Wire`s."""

    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection."""
        accepted, address = super().get_request()
        return Wire(accepted), address

    def shutdown(self) -> None:
        """Stop accepting. pynetdicom's own would look for this server among those that it started itself."""
        socketserver.TCPServer.shutdown(self)
        self.server_close()


class SharingServer(Server):
    """A server whose port other listeners of the same user may serve, too: the kernel deals out connections."""

    def server_bind(self) -> None:
        """Bind, together with others."""
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()
