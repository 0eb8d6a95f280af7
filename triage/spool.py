"""The spool: every received object as it came, durable before its sender hears of success.

Files lie in `<study>/<series>/<sop>.dcm`; another object under a UID already taken in `<sop>.<sha256[:16]>.aside.dcm`.
`.unnoted` holds a marker for each file whose row could not be written, `.locks` the locks of UIDs being stored.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import os
import pathlib
import re
import secrets
import sys
import zlib
from collections.abc import Iterator

from triage import errors, uids

_ASIDE = ".aside.dcm"
_TEMPORARY = ".tmp"
_UNNOTED = ".unnoted"
_LOCKS = ".locks"
_STRIPES = 256
_FOLDERS_REMEMBERED = 4096
_META_LENGTH = re.compile(rb"DICM\x02\x00\x00\x00UL\x04\x00(.{4})", re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Name where an object belongs; a bad UID raises InvalidUid here, before any file is touched."""

    study_uid: str
    series_uid: str
    sop_uid: str

    def __post_init__(self) -> None:
        for uid in (self.study_uid, self.series_uid, self.sop_uid):
            uids.check(uid)

    @property
    def folder(self) -> str:
        """Return the series folder, relative to the spool."""
        return f"{self.study_uid}/{self.series_uid}"

    @property
    def path(self) -> str:
        """Return the object's own path, relative to the spool."""
        return f"{self.folder}/{self.sop_uid}.dcm"

    def aside(self, sha256: str) -> str:
        """Return the path of another object that came under this UID, relative to the spool."""
        return f"{self.folder}/{self.sop_uid}.{sha256[:16]}{_ASIDE}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """Say where an object lies. `sha256` is over the data set without file meta: how it was sent, not who kept it."""

    path: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content:
    """Hold an object's bytes: `head` is preamble and file meta, `body` the data set as received."""

    head: bytes
    body: bytes

    @classmethod
    def of_file(cls, data: bytes) -> "Content":
        """Split a DICOM file at its data set; anything else is all body."""
        length = _META_LENGTH.match(data, 128)
        if length is None:
            return cls(head=b"", body=data)
        start = length.end() + int.from_bytes(length[1], "little")
        return cls(head=data[:start], body=data[start:])

    @functools.cached_property
    def sha256(self) -> str:
        """Return the hash of the data set."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def size(self) -> int:
        """Return the size of the file in bytes."""
        return len(self.head) + len(self.body)


class Spool:
    """Keep received objects in one folder; every OSError leaves as StorageError."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self._known_folders: set[str] = set()
        with _translated():
            for folder in (root, root / _UNNOTED, root / _LOCKS):
                folder.mkdir(parents=True, exist_ok=True)
                _sync(folder.parent)

    def store(self, study_uid: str, series_uid: str, sop_uid: str, data: bytes | Content) -> Stored:
        """Write an object durably under its own name: temporary file, sync, rename, folder sync.

        Raises InvalidUid before any file is touched.
        """
        place = Place(study_uid=study_uid, series_uid=series_uid, sop_uid=sop_uid)
        content = data if isinstance(data, Content) else Content.of_file(data)
        return self._write(place.folder, place.path, content)

    def store_aside(self, study_uid: str, series_uid: str, sop_uid: str, data: bytes | Content) -> Stored:
        """Write an object whose UID is taken, durably, under a name that holds its hash."""
        place = Place(study_uid=study_uid, series_uid=series_uid, sop_uid=sop_uid)
        content = data if isinstance(data, Content) else Content.of_file(data)
        return self._write(place.folder, place.aside(content.sha256), content)

    def find(self, path: str) -> Stored | None:
        """Return what lies under a relative path, None where nothing does."""
        try:
            data = self.absolute(path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise errors.StorageError(f"the spool cannot be read: {exc.strerror}") from exc
        return Stored(path=path, size=len(data), sha256=Content.of_file(data).sha256)

    def confirm(self, path: str) -> None:
        """Sync a finished file and the folders it lies in: who renamed it may have failed to, or died before."""
        final = self.absolute(path)
        with _translated():
            for each in (final, final.parent, final.parent.parent, self.root):
                _sync(each)

    def move_aside(self, path: str, sha256: str) -> str:
        """Rename a finished file to its aside name, durably; return the new relative path."""
        target = place_of(path).aside(sha256)
        with _translated():
            os.rename(self.absolute(path), self.absolute(target))
            _sync(self.absolute(target).parent)
        return target

    def absolute(self, path: str) -> pathlib.Path:
        """Return the full path of a path relative to the spool."""
        return self.root / path

    def walk(self) -> Iterator[str]:
        """Yield the relative paths of all finished files, by study and series, those kept aside last in each."""
        with _translated():
            for study in _folders(self.root):
                for series in _folders(study):
                    names = [entry.name for entry in os.scandir(series) if entry.name.endswith(".dcm")]
                    for name in sorted(names, key=lambda name: (name.endswith(_ASIDE), name)):
                        yield f"{study.name}/{series.name}/{name}"

    def remove_leftovers(self) -> int:
        """Remove temporary files that no living writer holds; return how many."""
        removed = 0
        with _translated():
            for path in self.root.rglob(f"*{_TEMPORARY}"):
                with contextlib.suppress(OSError), path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    removed += 1
        return removed

    def free_bytes(self) -> int:
        """Return the room left for an unprivileged writer."""
        with _translated():
            stat = os.statvfs(self.root)
            return stat.f_bavail * stat.f_frsize

    @contextlib.contextmanager
    def exclusive(self, sop_uid: str) -> Iterator[None]:
        """Hold a UID against every thread and process of this machine; a dead holder lets go by dying."""
        lock = self.root / _LOCKS / f"{zlib.crc32(sop_uid.encode()) % _STRIPES:02x}"
        with _translated():
            stripe = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with _translated():
                fcntl.flock(stripe, fcntl.LOCK_EX)
            yield
        finally:
            os.close(stripe)

    def mark_unnoted(self, path: str) -> None:
        """Leave a durable marker that a stored file still has to be noted in the database."""
        name = hashlib.sha256(path.encode()).hexdigest()
        self._write(_UNNOTED, f"{_UNNOTED}/{name}", Content(head=b"", body=path.encode()))

    def unnoted(self) -> list[str]:
        """Return the relative paths of files that still have to be noted."""
        with _translated():
            markers = sorted((self.root / _UNNOTED).iterdir())
            return [marker.read_text() for marker in markers if not marker.name.endswith(_TEMPORARY)]

    def clear_unnoted(self, path: str) -> None:
        """Forget the marker of a file that is noted now."""
        with _translated():
            (self.root / _UNNOTED / hashlib.sha256(path.encode()).hexdigest()).unlink(missing_ok=True)

    def _write(self, folder: str, path: str, content: Content) -> Stored:
        with _translated():
            self._make_folder(folder)
            final = self.root / path
            temporary = final.with_name(f".{secrets.token_hex(8)}{_TEMPORARY}")
            try:
                self._put(temporary, final, content)
            except BaseException:  # whatever ended it: no half file stays
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            _sync(final.parent)
        return Stored(path=path, size=content.size, sha256=content.sha256)

    def _put(self, temporary: pathlib.Path, final: pathlib.Path, content: Content) -> None:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for part in (content.head, content.body):
                _write_all(descriptor, part)
            # The disk writes while the hash is made: the sync then waits for what is left.
            _begin_to_write_out(descriptor)
            _ = content.sha256
            os.fsync(descriptor)
            os.rename(temporary, final)
        finally:
            os.close(descriptor)

    def _make_folder(self, folder: str) -> None:
        # A folder that is there may be another thread's, not synced yet: each is synced once here, new or not.
        path = self.root / folder
        if folder in self._known_folders and path.is_dir():
            return
        path.mkdir(parents=True, exist_ok=True)
        _sync(path.parent)
        _sync(self.root)
        if len(self._known_folders) >= _FOLDERS_REMEMBERED:
            self._known_folders.clear()
        self._known_folders.add(folder)


def place_of(path: str) -> Place:
    """Return the UIDs that a spool path names; raises InvalidUid for any other path."""
    parts = path.split("/")
    if len(parts) != 3 or not parts[2].endswith(".dcm"):
        raise errors.InvalidUid("not a path of the spool")
    name = parts[2].removesuffix(".dcm")
    if is_aside(path):
        name = name.removesuffix(".aside").rpartition(".")[0]
    return Place(study_uid=parts[0], series_uid=parts[1], sop_uid=name)


def is_aside(path: str) -> bool:
    """Say whether a spool path is that of an object kept aside."""
    return path.endswith(_ASIDE)


def _folders(path: pathlib.Path) -> list[pathlib.Path]:
    return sorted(pathlib.Path(entry.path) for entry in os.scandir(path) if entry.is_dir() and entry.name[0] != ".")


def _write_all(descriptor: int, part: bytes) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(descriptor, view) :]


def _begin_to_write_out(descriptor: int) -> None:
    """Start writing a file's data to the disk, and return; Linux does so on this advice, elsewhere nothing is lost."""
    if sys.platform == "linux":
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def anything_waits(root: pathlib.Path) -> bool:
    """Tell whether a file of this spool still has to be noted; also where that cannot be seen."""
    try:
        return bool(os.listdir(root / _UNNOTED))
    except FileNotFoundError:  # no listener has worked here yet
        return False
    except OSError:
        return True


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise errors.StorageError(f"the spool failed: {exc.strerror or type(exc).__name__}") from exc
