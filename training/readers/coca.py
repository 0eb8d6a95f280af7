"""Stanford COCA, gated: `patient/<id>/<series>/*.dcm` and `calcium_xml/<id>.xml`, a property list of OsiriX.

ImageIndex counts from 0 at the lowest slice, Point_px is (column, row) in the image as it was sent. The list states
each ROI's largest value and, by Total / Mean, its pixel count: the filled polygon must have both (SCIENCE.md 3).
"""

import dataclasses
import functools
import pathlib
import plistlib
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from cac import volume
from training import errors, labelled
from training.readers import series, site

SOURCE = "Stanford COCA, gated (its licence forbids redistribution)"
SAME_HU = 0.51
SAME_COUNT = 0.1
"""Part by which the count of pixels may differ, beside one: programs disagree on pixels that an edge runs through."""

_ARTERIES: site.Names = {**site.ARTERIES, "left coronary artery": labelled.Label.LM}
_POINT = re.compile(r"\(\s*(-?[\d.eE+-]+)\s*,\s*(-?[\d.eE+-]+)\s*\)")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Roi:
    """Hold one ROI. `corners` (n, 2) are (row, column); `largest` HU and `pixels` are stated by the list, or None."""

    name: str
    index: int
    corners: NDArray[np.float64]
    largest: float | None
    pixels: float | None


def find(folder: pathlib.Path, said: site.Site) -> list[site.Entry]:
    """List the cases: every patient that has images or annotations."""
    if not (folder / "patient").is_dir():
        msg = f"{folder} holds no folder 'patient': is it the one of the gated scans?"
        raise errors.DatasetError(msg)
    names = {path.name for path in (folder / "patient").iterdir() if path.is_dir()}
    names |= {path.stem for path in _ending(folder / "calcium_xml", ".xml")}
    return [
        site.Entry(name=name, read=functools.partial(read, name, folder, said))
        for name in sorted(names, key=site.natural)
    ]


def read(name: str, folder: pathlib.Path, said: site.Site) -> labelled.LabelledScan:
    """Read one patient; RefusedCase."""
    told = next((path for path in _ending(folder / "calcium_xml", ".xml") if path.stem == name), None)
    if told is None and name not in said.zeros:
        raise errors.NotAnnotated(name, f"there is no calcium_xml/{name}.xml: not annotated, which is not zero")
    homes = sorted({path.parent for path in _ending(folder / "patient" / name, ".dcm")})
    if len(homes) != 1:
        raise errors.Unreadable(name, f"{len(homes)} folders of patient/{name} hold DICOM files, not one")
    drawn = series.read(name, [path for path in _ending(homes[0], ".dcm") if path.parent == homes[0]])
    codes = series.blank(drawn.loaded.volume)
    found = rois(name, told) if told else []
    labels = [said.label(name, roi.name, _ARTERIES) for roi in found]
    kept = [(roi, label) for roi, label in zip(found, labels, strict=True) if label]
    hu = drawn.shown(drawn.loaded.volume.hu)
    _compare(name, [roi for roi, _ in kept], hu)
    for roi, label in kept:
        number = len(hu) - 1 - roi.index
        series.add(codes, label, (number, *series.fill(name, roi.corners, hu.shape[1:])))
    return drawn.scan(codes, said, SOURCE, patient=name)


def _ending(folder: pathlib.Path, ending: str) -> list[pathlib.Path]:
    """List the files below a folder with an ending, in whatever case: copies from other systems shout."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ending)


def rois(name: str, path: pathlib.Path) -> list[Roi]:
    """Return the ROIs of a list that hold any point; Unreadable."""
    try:
        listed = plistlib.loads(path.read_bytes())
        return [roi for image in listed["Images"] for roi in _of_image(image)]
    except (OSError, plistlib.InvalidFileException, expat.ExpatError, KeyError, TypeError, ValueError) as exc:
        msg = f"{path.name} is no list of ROIs as COCA has them ({type(exc).__name__}: {exc})"
        raise errors.Unreadable(name, msg) from exc


def _of_image(image: dict[str, Any]) -> Iterator[Roi]:
    for roi in image["ROIs"]:
        points = [_POINT.fullmatch(str(text).strip()) for text in roi["Point_px"]]
        if not points:
            continue
        if not all(points):
            msg = f"ROI '{roi['Name']}' has a point that is none"
            raise ValueError(msg)
        corners = np.array([(float(point[2]), float(point[1])) for point in points if point])
        mean, total = roi.get("Mean"), roi.get("Total")
        yield Roi(
            name=str(roi["Name"]),
            index=int(image["ImageIndex"]),
            corners=corners,
            largest=None if roi.get("Max") is None else float(roi["Max"]),
            pixels=float(total) / float(mean) if mean and total is not None else None,
        )


def _compare(name: str, found: list[Roi], hu: volume.FloatArray) -> None:
    """Hold every ROI against what its list says of it; ImplausibleMask with a hint at what would fit."""
    wrong = [text for roi in found if (text := _wrong(name, roi, hu[::-1]))]
    if not wrong:
        return
    others = {
        "ImageIndex counted from the head": hu,
        "rows reversed": hu[::-1, ::-1],
        "columns reversed": hu[::-1, :, ::-1],
        "rows and columns reversed": hu[::-1, ::-1, ::-1],
    }
    if hu.shape[1] == hu.shape[2]:
        others["rows and columns exchanged"] = hu[::-1].swapaxes(1, 2)
    fitting = [what for what, turned in others.items() if not any(_wrong(name, roi, turned) for roi in found)]
    hint = f"; all fit with {fitting[0]}" if fitting else ""
    raise errors.ImplausibleMask(name, f"{len(wrong)} of {len(found)} ROIs do not match the image: {wrong[0]}{hint}")


def _wrong(name: str, roi: Roi, hu: volume.FloatArray) -> str:
    """Say what differs between a ROI and its image, '' where nothing does; `hu` runs from the feet."""
    said = f"'{roi.name}' of ImageIndex {roi.index}"
    if not 0 <= roi.index < len(hu):
        return f"{said} names none of {len(hu)} images"
    inside = hu[(roi.index, *series.fill(name, roi.corners, hu.shape[1:]))]
    if not inside.size:
        return f"{said} encloses no pixel"
    if roi.largest is not None and abs(float(inside.max()) - roi.largest) > SAME_HU:
        return f"{said} reaches {inside.max():.0f} HU, its list says {roi.largest:.0f}"
    if roi.pixels is not None and abs(inside.size - roi.pixels) > 1 + SAME_COUNT * roi.pixels:
        return f"{said} has {inside.size} pixels, its list says {roi.pixels:.0f}"
    return ""
