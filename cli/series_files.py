"""Which files of some folders belong to which series."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from triage import domain, errors, spool
from triage.dicom import headers


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesFiles:
    """Hold a series' files. `content_hash` is the one that the node would give the same images."""

    series_instance_uid: str
    paths: tuple[pathlib.Path, ...]
    content_hash: str


def group(paths: Sequence[pathlib.Path]) -> list[SeriesFiles]:
    """Group the DICOM files at and below some paths by series; the same object twice counts once.

    A path that does not exist or holds no DICOM with UIDs raises UnreadableImage.
    """
    series: dict[str, dict[tuple[str, str, str], pathlib.Path]] = {}
    for path in paths:
        found = 0
        for file in _files(path):
            instance = _inspect(file)
            if instance is None:
                continue
            found += 1
            key = (instance.sop_instance_uid, instance.sha256, instance.kind.value)
            series.setdefault(instance.series_instance_uid, {}).setdefault(key, file)
        if not found:
            what = "holds no DICOM object that names its series" if path.exists() else "does not exist"
            raise errors.UnreadableImage(f"{path} {what}.")
    return [
        SeriesFiles(series_instance_uid=uid, paths=tuple(files.values()), content_hash=_content_hash(files))
        for uid, files in series.items()
    ]


def _files(path: pathlib.Path) -> Iterator[pathlib.Path]:
    if path.is_dir():
        yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
    elif path.exists():
        yield path


def _inspect(path: pathlib.Path) -> domain.Instance | None:
    """Read a file's header; None where it is no DICOM object of a series, a DICOMDIR for instance."""
    try:
        data = path.read_bytes()
        header = headers.Header(data)
        header.check_uids()
    except (errors.UnreadableImage, errors.InvalidUid):
        return None
    except OSError as exc:
        raise errors.StorageError(f"{path} cannot be read: {exc.strerror}.") from exc
    sha256 = spool.Content.of_file(data).sha256
    return header.instance(spool.Stored(path=str(path), size=len(data), sha256=sha256))


def _content_hash(keys: Iterable[tuple[str, str, str]]) -> str:
    return hashlib.sha256("\n".join(sorted(" ".join(key) for key in keys)).encode()).hexdigest()
