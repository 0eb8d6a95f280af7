"""Regions of one scan that are measured: blood and heart muscle, fat, muscle of the back, lung.

They are chosen on a blurred copy, well inside its limits, so that noise neither adds nor cuts a voxel.
"""

import dataclasses

import numpy as np
from scipy import ndimage

from benchmarks.likeness import subjects
from cac import components, volume

BLUR_MM = 2.0
"""SD in plane of the copy that regions are chosen on."""
POOL_DEPTH_MM = 6.0
BACK_MM = 30.0
"""What lies this far behind the vertebral bodies' front is the back's muscle."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tissues:
    """Hold one scan's slices of the heart, all that follows on them (slice, row, column), about the envelope's box.

    `back` and `lung` hold HU, for their voxels lie anywhere in the image; all other regions are masks on `hu`.
    """

    hu: volume.FloatArray
    spacing: tuple[float, float, float]
    apart: int
    core: volume.BoolArray
    envelope: volume.BoolArray
    pool: volume.BoolArray
    fat: volume.BoolArray
    back: volume.FloatArray
    lung: volume.FloatArray


def find(subject: subjects.Subject) -> Tissues:
    """Find the regions of one scan. `apart` is by how many slices two must differ to share no noise."""
    scan, located = subject.scan, subject.located
    where = components.bounds(located.envelope)
    slices = where[0]
    blurred = blur(scan.hu[slices], scan.spacing, BLUR_MM)
    near = blurred[:, where[1], where[2]]
    core, envelope = located.core[where], located.envelope[where]
    soft = core & (near > 15) & (near < 85)
    fat = envelope & (near > -130) & (near < -70)
    depth = max(1, int(np.ceil(scan.thickness / scan.spacing[0] - 0.05)))
    return Tissues(
        hu=scan.hu[where],
        spacing=scan.spacing,
        apart=depth,
        core=core,
        envelope=envelope,
        pool=_inner(soft, scan.spacing, POOL_DEPTH_MM),
        fat=_inner(fat, scan.spacing, 1.5),
        back=_back(subject, blurred, slices),
        lung=_lung(subject, slices),
    )


def blur(hu: volume.FloatArray, spacing: tuple[float, float, float], mm: float) -> volume.FloatArray:
    """Blur slices in plane by an SD in mm."""
    blurred: volume.FloatArray = ndimage.gaussian_filter(hu, (0, mm / spacing[1], mm / spacing[2]))
    return blurred


def _inner(mask: volume.BoolArray, spacing: tuple[float, float, float], mm: float) -> volume.BoolArray:
    """Keep what lies deep in a region, slice by slice."""
    kept = np.zeros_like(mask)
    for z in range(len(mask)):
        kept[z] = ndimage.distance_transform_edt(mask[z], sampling=spacing[1:]) > mm
    return kept


def _back(subject: subjects.Subject, blurred: volume.FloatArray, slices: slice) -> volume.FloatArray:
    scan, chest = subject.scan, subject.chest
    coarse = np.minimum(np.arange(slices.start, slices.stop) // chest.grid.step[0], len(chest.spine_front) - 1)
    front = (chest.spine_front[coarse] + 0.5) * chest.grid.step[1] + BACK_MM / scan.spacing[1]
    behind = np.arange(scan.hu.shape[1])[:, None] > front[:, None, None]
    muscle = _inner((blurred > 15) & (blurred < 90) & behind, scan.spacing, 3.0)
    return np.asarray(scan.hu[slices][muscle], np.float32)


def _lung(subject: subjects.Subject, slices: slice) -> volume.FloatArray:
    scan, grid = subject.scan, subject.chest.grid
    inner = _inner(subject.chest.lungs, grid.spacing, 7.5)
    for axis in (2, 1, 0):
        index = np.minimum(np.arange(scan.hu.shape[axis]) // grid.step[axis], inner.shape[axis] - 1)
        inner = np.take(inner, index, axis=axis)
    return np.asarray(scan.hu[slices][inner[slices]], np.float32)
