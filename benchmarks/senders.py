"""Senders to measure with: DCMTK's dcmsend for rates, pynetdicom where each answer is timed, replays for many lines."""

import contextlib
import dataclasses
import math
import os
import pathlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent import futures

import pydicom
import pynetdicom
from pydicom import uid
from pynetdicom import _config, association, evt

from benchmarks import receivers

_config.LOG_HANDLER_LEVEL = "none"
_config.STORE_SEND_CHUNKED_DATASET = True
_STORE_EVERY = 20
_LOOK_EVERY = 20
"""Into how many parts the associations are divided, with a look at the memory after each."""
_AT_A_TIME = 4
_STORED = 8
"""How many slices the many associations send, again and again."""
_SUCCESS = b"\0\0\0\x09\2\0\0\0\0\0"  # the element Status of a response, PS3.7 section E.1
_ACCEPTED, _DATA, _RELEASED = 2, 4, 6  # PS3.8 section 9.3


def dcmsend(shares: Sequence[Sequence[pathlib.Path]], peer: receivers.Peer, most_seconds: float) -> None:
    """Send each share over an association of its own, all at once; raises where one fails or takes too long."""
    program = str(receivers.program("dcmsend"))
    end = time.monotonic() + most_seconds
    with tempfile.TemporaryFile() as log:
        started = [
            subprocess.Popen(
                [program, "--quiet", "--call", receivers.AE_TITLE, "127.0.0.1", str(peer.port), *map(str, share)],
                env={**os.environ, "TCP_NODELAY": "1"},
                stdout=log,
                stderr=log,
            )
            for share in shares
        ]
        try:
            codes = [process.wait(max(end - time.monotonic(), 0.1)) for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()
        log.seek(0)
        assert not any(codes), f"dcmsend ended with {codes}: {log.read()[-1000:]!r}"


def answer_times(paths: Sequence[pathlib.Path], peer: receivers.Peer, most_seconds: float) -> list[float]:
    """Send over one association and return how long each answer took, from the first byte sent, in seconds.

    The first is not counted: a receiver that has just started still prepares its statements.
    """
    times: list[float] = []
    line = _associate(peer)
    line.send_c_store(paths[0])
    end = time.monotonic() + most_seconds
    for path in paths[1:]:
        start = time.perf_counter()
        status = line.send_c_store(path)
        times.append(time.perf_counter() - start)
        assert status.get("Status") == 0, f"refused: {status}"
        if time.monotonic() > end:
            break
    line.release()
    return times


def many(
    peer: receivers.Peer,
    paths: Sequence[pathlib.Path],
    associations: int,
    most_seconds: float,
) -> list[float]:
    """Open so many associations, four at a time; return the receiver's MiB at the start and after each part.

    Raises AssertionError where the time runs out first, or where one is refused.
    """
    echo, *stores = [_recorded(peer, path) for path in (None, *paths[:_STORED])]
    seen, end = [peer.resident_mib()], time.monotonic() + most_seconds
    part = max(associations // _LOOK_EVERY, 1)

    def open_one(number: int) -> None:
        if number % _STORE_EVERY == 0:
            stores[number // _STORE_EVERY % len(stores)].replay(peer)
        elif number % _STORE_EVERY == 1:
            with contextlib.suppress(OSError):  # a probe that connects and leaves
                socket.create_connection(("127.0.0.1", peer.port), timeout=5).close()
        else:
            echo.replay(peer)

    with futures.ThreadPoolExecutor(_AT_A_TIME) as pool:
        for done in range(0, associations, part):
            list(pool.map(open_one, range(done + 1, done + part + 1)))
            seen.append(peer.resident_mib())
            assert time.monotonic() < end, f"{done + part} associations took {most_seconds:.0f} s"
            receivers.say(f"{done + part} associations: {seen[-1]:.1f} MiB")
    return seen


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Conversation:
    """Hold what a sender said over an association: to ask for it, within it, to release it."""

    request: bytes
    message: bytes
    release: bytes

    def replay(self, peer: receivers.Peer) -> None:
        """Say it again over a new connection; raises AssertionError where the answers are not those of success."""
        with socket.create_connection(("127.0.0.1", peer.port), timeout=30) as line, line.makefile("rb") as answers:
            for said, expected in ((self.request, _ACCEPTED), (self.message, _DATA), (self.release, _RELEASED)):
                line.sendall(said)
                header = answers.read(6)
                answer = answers.read(int.from_bytes(header[2:], "big"))
                assert header[:1] == bytes((expected,)), f"PDU {header!r} instead of {expected}"
                assert expected != _DATA or _SUCCESS in answer, "refused"


def _recorded(peer: receivers.Peer, path: pathlib.Path | None) -> _Conversation:
    """Send a slice, or an echo, and keep what went over the line."""
    said: list[bytes] = []
    line = _associate(peer, [(evt.EVT_DATA_SENT, lambda event: said.append(event.data))])
    status = line.send_c_echo() if path is None else line.send_c_store(path)
    assert status.get("Status") == 0, f"refused: {status}"
    line.release()
    return _Conversation(request=said[0], message=b"".join(said[1:-1]), release=said[-1])


def _associate(peer: receivers.Peer, handlers: list[evt.EventHandlerType] | None = None) -> association.Association:
    entity = pynetdicom.AE(ae_title="BENCH")
    entity.maximum_pdu_size = 1 << 17
    entity.add_requested_context("1.2.840.10008.1.1", pydicom.uid.ImplicitVRLittleEndian)
    entity.add_requested_context(uid.CTImageStorage, uid.ExplicitVRLittleEndian)
    line = entity.associate("127.0.0.1", peer.port, ae_title=receivers.AE_TITLE, max_pdu=1 << 17, evt_handlers=handlers)
    assert line.is_established, "no association"
    wire = line.dul.socket
    if wire is not None and wire.socket is not None:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line
