"""DICOM: each folder a case, with a CT series and what a reader drew on it, as SEG or RTSTRUCT, in any files.

What is drawn is brought to its voxel by its position in mm; the order of frames, contours or files means nothing.
"""

import contextlib
import dataclasses
import functools
import pathlib
import warnings
from collections.abc import Iterator

import pydicom
from pydicom import misc, uid

from training import errors, labelled
from training.readers import contours, segments, series, site

SOURCE = "DICOM of the site"
_CT = {uid.CTImageStorage}
_DRAWN = {
    uid.SegmentationStorage: segments.draw,
    uid.UID("1.2.840.10008.5.1.4.1.1.66.7"): segments.draw,  # label map, unknown to pydicom yet
    uid.RTStructureSetStorage: contours.draw,
}
_SUFFIXES = (".dcm", ".ima")
_REFERENCES = ("ReferencedSeriesSequence", "RTReferencedSeriesSequence")
_TAGS = ["SOPClassUID", "Modality", "SeriesInstanceUID", "FrameOfReferenceUID"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """Hold what a folder has: the files of each CT series, its frame of reference, and what was drawn."""

    images: dict[str, list[pathlib.Path]]
    frames: dict[str, str]
    drawn: list[pydicom.Dataset]


def find(folder: pathlib.Path, said: site.Site) -> list[site.Entry]:
    """List the cases: the folders in `folder`, or itself where it holds the files."""
    if not folder.is_dir():
        msg = f"{folder} is no folder"
        raise errors.DatasetError(msg)
    homes = [path for path in folder.iterdir() if path.is_dir()] or [folder]
    if homes != [folder] and any(_is_dicom(path) for path in folder.iterdir()):
        msg = f"{folder} holds DICOM files beside folders: give each case a folder of its own"
        raise errors.DatasetError(msg)
    return [
        site.Entry(name=path.name, read=functools.partial(read, path.name, path, said))
        for path in sorted(homes, key=lambda path: site.natural(path.name))
    ]


def _is_dicom(path: pathlib.Path) -> bool:
    return (
        path.is_file() and path.name.upper() != "DICOMDIR" and (path.suffix.lower() in _SUFFIXES or misc.is_dicom(path))
    )


def read(name: str, folder: pathlib.Path, said: site.Site) -> labelled.LabelledScan:
    """Read one case; RefusedCase."""
    held = _contents(name, folder)
    if not held.images:
        raise errors.Unreadable(name, "the folder holds no CT image")
    if not held.drawn and name not in said.zeros:
        raise errors.NotAnnotated(name, "there is no SEG or RTSTRUCT: not annotated, which is not zero")
    scanned = series.read(name, sorted(held.images[_series_of(name, held)]))
    codes = series.blank(scanned.loaded.volume)
    with _translated(name):
        for each in held.drawn:
            _DRAWN[each.SOPClassUID](scanned, each, codes, said)
    return scanned.scan(codes, said, SOURCE)


def _contents(name: str, folder: pathlib.Path) -> Contents:
    """Sort a folder's DICOM files; others are passed over, unless they are called DICOM: they may hold a mask."""
    held = Contents(images={}, frames={}, drawn=[])
    with _translated(name):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                header = pydicom.dcmread(path, specific_tags=_TAGS, stop_before_pixels=True)
            except pydicom.errors.InvalidDicomError:
                if path.suffix.lower() in _SUFFIXES:
                    raise
                continue
            kind = header.get("SOPClassUID")
            if kind in _CT or (not kind and header.get("Modality") == "CT"):  # some anonymisers empty it
                held.images.setdefault(header.SeriesInstanceUID, []).append(path)
                held.frames[header.SeriesInstanceUID] = str(header.get("FrameOfReferenceUID") or "")
            elif kind in _DRAWN:
                held.drawn.append(pydicom.dcmread(path))
    return held


def _series_of(name: str, held: Contents) -> str:
    """Return the one CT series that what was drawn speaks of; Misaligned."""
    meant = set(held.images) if not held.drawn else set()
    for each in held.drawn:
        named = _referenced(each, held)
        if not named:
            raise errors.Misaligned(name, "what is drawn speaks of no CT series that is there")
        meant |= named
    if len(meant) != 1:
        raise errors.Misaligned(name, f"{len(meant)} CT series may be meant: give each a folder of its own")
    return meant.pop()


def _referenced(drawn: pydicom.Dataset, held: Contents) -> set[str]:
    """Return the CT series an object names, or else those in its frame of reference."""
    elements = list(drawn.iterall())
    items = [item for element in elements if element.keyword in _REFERENCES for item in element.value]
    named = {str(item.get("SeriesInstanceUID")) for item in items} & set(held.images)
    frames = {str(element.value) for element in elements if element.keyword == "FrameOfReferenceUID"}
    return named or {series_uid for series_uid, frame in held.frames.items() if frame in frames}


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Translate what pydicom raises, which is nearly everything, and drop its warnings: they quote the patient."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (errors.TrainingError, MemoryError):
        raise
    except Exception as exc:  # pydicom raises whatever it stumbles over
        raise errors.Unreadable(name, f"a DICOM object cannot be read ({type(exc).__name__}: {exc})") from exc
