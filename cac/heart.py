"""Find the heart between the lungs, its box and its envelope (SCIENCE.md 1 and 5; after Larrey-Ruiz et al. 2014)."""

import dataclasses
import math

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage import draw

from cac import finding, reasons, thorax, volume

BOX_MM = 160.0
BOX_STEP_MM = 2.0
PAPER_BOX_PX = 320
ENVELOPE_MM = 14.0
HULL_SLACK_MM = 6.0
FOOTPRINT_MM = 40.0
LIVER_ABOVE_DOME_MM = 18.0
SPINE_GAP_MM = 5.0
OFF_CENTRE_MM = 40.0
OUTSIDE_MM = 80.0
LEAVES_IMAGE_MM = 10.0
JUMP_MM = 15.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """Hold one in-plane box for the whole volume.

    `centre` is (row, column) in voxels of the volume, `size_mm` its (rows, columns) in mm, `slices` the half-open
    range of slices the heart and its margin lie in.
    """

    centre: tuple[float, float]
    size_mm: tuple[float, float]
    slices: tuple[int, int]

    def bounds(self, scan: volume.Volume) -> tuple[slice, slice, slice]:
        """Return the slices, rows and columns of a volume that lie in the box."""
        spans = [slice(*self.slices)]
        for middle, mm, spacing, count in zip(
            self.centre, self.size_mm, scan.spacing[1:], scan.hu.shape[1:], strict=True
        ):
            half = mm / 2 / spacing
            spans.append(slice(max(0, round(middle - half)), min(count, round(middle + half) + 1)))
        return spans[0], spans[1], spans[2]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Heart:
    """Hold where the heart is.

    `envelope` is the region that candidates are sought in, at least 12 mm around the heart; `core` the located
    object itself. Both are bool (slice, row, column) on the volume's grid. Any doubt makes a result INDETERMINATE.
    """

    box: Box
    envelope: volume.BoolArray
    core: volume.BoolArray
    doubts: tuple[reasons.Reason, ...]


def locate(native: volume.Volume, *, profile: finding.Profile = finding.Profile.DEFAULT) -> Heart | None:
    """Locate the heart; return None where no heart lies between two lungs.

    The paper profile gives the paper's box of 320 x 320 native pixels at the same centre.
    """
    chest = thorax.survey(native)
    if chest is None:
        return None
    ends = thorax.extent(chest)
    if ends is None:
        return None
    core = _core(chest, ends)
    found = np.flatnonzero(core.any(axis=(1, 2)))
    if found.size == 0:
        return None
    centres = _centres(core, ends)
    if centres.size == 0:
        return None
    centre = _median_centre(centres)
    body = thorax.body_centre(chest, ends.start, ends.stop)
    if abs(centre[0] - body[0]) * chest.grid.spacing[1] > OUTSIDE_MM:
        return None
    envelope = _envelope(chest, core)
    box = _box(native, chest.grid, envelope, centre, profile)
    return Heart(
        box=box,
        envelope=_to_native(envelope, chest.grid, native),
        core=_to_native(core, chest.grid, native),
        doubts=_doubts(native, chest, ends, core, centres, box),
    )


def _core(chest: thorax.Thorax, ends: thorax.Extent) -> volume.BoolArray:
    """Mark the heart: tissue within the lungs' hull, in front of the spine, the central object only.

    From the liver's top downwards the heart's footprint from above bounds it: there the hull holds the liver too.
    """
    spacing = chest.grid.spacing
    core = np.zeros_like(chest.lungs)
    tissue = (chest.grid.hu > thorax.TISSUE_HU) & ~chest.lungs
    rows = np.arange(core.shape[1])[:, None]
    opening, slack = _disk(8.0, spacing), _disk(HULL_SLACK_MM, spacing)
    reach = max(1, round(FOOTPRINT_MM / spacing[0]))
    liver = max(ends.start + 1, ends.dome - round(LIVER_ABOVE_DOME_MM / spacing[0]))
    footprint = np.zeros(core.shape[1:], dtype=np.bool_)
    for z in range(ends.start, ends.stop):
        if z == liver:
            above = core[max(ends.start, z - reach) : z].any(axis=0)
            footprint = ndimage.binary_dilation(above, _disk(8.0, spacing))
        room = ndimage.binary_dilation(_hull(chest.lungs[z]), slack) if z < liver else footprint
        allowed = tissue[z] & room & (rows < chest.spine_front[z] - SPINE_GAP_MM / spacing[1])
        core[z] = _central(ndimage.binary_opening(allowed, opening), chest)
    return core


def _hull(lungs: volume.BoolArray) -> volume.BoolArray:
    """Return the convex hull of both lungs in one slice."""
    points = np.argwhere(lungs)
    hull = np.zeros(lungs.shape, dtype=np.bool_)
    try:
        corners = points[ConvexHull(points).vertices]
    except (QhullError, ValueError, IndexError):
        return hull
    inside = draw.polygon(corners[:, 0], corners[:, 1], lungs.shape)  # type: ignore[no-untyped-call]
    hull[inside] = True
    return hull


def _central(objects: volume.BoolArray, chest: thorax.Thorax) -> volume.BoolArray:
    """Keep the object with most of its area near the midline."""
    labels, count = ndimage.label(objects)
    if count < 2:
        return objects
    columns = np.arange(objects.shape[1])
    offset = np.abs(columns - chest.midline) * chest.grid.spacing[2]
    weight = np.broadcast_to(np.exp(-((offset / 60.0) ** 2)), objects.shape)
    areas = ndimage.sum_labels(weight, labels, np.arange(1, count + 1))
    central: volume.BoolArray = labels == int(np.argmax(areas)) + 1
    return central


def _centres(core: volume.BoolArray, ends: thorax.Extent) -> volume.FloatArray:
    """Return (slice, row, column) of the centre of gravity in each slice of the middle 60 % of the range."""
    length = ends.stop - ends.start
    low, high = ends.start + round(0.2 * length), ends.stop - round(0.2 * length)
    seen = [(z, *ndimage.center_of_mass(core[z])) for z in range(low, max(high, low + 1)) if core[z].any()]
    return np.asarray(seen, dtype=np.float32).reshape(-1, 3)


def _median_centre(centres: volume.FloatArray) -> tuple[float, float]:
    return float(np.median(centres[:, 1])), float(np.median(centres[:, 2]))


def _envelope(chest: thorax.Thorax, core: volume.BoolArray) -> volume.BoolArray:
    """Close gaps between slices and vessels, and dilate by the margin in all directions; no room outside the image."""
    spacing = chest.grid.spacing
    reach = [math.ceil(ENVELOPE_MM / step) + 1 for step in spacing]
    where = [np.flatnonzero(core.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    around = tuple(slice(max(0, w[0] - n), w[-1] + n + 1) for w, n in zip(where, reach, strict=True))
    near = core[around]
    bridged = ndimage.binary_closing(near, np.ones((3, 3, 3))) | near
    distance = ndimage.distance_transform_edt(~bridged, sampling=spacing)
    envelope = np.zeros_like(core)
    envelope[around] = (distance <= ENVELOPE_MM) & ~chest.outside[around]
    return envelope


def _box(
    native: volume.Volume,
    grid: thorax.Grid,
    envelope: volume.BoolArray,
    centre: tuple[float, float],
    profile: finding.Profile,
) -> Box:
    """Build the box around the centre so that the whole envelope lies in it."""
    where = [np.flatnonzero(envelope.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    slices = (int(where[0][0]) * grid.step[0], min((int(where[0][-1]) + 1) * grid.step[0], native.hu.shape[0]))
    sizes: list[float] = []
    for axis in (1, 2):
        reach = max(centre[axis - 1] - where[axis][0], where[axis][-1] - centre[axis - 1]) + 0.5
        needed = 2 * float(reach) * grid.spacing[axis]
        sizes.append(max(BOX_MM, math.ceil(needed / BOX_STEP_MM) * BOX_STEP_MM))
    if profile is finding.Profile.PAPER:
        sizes = [PAPER_BOX_PX * native.spacing[1], PAPER_BOX_PX * native.spacing[2]]
    middle = [(value + 0.5) * step - 0.5 for value, step in zip(centre, grid.step[1:], strict=True)]
    return Box(centre=(middle[0], middle[1]), size_mm=(sizes[0], sizes[1]), slices=slices)


def _to_native(mask: volume.BoolArray, grid: thorax.Grid, native: volume.Volume) -> volume.BoolArray:
    """Repeat coarse voxels onto the native grid, the last one into the remainder at the far edge."""
    result = mask
    # Columns first: then most is copied line by line.
    for axis in (2, 1, 0):
        index = np.minimum(np.arange(native.hu.shape[axis]) // grid.step[axis], mask.shape[axis] - 1)
        result = np.take(result, index, axis=axis)
    return result


def _doubts(
    native: volume.Volume,
    chest: thorax.Thorax,
    ends: thorax.Extent,
    core: volume.BoolArray,
    centres: volume.FloatArray,
    box: Box,
) -> tuple[reasons.Reason, ...]:
    """Say what keeps this heart from being trusted."""
    codes = reasons.ReasonCode
    found: list[reasons.Reason] = []
    spacing = chest.grid.spacing
    jumps = np.abs(np.diff(centres[:, 1:], axis=0)) * np.asarray(spacing[1:])
    complete = core[ends.start : ends.stop].any(axis=(1, 2)).mean()
    if complete < 0.8 or (jumps.size and float(np.percentile(jumps.max(axis=1), 90)) > JUMP_MM):
        found.append(reasons.reason(codes.HEART_UNSTABLE))
    centre = _median_centre(centres)
    body = thorax.body_centre(chest, ends.start, ends.stop)
    # A heart lies in front of the body's middle, by up to 55 mm in whole chests: only the side is telling.
    offset = abs(centre[1] - body[1]) * spacing[2]
    if offset > OFF_CENTRE_MM:
        found.append(reasons.reason(codes.HEART_OFF_CENTRE, offset_mm=offset))
    if not ends.top_seen:
        found.append(reasons.reason(codes.HEART_CUT_ABOVE))
    if not ends.bottom_seen:
        found.append(reasons.reason(codes.HEART_CUT_BELOW))
    leaves = _leaves(native, box)
    if _touches_edge(chest, core[: ends.dome], round(centre[0])):
        leaves = max(leaves, LEAVES_IMAGE_MM + spacing[2])
    if leaves > LEAVES_IMAGE_MM:
        found.append(reasons.reason(codes.HEART_CUT_IN_PLANE, distance_mm=leaves))
    return tuple(found)


def _touches_edge(chest: thorax.Thorax, core: volume.BoolArray, middle: int) -> bool:
    """Tell whether the heart meets the edge of what was imaged, at either side or in front, in two slices or more.

    Behind the heart, spine and aorta may well meet it.
    """
    imaged = np.pad(~chest.outside[: len(core)], ((0, 0), (1, 1), (1, 1)))
    inner = ndimage.binary_erosion(imaged, np.ones((1, 3, 3)), border_value=0)[:, 1:-1, 1:-1]
    meets = (core & ~inner)[:, :middle].sum(axis=(1, 2)) >= 3
    return int(meets.sum()) >= 2


def _leaves(native: volume.Volume, box: Box) -> float:
    """Return by how many mm the smallest box leaves the image; what a larger one adds opposite its need is padding."""
    distances: list[float] = []
    for axis in (0, 1):
        mm, size = native.spacing[axis + 1], native.hu.shape[axis + 1]
        before = BOX_MM / 2 - (box.centre[axis] + 0.5) * mm
        after = BOX_MM / 2 - (size - 0.5 - box.centre[axis]) * mm
        distances += [before, after]
    return max(0.0, *distances)


def _disk(mm: float, spacing: tuple[float, float, float]) -> volume.BoolArray:
    disk: volume.BoolArray = _ball(mm, (1e6, spacing[1], spacing[2]))[0]
    return disk


def _ball(mm: float, spacing: tuple[float, float, float]) -> volume.BoolArray:
    reach = [int(mm // step) for step in spacing]
    grids = np.ogrid[tuple(slice(-n, n + 1) for n in reach)]
    squares = sum(((g * step) ** 2 for g, step in zip(grids, spacing, strict=True)), start=np.float64(0))
    ball: volume.BoolArray = np.asarray(squares <= mm * mm, dtype=np.bool_)
    return ball
