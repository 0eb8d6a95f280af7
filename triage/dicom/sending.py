"""Send files by C-STORE, each as it lies there: its own transfer syntax, not one byte encoded anew."""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import pydicom.uid
import pynetdicom
from pynetdicom import _config, association, dsutils

from triage import errors

_config.STORE_SEND_CHUNKED_DATASET = True  # send a path's raw bytes instead of decoding it
_MOST_CONTEXTS = 128  # PS3.8 section 9.3.2.2: odd identifiers up to 255
_PDU_BYTES = 1 << 17
_ADDRESS = re.compile(r"(?P<aet>[^@\\]{1,16})@(?P<host>\[[0-9a-fA-F:]+\]|[^@:]+):(?P<port>[0-9]{1,5})")

Progress = Callable[[int, int], None]
"""Called with the number of files dealt with, and of all files."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Name a peer: `AET@HOST:PORT`."""

    aet: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read `AET@HOST:PORT`. Raises SettingsError."""
        match = _ADDRESS.fullmatch(text)
        if match is None or not 0 < int(match["port"]) < 1 << 16:
            raise errors.SettingsError(f"{text!r} is no address like CACTRIAGE@127.0.0.1:11112")
        return cls(aet=match["aet"], host=match["host"].strip("[]"), port=int(match["port"]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """Name a file that was not stored, the peer's status where it gave one, and why."""

    path: pathlib.Path
    status: int | None
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Hold what became of the files; `skipped` counts those that are no DICOM objects."""

    sent: int
    failed: tuple[Failure, ...]
    skipped: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
    path: pathlib.Path
    context: tuple[str, str]  # SOP class, transfer syntax


def send(
    paths: Iterable[pathlib.Path],
    target: Target,
    *,
    calling: str = "CACTRIAGE-SCU",
    on_progress: Progress | None = None,
) -> Report:
    """Send files and folders (recursively, in order of name) over one association, more where contexts run out.

    A peer that cannot be reached makes every file a failure; nothing is raised for it.
    """
    found = list(_files(paths))
    files = [file for file in (_inspect(path) for path in found) if file]
    failures: list[Failure] = []
    done = 0
    for batch in _batches(files):
        for failure in _send_batch(batch, target, calling):
            failures.extend([failure] if failure else [])
            done += 1
            if on_progress:
                on_progress(done, len(files))
    return Report(sent=done - len(failures), failed=tuple(failures), skipped=len(found) - len(files))


def _files(paths: Iterable[pathlib.Path]) -> Iterator[pathlib.Path]:
    for path in paths:
        yield from sorted(inner for inner in path.rglob("*") if inner.is_file()) if path.is_dir() else [path]


def _inspect(path: pathlib.Path) -> _File | None:
    try:
        meta, _ = dsutils.split_dataset(path)
        needed = (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)
    except Exception:  # whatever the parser stumbles over: it is no DICOM file
        return None
    if needed[0] == pydicom.uid.MediaStorageDirectoryStorage:
        return None
    return _File(path=path, context=(str(needed[0]), str(needed[2])))


def _batches(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Split the files so that each part needs no more contexts than an association can carry."""
    batch: list[_File] = []
    contexts: set[tuple[str, str]] = set()
    for file in files:
        if file.context not in contexts and len(contexts) == _MOST_CONTEXTS:
            yield batch
            batch, contexts = [], set()
        batch.append(file)
        contexts.add(file.context)
    if batch:
        yield batch


def _send_batch(batch: Sequence[_File], target: Target, calling: str) -> Iterator[Failure | None]:
    entity = pynetdicom.AE(ae_title=calling)
    entity.maximum_pdu_size = _PDU_BYTES
    entity.connection_timeout = 10
    contexts = [
        pynetdicom.build_context(sop_class, syntax)
        for sop_class, syntax in dict.fromkeys(file.context for file in batch)
    ]
    peer = entity.associate(target.host, target.port, contexts=contexts, ae_title=target.aet, max_pdu=_PDU_BYTES)
    try:
        for file in batch:
            yield _send_one(peer, file)
    finally:
        if peer.is_established:
            peer.release()


def _send_one(peer: association.Association, file: _File) -> Failure | None:
    if not peer.is_established:
        refused = "the peer refused the association" if peer.is_rejected else "no association with the peer"
        return Failure(path=file.path, status=None, text=refused)
    try:
        status = peer.send_c_store(file.path)
    except (ValueError, AttributeError, RuntimeError, OSError) as exc:
        return Failure(path=file.path, status=None, text=str(exc) or type(exc).__name__)
    if "Status" not in status:
        return Failure(path=file.path, status=None, text="the association broke before an answer came")
    code = int(status.Status)
    if code == 0 or code & 0xF000 == 0xB000:  # success, or stored with a warning (PS3.4 table B.2-1)
        return None
    comment = str(status.get("ErrorComment", "")) or "the peer refused the object"
    return Failure(path=file.path, status=code, text=comment)
