"""Sockets and servers for pynetdicom that read each PDU whole, where it would read 4 KiB at a time.

Every read lets go of the interpreter, and another thread may take it: few long reads are what makes many senders fast.
"""

import dataclasses
import socket
import socketserver
import struct
from typing import Any

from pynetdicom import transport

_HEADER_BYTES = 6  # PS3.8 section 9.3.1: type, reserved, length
_LENGTH_BYTES = 4  # PS3.8 section 9.3.5.1: of a value; no PDU of another kind is shorter than header and this
_CONTEXT_BYTES = 2  # presentation context and message control header
_DATA = b"\x04"  # P-DATA-TF
_MOST_BYTES = 1 << 20  # a PDU may claim 4 GiB: no more than this is set aside before it has come
_STALLED_SECONDS = 60
_NOTHING = memoryview(b"")


class Malformed(Exception):
    """Say that the peer broke the rules of PS3.8; the association cannot go on."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """Hold one presentation data value (PS3.8 section 9.3.5.1) from its context on, and the headers before it."""

    headers: bytes
    value: bytes

    @property
    def context_id(self) -> int:
        """Return the presentation context."""
        return self.value[0]

    @property
    def is_command(self) -> bool:
        """Tell whether this is part of a command, not of a data set (PS3.8 section E.2)."""
        return bool(self.value[1] & 1)

    @property
    def is_last(self) -> bool:
        """Tell whether command or data set end here."""
        return bool(self.value[1] & 2)

    @property
    def data(self) -> memoryview:
        """Return the part of command or data set."""
        return memoryview(self.value)[_CONTEXT_BYTES:]


class Wire(socket.socket):
    """A connected socket that never reads beyond a PDU: in the pieces that pynetdicom asks for, or by its values."""

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

    def fragment(self) -> Fragment | None:
        """Read the next presentation data value; None, with nothing taken, where the next PDU is of another kind.

        Raises OSError where the connection ends or stalls within it, Malformed where its lengths do not agree.
        """
        if self._due:
            headers = self._exactly(_LENGTH_BYTES)
        else:
            headers = super().recv(_HEADER_BYTES + _LENGTH_BYTES, socket.MSG_WAITALL)
            whole = len(headers) == _HEADER_BYTES + _LENGTH_BYTES
            self._due = int.from_bytes(headers[2:6], "big") if whole else 0
            if not whole or headers[:1] != _DATA:
                self._due = max(self._due - _LENGTH_BYTES, 0)
                self._read = memoryview(headers)
                return None
        self._due -= _LENGTH_BYTES
        length = int.from_bytes(headers[-_LENGTH_BYTES:], "big")
        if not _CONTEXT_BYTES <= length <= self._due:
            raise Malformed("a presentation data value reaches beyond its PDU")
        self._due -= length
        return Fragment(headers=headers, value=self._exactly(length))

    def unread(self, first: Fragment) -> None:
        """Give a PDU's first value back, for pynetdicom to read."""
        self._read = memoryview(first.headers + first.value)

    @property
    def within_pdu(self) -> bool:
        """Tell whether the PDU under way holds more."""
        return self._due > 0

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            parts.append(super().recv(min(size, _MOST_BYTES), socket.MSG_WAITALL))
            size -= len(parts[-1])
            if not parts[-1]:
                raise ConnectionError("the peer closed the connection within a PDU")
        return b"".join(parts)

    def _header(self, bufsize: int, flags: int) -> bytes:
        header = super().recv(min(bufsize, _HEADER_BYTES), flags | socket.MSG_WAITALL)
        if len(header) == _HEADER_BYTES:
            self._due = int.from_bytes(header[2:], "big")
        return header


class _Shared(list[Any]):
    """The supported contexts: pynetdicom would copy them deeply for every connection, and only reads them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Shared":
        return self


class Server(transport.ThreadedAssociationServer):
    """pynetdicom's threaded server, accepting on `Wire`s."""

    request_queue_size = 128

    def __init__(self, *args: Any, **options: Any) -> None:
        """Bind; takes what pynetdicom's server takes."""
        super().__init__(*args, **options)
        self.contexts = _Shared(self.contexts)

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
