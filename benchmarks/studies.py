"""Phantom studies without number for benchmarks: a few are made, the others are copies under other UIDs."""

import dataclasses
import hashlib
import pathlib
import sys
import tempfile
from collections.abc import Callable, Sequence

import pydicom

from cac.phantom import scan
from triage.dicom import phantom_series

_PIXELS = b"\xe0\x7f\x10\x00OW"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """Name a phantom: the score wanted, the increment in mm, and the seed."""

    agatston: float
    increment: float
    seed: int


# As many calcium-free studies as positives, thin slices and thick: neither the best nor the worst of days.
KINDS = (
    Kind(agatston=0, increment=3.0, seed=210),
    Kind(agatston=120, increment=1.5, seed=211),
    Kind(agatston=0, increment=1.5, seed=212),
    Kind(agatston=40, increment=3.0, seed=213),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """Hold one study of one series: its objects as DICOM files, in order."""

    study_uid: str
    series_uid: str
    files: tuple[bytes, ...]

    def write(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Write the objects into a folder; return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{number:04d}.dcm" for number in range(len(self.files))]
        for path, content in zip(paths, self.files, strict=True):
            path.write_bytes(content)
        return paths

    def copy(self, number: int) -> "Study":
        """Return the same images under the UIDs of the `number`th copy; no length in the files changes."""
        renamed: dict[bytes, bytes] = {}

        def rename(uid: str) -> str:
            renamed[uid.encode()] = _other(uid, number).encode()
            return _other(uid, number)

        study, series = rename(self.study_uid), rename(self.series_uid)
        files = []
        for content in self.files:
            head, mark, pixels = content.partition(_PIXELS)
            sop = _sop_uid(head)
            for old, new in {**renamed, sop: _other(sop.decode(), number).encode()}.items():
                head = head.replace(old, new)
            files.append(head + mark + pixels)
        return Study(study_uid=study, series_uid=series, files=tuple(files))


def make(kinds: Sequence[Kind] = KINDS) -> list[Study]:
    """Make one study of each kind; seconds each."""
    made = []
    with tempfile.TemporaryDirectory(prefix="cac-triage-bench-") as folder:
        for kind in kinds:
            print(f"making a phantom: Agatston {kind.agatston:g}, {kind.increment:g} mm", file=sys.stderr, flush=True)
            phantom = scan.make(agatston=kind.agatston, seed=kind.seed, increment=kind.increment, mimics=3)
            paths = phantom_series.write_series(phantom, pathlib.Path(folder) / str(kind.seed), seed=kind.seed)
            first = pydicom.dcmread(paths[0], stop_before_pixels=True)
            made.append(
                Study(
                    study_uid=str(first.StudyInstanceUID),
                    series_uid=str(first.SeriesInstanceUID),
                    files=tuple(path.read_bytes() for path in paths),
                )
            )
    return made


def endless(originals: Sequence[Study]) -> Callable[[], Study]:
    """Return a function that gives another study at each call, the kinds in turn."""
    count = 0

    def following() -> Study:
        nonlocal count
        count += 1
        return originals[(count - 1) % len(originals)].copy(count)

    return following


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that `part` of all do not exceed (nearest rank); NaN of nothing."""
    ranked = sorted(values)
    return ranked[max(-(-int(part * 1000) * len(ranked) // 1000) - 1, 0)] if ranked else float("nan")


def _sop_uid(head: bytes) -> bytes:
    """Return the SOP Instance UID that the file meta names: (0002,0003), UI, explicit VR."""
    start = head.index(b"\x02\x00\x03\x00UI") + 8
    length = int.from_bytes(head[start - 2 : start], "little")
    return head[start : start + length].rstrip(b"\0")


def _other(uid: str, number: int) -> str:
    """Return another UID of the same length under 2.25, below 2**128 as PS3.5 B.2 wants."""
    digits = str(int.from_bytes(hashlib.sha256(f"{uid} {number}".encode()).digest(), "big"))
    return f"2.25.1{digits[: len(uid) - 6]}"
