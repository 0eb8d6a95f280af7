"""Contours of a DICOM RTSTRUCT (PS3.3 C.8.8.6), each brought to its slice by its position."""

import numpy as np
import pydicom
from numpy.typing import NDArray

from training import errors
from training.readers import series, site


def draw(scanned: series.Series, drawn: pydicom.Dataset, codes: NDArray[np.uint8], said: site.Site) -> None:
    """Draw all regions into codes, in the orientation of the scan's images; RefusedCase.

    Contours of a region add up. CLOSEDPLANAR_XOR cuts out what two of them share, and POINT is the pixel it lies in.
    """
    names = {int(each.ROINumber): str(each.ROIName) for each in drawn.StructureSetROISequence}
    for region in drawn.get("ROIContourSequence", []):
        listed = region.get("ContourSequence", [])
        if not listed:
            continue
        label = said.label(scanned.name, names[int(region.ReferencedROINumber)])
        if not label:
            continue
        inside = np.zeros(codes.shape, np.bool_)
        for contour in listed:
            _mark(scanned, contour, inside)
        series.add(codes, label, inside)


def _mark(scanned: series.Series, contour: pydicom.Dataset, inside: NDArray[np.bool_]) -> None:
    kind = str(contour.get("ContourGeometricType", ""))
    if kind not in ("POINT", "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        raise errors.Unreadable(scanned.name, f"a contour of type '{kind}' encloses nothing")
    points = np.array(contour.ContourData, np.float64).reshape(-1, 3)
    slices, corners = scanned.places(points)
    if len(set(slices.tolist())) != 1:
        raise errors.Misaligned(scanned.name, "a contour crosses slices")
    where = (slices[0], *series.fill(scanned.name, corners, inside.shape[1:]))
    inside[where] = ~inside[where] if kind == "CLOSEDPLANAR_XOR" else True
