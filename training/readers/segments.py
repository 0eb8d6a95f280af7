"""Segments of a DICOM SEG (PS3.3 A.51), each frame brought to its slice by its position."""

import numpy as np
import pydicom
from numpy.typing import NDArray

from training import errors, labelled
from training.readers import series, site


def draw(scanned: series.Series, drawn: pydicom.Dataset, codes: NDArray[np.uint8], said: site.Site) -> None:
    """Draw all segments into codes, in the orientation of the scan's images; RefusedCase."""
    labels = {int(each.SegmentNumber): _label(scanned.name, each, said) for each in drawn.SegmentSequence}
    stored = drawn.pixel_array
    frames = stored[None] if stored.ndim == 2 else stored
    for number, frame in enumerate(frames):
        own = drawn.PerFrameFunctionalGroupsSequence[number]
        for segment, pixels in _split(drawn, own, frame):
            if labels[segment] and pixels.any():
                _place(scanned, drawn, own, pixels, labels[segment], codes)


def _label(case: str, segment: pydicom.Dataset, said: site.Site) -> labelled.Label:
    name = str(segment.get("SegmentLabel", ""))
    if segment.get("SegmentAlgorithmType") == "AUTOMATIC" and not said.automatic:
        msg = f"an algorithm drew the segment '{name}', no reader; where one checked it, say --automatic"
        raise errors.NotAnnotated(case, msg)
    return said.label(case, name)


def _split(
    drawn: pydicom.Dataset, own: pydicom.Dataset, frame: NDArray[np.generic]
) -> list[tuple[int, NDArray[np.bool_]]]:
    """Return the segments of one frame and their pixels."""
    if drawn.SegmentationType == "LABELMAP":
        return [(int(number), frame == number) for number in np.unique(frame) if number]
    at_least = (int(drawn.MaximumFractionalValue) + 1) // 2 if drawn.SegmentationType == "FRACTIONAL" else 1
    group = _group(drawn, own, "SegmentIdentificationSequence")
    return [(int(group.ReferencedSegmentNumber), frame >= at_least)]


def _place(
    scanned: series.Series,
    drawn: pydicom.Dataset,
    own: pydicom.Dataset,
    pixels: NDArray[np.bool_],
    label: labelled.Label,
    codes: NDArray[np.uint8],
) -> None:
    corner = np.array(_group(drawn, own, "PlanePositionSequence").ImagePositionPatient, np.float64)
    turn = np.array(_group(drawn, own, "PlaneOrientationSequence").ImageOrientationPatient, np.float64)
    row_mm, column_mm = (float(mm) for mm in _group(drawn, own, "PixelMeasuresSequence").PixelSpacing)
    rows, columns = np.nonzero(pixels)
    points = corner + np.outer(columns * column_mm, turn[:3]) + np.outer(rows * row_mm, turn[3:])
    slices, places = scanned.places(points)
    nearest = np.rint(places).astype(np.int64)
    if (np.abs(places - nearest) > series.OFF_GRID).any() or (nearest < 0).any() or (nearest >= codes.shape[1:]).any():
        raise errors.Misaligned(scanned.name, "the segmentation's pixels are not the scan's: it has another grid")
    if len(np.unique(np.column_stack([slices, nearest]), axis=0)) < len(rows):
        raise errors.Misaligned(scanned.name, "the segmentation's pixels are finer than the scan's")
    series.add(codes, label, (slices, nearest[:, 0], nearest[:, 1]))


def _group(drawn: pydicom.Dataset, own: pydicom.Dataset, name: str) -> pydicom.Dataset:
    """Return a functional group of a frame: its own, or that which all share."""
    held = own if name in own else drawn.SharedFunctionalGroupsSequence[0]
    return held[name].value[0]
