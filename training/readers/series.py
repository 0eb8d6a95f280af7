"""A CT series and what was drawn on its images, in the orientation of the images as they were sent."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage import draw

from cac import errors as cac_errors
from cac import suitability, volume
from training import errors, labelled
from training.readers import checks, site
from triage import errors as triage_errors
from triage.dicom import reading
from worker import analyse

OFF_GRID = 0.1
"""Voxels by which what was drawn may lie off the scan's own grid: rounding, not another grid."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Hold a series' volume and headers; `refused` are the codes of what its headers say against it."""

    name: str
    loaded: reading.LoadedSeries
    refused: tuple[str, ...]

    @property
    def patient(self) -> str:
        """Return a stand-in for the patient's identity: equal for equal ones, and naming nobody; '' without one."""
        known = str(self.loaded.sources[0].get("PatientID") or "").strip()
        return "p-" + hashlib.sha256(known.encode()).hexdigest()[:16] if known else ""

    def shown(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn an array of the volume to the images' own rows and columns, or back."""
        rows, columns = (-1 if flip else 1 for flip in (self.loaded.flip_rows, self.loaded.flip_columns))
        return array[:, ::rows, ::columns]

    def places(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return where points (n, 3), LPS in mm, lie: their slices, and (row, column) of the slice's image.

        Raises Misaligned for points between slices or outside the stack.
        """
        first = self.loaded.sources[0]
        along = np.array(first.ImageOrientationPatient, np.float64).reshape(2, 3)
        corners = np.array([each.ImagePositionPatient for each in self.loaded.sources], np.float64)
        normal = np.cross(*along)
        heights = corners @ normal
        wanted = points @ normal
        number = np.abs(wanted[:, None] - heights).argmin(axis=1)
        if (np.abs(wanted - heights[number]) > OFF_GRID * self.loaded.volume.spacing[0]).any():
            raise errors.Misaligned(self.name, "what is drawn lies between the scan's slices, or outside of them")
        across = (points - corners[number]) @ along.T
        row_mm, column_mm = (float(mm) for mm in first.PixelSpacing)
        return number, np.stack([across[:, 1] / row_mm, across[:, 0] / column_mm], axis=1)

    def scan(self, codes: NDArray[np.uint8], said: site.Site, source: str, patient: str = "") -> labelled.LabelledScan:
        """Check what was drawn (codes in the images' orientation) and return it with the scan."""
        truth = checks.truth(self.name, self.loaded.volume, np.ascontiguousarray(self.shown(codes)), said)
        return labelled.LabelledScan(
            name=self.name,
            patient=patient or self.patient or said.patient_of(self.name),
            source=source,
            volume=self.loaded.volume,
            truth=truth,
            refused=self.refused,
        )


def read(name: str, paths: Sequence[pathlib.Path]) -> Series:
    """Read a series as the node does; Unreadable."""
    try:
        headers = reading.read_headers(paths)
        refused = tuple(str(reason.code) for reason in analyse.header_objections(headers, suitability.Limits()))
        loaded = reading.load_series(headers)
    except (cac_errors.GeometryError, triage_errors.TriageError) as exc:
        raise errors.Unreadable(name, str(exc)) from exc
    return Series(name=name, loaded=loaded, refused=refused)


def blank(scan: volume.Volume) -> NDArray[np.uint8]:
    """Return codes on a scan's grid with nothing drawn."""
    return np.zeros(scan.hu.shape, np.uint8)


def fill(
    name: str, corners: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the pixels whose centres lie in a polygon (n, 2) of (row, column); Misaligned.

    A polygon of one or two points is the pixels it names.
    """
    if (corners < -1).any() or (corners > shape).any():
        raise errors.Misaligned(name, "a contour leaves the image")
    if len(corners) < 3:
        at = np.clip(np.rint(corners), 0, np.array(shape) - 1).astype(np.int64)
        return at[:, 0], at[:, 1]
    rows, columns = draw.polygon(corners[:, 0], corners[:, 1], shape)
    return rows, columns


def add(
    codes: NDArray[np.uint8], label: labelled.Label, where: tuple[NDArray[np.int64] | int, ...] | NDArray[np.bool_]
) -> None:
    """Draw a label into codes. What is there stays, but for calcium whose artery nobody named."""
    before = codes[where]
    codes[where] = np.where(before <= labelled.Label.CORONARY, np.maximum(before, np.uint8(label)), before)
