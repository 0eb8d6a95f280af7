"""Image and mask of formats that carry an affine: one grid, turned to the axes of `cac.volume.Volume`."""

import nibabel
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from cac import volume
from training import errors
from training.readers import site
from triage.dicom import reading

SAME_AFFINE = 1e-3
_AXES = ("I", "P", "L")
"""Volume's: slices towards the feet, rows to the back, columns to the patient's left."""


def same(
    name: str,
    image: tuple[tuple[int, ...], NDArray[np.float64]],
    mask: tuple[tuple[int, ...], NDArray[np.float64]],
) -> None:
    """Raise Misaligned where shape or affine of image and mask differ."""
    if image[0] != mask[0]:
        raise errors.Misaligned(name, f"the mask has shape {mask[0]}, the image {image[0]}")
    apart = float(np.abs(image[1] - mask[1]).max())
    if not apart <= SAME_AFFINE:
        raise errors.Misaligned(name, f"the affines of image and mask differ by up to {apart:.4g} mm")


def codes(name: str, drawn: volume.FloatArray, said: site.Site, known: site.Names) -> NDArray[np.uint8]:
    """Turn the numbers of a mask into `labelled.Label`; UnknownName."""
    told = np.zeros(drawn.shape, np.uint8)
    for number in np.unique(drawn[drawn != 0]):
        told[drawn == number] = said.label(name, f"{number:g}", known)
    return told


def oriented(
    name: str, voxels: volume.FloatArray, affine: NDArray[np.float64], mask: NDArray[np.uint8], said: site.Site
) -> tuple[volume.Volume, NDArray[np.uint8]]:
    """Turn an image in HU and its mask, both (i, j, k) with an affine to RAS in mm, to the axes of a Volume.

    Raises Misaligned where the axes are not those of the body, within 3 degrees as in the node, or were never stated.
    """
    if np.array_equal(np.abs(affine), np.eye(4)):  # no scanner's, but every library's where nobody gave one
        raise errors.Misaligned(name, "voxels of 1 mm from the origin on: the image's own spacing and place are lost")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise errors.Misaligned(name, "the image's affine is none")
    to_body = orientations.ornt_transform(nibabel.io_orientation(affine), orientations.axcodes2ornt(_AXES))
    turned = affine @ orientations.inv_ornt_aff(to_body, voxels.shape)
    spacing = np.linalg.norm(turned[:3, :3], axis=0)
    cosines = np.abs(turned[[2, 1, 0], [0, 1, 2]]) / spacing
    if cosines.min() < volume.AXIAL_COSINE:
        raise errors.Misaligned(name, "the image's axes lie oblique to the body's: only axial slices can be used")
    x, y, z = turned[:3, 3]
    hu = np.ascontiguousarray(orientations.apply_orientation(voxels, to_body), np.float32)
    scan = volume.Volume(
        hu=np.maximum(hu, np.float32(reading.AIR_HU)),
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        thickness=float(spacing[0]) if said.thickness is None else said.thickness,
        origin=(-float(x), -float(y), float(z)),
    )
    return scan, np.ascontiguousarray(orientations.apply_orientation(mask, to_body))
