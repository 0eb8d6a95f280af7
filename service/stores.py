"""C-STORE taken off the wire and answered in the thread that reads; all else stays pynetdicom's, through its seams.

As it comes, pynetdicom hands every PDU through two threads that look for work once a millisecond, and every message
through pydicom. Here one thread reads a whole object, takes it in and answers.
"""

import dataclasses
import queue
import select
import struct
from collections.abc import Callable
from typing import Any, cast

from pynetdicom import association, pdu, pdu_primitives, transport

from service import wire
from triage import logs

_log = logs.get(__name__)
_MOST_BYTES = 1 << 30
"""Of a data set: it is held in memory until it has come whole."""
_LOOK_SECONDS = 0.05
"""How long a thread waits before it looks for what nothing wakes it for: a release, an abort, the end."""
_TRANSFER = "Sta6"  # PS3.8 table 9-1: ready for data transfer
_CLOSED, _INVALID = "Evt17", "Evt19"  # PS3.8 table 9-10
_C_STORE_RQ, _C_STORE_RSP, _NO_DATA_SET = 0x0001, 0x8001, 0x0101  # PS3.7 tables 9.3-1 and 9.3-2
_VERIFICATION = "1.2.840.10008.1.1"
_LONGEST_UID = 64  # PS3.5 section 9.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Hold what is needed of a C-STORE-RQ's command set (PS3.7 table 9.3-1), UIDs as they were sent."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str

    @classmethod
    def decode(cls, encoded: bytes) -> "Command | None":
        """Read a whole command set; None where it is any but a C-STORE-RQ with a data set."""
        values, place = {}, 0
        while place + 8 <= len(encoded):
            group, element, length = struct.unpack_from("<HHL", encoded, place)
            place += 8
            values[group, element] = encoded[place : place + length]
            place += length
        kind, message_id, data_set = (values.get((0, element), b"") for element in (0x0100, 0x0110, 0x0800))
        sop_class, sop_instance = (values.get((0, element), b"").rstrip(b"\0 ") for element in (0x0002, 0x1000))
        plain = place == len(encoded) and len(message_id) == len(data_set) == 2
        named = all(0 < len(uid) <= _LONGEST_UID and uid.isascii() for uid in (sop_class, sop_instance))
        if not (plain and named) or kind != _number(_C_STORE_RQ) or data_set == _number(_NO_DATA_SET):
            return None
        return cls(
            message_id=int.from_bytes(message_id, "little"),
            sop_class_uid=sop_class.decode("ascii"),
            sop_instance_uid=sop_instance.decode("ascii"),
        )

    def answer(self, context_id: int, status: int) -> bytes:
        """Return the P-DATA-TF PDU with the C-STORE-RSP (PS3.7 table 9.3-2)."""
        numbers = {0x0100: _C_STORE_RSP, 0x0120: self.message_id, 0x0800: _NO_DATA_SET, 0x0900: status}
        command = b"".join(
            (
                _element(0x0002, _padded(self.sop_class_uid)),
                *(_element(element, _number(number)) for element, number in numbers.items()),
                _element(0x1000, _padded(self.sop_instance_uid)),
            )
        )
        command = _element(0x0000, struct.pack("<L", len(command))) + command
        return struct.pack(">BBLLBB", 0x04, 0, len(command) + 6, len(command) + 2, context_id, 0x03) + command


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, element, len(value)) + value


def _number(number: int) -> bytes:
    return struct.pack("<H", number)


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


Take = Callable[[association.Association, Command, str, bytes], int]
"""Take in one object, given its command, transfer syntax and data set; return the status to answer with."""


class _Line:
    """An association's socket that waits for data where pynetdicom would ask and sleep, and takes in objects itself."""

    def __init__(self, inner: transport.AssociationSocket, peer: association.Association, take: Take) -> None:
        self._inner = inner
        self._peer = peer
        self._take = take

    @property
    def ready(self) -> bool:
        """Take in the objects that come; tell whether something else has, which is pynetdicom's to read."""
        dul, line = self._peer.dul, cast(wire.Wire | None, self._inner.socket)
        between = dul.state_machine.current_state == _TRANSFER and self._peer.dimse.message is None
        if line is None or not between:
            return self._inner.ready
        try:
            while dul.to_provider_queue.empty() and _data_waits(line):
                if not self._store(line):
                    return True
        except wire.Malformed as exc:
            _log.warning("An association is broken off.", action="malformed", cause=str(exc))
            dul.event_queue.put(_INVALID)
        except (OSError, ValueError):
            dul.event_queue.put(_CLOSED)
        return False

    def _store(self, line: wire.Wire) -> bool:
        """Read one C-STORE-RQ and answer it; False where something else comes, and stays to be read."""
        first = line.fragment()
        if first is None:
            return False
        command = Command.decode(bytes(first.data)) if first.is_command and first.is_last else None
        syntax = None if command is None else self._syntax(first.context_id, command.sop_class_uid)
        if command is None or syntax is None:
            line.unread(first)
            return False
        data_set = self._data_set(line, first.context_id)
        if data_set is None:
            return False
        status = self._take(self._peer, command, syntax, data_set)
        self._inner.send(command.answer(first.context_id, status))
        return True

    def _syntax(self, context_id: int, sop_class_uid: str) -> str | None:
        """Return the transfer syntax agreed on, None where the context is not this class's to be stored under."""
        for context in self._peer.accepted_contexts:
            if context.context_id == context_id and context.abstract_syntax == sop_class_uid != _VERIFICATION:
                return str(context.transfer_syntax[0])
        return None

    def _data_set(self, line: wire.Wire, context_id: int) -> bytes | None:
        """Read a data set to its end; None where an abort or a release comes before it."""
        parts, size = [], 0
        while True:
            part = line.fragment()
            if part is None:
                return None
            self._peer.dul._idle_timer.restart()
            if part.context_id != context_id or part.is_command or (part.is_last and line.within_pdu):
                raise wire.Malformed("a data set was interrupted by another message")
            size += len(part.data)
            if size > _MOST_BYTES:
                raise wire.Malformed(f"a data set is longer than {_MOST_BYTES} bytes")
            parts.append(part.data)
            if part.is_last:
                return b"".join(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _data_waits(line: wire.Wire) -> bool:
    waiting = select.poll()
    waiting.register(line, select.POLLIN)
    return bool(waiting.poll(_LOOK_SECONDS * 1000))


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


class _Indications(queue.Queue[Any]):
    """What else the peer has done, a release or an abort: it wakes who waits for requests, too."""

    def __init__(self, requests: _Incoming) -> None:
        super().__init__()
        self._requests = requests

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._requests.put((None, None))  # reads as none having come


def attend(peer: association.Association, take: Take) -> None:
    """Have an accepted association, whose threads have not started yet, give its objects to `take`."""
    inner = peer.dul.socket
    if inner is None:
        return
    peer.dul.socket = cast(transport.AssociationSocket, _Line(inner, peer, take))
    peer.dul.to_provider_queue = _Outgoing(peer)
    peer.dimse.msg_queue = requests = _Incoming()
    peer.dul.to_user_queue = _Indications(requests)
