"""Labelled scans in the formats of `training.readers`, generated: a small chest with dense spots at uneven places."""

import dataclasses
import pathlib
import plistlib

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 - as everybody calls it
import small_ct

from training import labelled

_L = labelled.Label
SHAPE = (7, 64, 64)
SPACING = (3.0, 0.5, 0.5)
ORIGIN = (-12.0, -20.0, 90.0)
SPOTS = {
    _L.LM: (slice(1, 2), slice(20, 22), slice(40, 43)),
    _L.LAD: (slice(1, 3), slice(12, 16), slice(44, 49)),
    _L.LCX: (slice(3, 4), slice(34, 37), slice(50, 52)),
    _L.RCA: (slice(4, 6), slice(26, 31), slice(9, 13)),
}
"""Where calcium lies, in the axes of Volume: no flip and no exchange of axes brings one spot onto another."""
ROI_NAMES = {
    _L.LM: "Left Coronary Artery",
    _L.LAD: "Left Anterior Descending",
    _L.LCX: "Left Circumflex",
    _L.RCA: "Right Coronary",
}


def hu(seed=0):
    """Return HU (slice, row, column), no voxel >= 130 but the spots."""
    random = np.random.default_rng(seed)
    made = random.uniform(0, 90, SHAPE)
    made[:, 2:12, 2:30] = -850
    for label, where in SPOTS.items():
        made[where] = 200 + 40 * label + random.uniform(0, 60, made[where].shape)
    return np.rint(made).astype(np.float32)


def truth():
    """Return the labels of `hu`, uint8."""
    made = np.zeros(SHAPE, np.uint8)
    for label, where in SPOTS.items():
        made[where] = label
    return made


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """Say how a series' images lie: rows or columns against the body's, files in any order."""

    rows: bool = False
    columns: bool = False


def write_ct(folder: pathlib.Path, values, turn: Turn = Turn(), **changes):
    """Write HU in Volume's axes as a CT series whose file names mean nothing; return the data sets, head first."""
    shown = values[:, :: -1 if turn.rows else 1, :: -1 if turn.columns else 1]
    x = ORIGIN[0] + (SHAPE[2] - 1) * SPACING[2] * turn.columns
    y = ORIGIN[1] + (SHAPE[1] - 1) * SPACING[1] * turn.rows
    cosines = [-1.0 if turn.columns else 1.0, 0.0, 0.0, 0.0, -1.0 if turn.rows else 1.0, 0.0]
    images = []
    for number, pixels in enumerate(shown):
        place = {
            "ImagePositionPatient": [x, y, ORIGIN[2] - number * SPACING[0]],
            "ImageOrientationPatient": cosines,
            "StudyTime": "101112",
            "PatientSex": "O",
        }
        image = small_ct.slice_of_ct(number, **{**place, **changes})
        image.PixelData = (pixels + 1024).astype(np.uint16).tobytes()
        images.append(image)
    folder.mkdir(parents=True, exist_ok=True)
    for number in np.random.default_rng(5).permutation(len(images)):
        path = folder / f"{(number * 37) % 101:03d}.dcm"
        pydicom.dcmwrite(path, images[number], enforce_file_format=True)
    return images


def rois(values, spots=None, names=ROI_NAMES, *, index=lambda number: SHAPE[0] - 1 - number):
    """Return COCA's list of ROIs for spots in the images' own rows and columns."""
    images = {}
    for label, (slices, rows, columns) in (spots or SPOTS).items():
        corners = [(columns.start, rows.start), (columns.stop - 1, rows.start)]
        corners += [(columns.stop - 1, rows.stop - 1), (columns.start, rows.stop - 1)]
        for number in range(slices.start, slices.stop):
            inside = values[number, rows, columns]
            roi = {
                "Name": names[label],
                "Point_px": [f"({x:f}, {y:f})" for x, y in corners],
                "NumberOfPoints": len(corners),
                "Max": float(inside.max()),
                "Min": float(inside.min()),
                "Mean": float(inside.mean()),
                "Total": float(inside.sum()),
                "Area": inside.size * 0.0025,
            }
            images.setdefault(index(number), []).append(roi)
    return {
        "Images": [{"ImageIndex": at, "NumberOfROIs": len(held), "ROIs": held} for at, held in sorted(images.items())]
    }


def write_coca(folder: pathlib.Path, name: str, values, listed=None, turn: Turn = Turn()):
    """Write a patient as COCA has them; `listed` is the property list, None for none."""
    write_ct(folder / "patient" / name / "Pro_Gated_CS_3.0", values, turn, PatientID=name)
    (folder / "calcium_xml").mkdir(exist_ok=True)
    if listed is not None:
        (folder / "calcium_xml" / f"{name}.xml").write_bytes(plistlib.dumps(listed))


def affine():
    """Return the affine to RAS of an array (column, row, slice) in Volume's axes."""
    made = np.diag([-SPACING[2], -SPACING[1], -SPACING[0], 1.0])
    made[:3, 3] = -ORIGIN[0], -ORIGIN[1], ORIGIN[2]
    return made


def write_nifti(path: pathlib.Path, values, axes="LPI", moved=0.0):
    """Write an array in Volume's axes as NIfTI whose voxels run along `axes`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = affine()
    matrix[0, 3] += moved
    image = nibabel.Nifti1Image(values.T, matrix)
    start = nibabel.io_orientation(matrix)
    end = nibabel.orientations.axcodes2ornt(tuple(axes))
    nibabel.save(image.as_reoriented(nibabel.orientations.ornt_transform(start, end)), path)


def write_mhd(path: pathlib.Path, values, moved=0.0):
    """Write an array in Volume's axes as orCaScore has them: from the feet upwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values[::-1]))
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((ORIGIN[0] + moved, ORIGIN[1], ORIGIN[2] - (SHAPE[0] - 1) * SPACING[0]))
    sitk.WriteImage(image, str(path))
