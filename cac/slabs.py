"""The working volume: native slices, or 3 mm slabs of slices too thin to score, and what the slabs hide."""

import dataclasses
import itertools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from cac import components, volume

_Place: TypeAlias = components.IntArray
_Voxels: TypeAlias = tuple[_Place, _Place, _Place]

THIN_INCREMENT_MM = 1.4
"""Increments below this one are averaged (section 1)."""

SLAB_MM = 3.0
STEP_MM = 1.5

_SPOT_MM = 1.2
"""Size of the smallest plaque looked for in native slices; also the extent its contrast is summed over."""

_TILE_MM = 20.0
"""Noise differs across the chest and along it: it is measured in tiles of this size."""

_TISSUE_HU = (-50.0, 150.0)
_BLOOD_HU = 45.0
_MIN_SAMPLES = 100
_DOUBT_SD = 4.0
_LEAST_LEFT = 0.5
"""Of a whole native set the slabs show at least this much, noise and all: 0.7 was the least in calcium-free scans."""
_FALSE_SPOTS_A_SCAN = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Slabs:
    """Hold the working volume and, for each native slice, the working slice that stands for it."""

    scan: volume.Volume
    slab_of: components.IntArray

    @property
    def averaged(self) -> bool:
        """Tell whether native slices were averaged at all."""
        return bool(self.slab_of.size != self.scan.hu.shape[0])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Hidden:
    """Hold what slabs hide of thin slices, on the slabs' grid.

    `erased` are native spots of which no slab reaches 130 HU. `faded` are flat indices of the slabs' voxels >= 130 HU
    that are left of spots which measured more native mm3 than they do in the slabs, or whose whole set >= 130 HU
    measured twice as many: what bone, mimics and plaques of any size do not, for slabs overlap and spread.
    """

    erased: components.Components
    faded: components.IntArray


def native(scan: volume.Volume) -> Slabs:
    """Keep the slices as they are."""
    return Slabs(scan=scan, slab_of=np.arange(scan.hu.shape[0]))


def prepare(scan: volume.Volume) -> Slabs:
    """Average slices closer than 1.4 mm to 3 mm slabs every 1.5 mm; keep others as they are.

    A native slice counts by its overlap with the slab. The last slab may reach beyond the stack: it averages what
    there is, so that no slice is lost.
    """
    increment = scan.spacing[0]
    count = scan.hu.shape[0]
    if increment >= THIN_INCREMENT_MM or count * increment <= SLAB_MM:
        return native(scan)
    slab_count = int(np.ceil((count * increment - SLAB_MM) / STEP_MM - 1e-6)) + 1
    edges = np.arange(count) * increment
    hu = np.empty((slab_count, *scan.hu.shape[1:]), dtype=np.float32)
    for number in range(slab_count):
        top = number * STEP_MM
        overlap = np.minimum(edges + increment, top + SLAB_MM) - np.maximum(edges, top)
        inside = np.flatnonzero(overlap > 1e-6)
        weight = (overlap[inside] / overlap[inside].sum()).astype(np.float32)
        hu[number] = np.tensordot(weight, scan.hu[inside[0] : inside[-1] + 1], axes=1)
    x, y, z = scan.origin
    averaged = volume.Volume(
        hu=hu,
        spacing=(STEP_MM, *scan.spacing[1:]),
        thickness=SLAB_MM,
        origin=(x, y, z - (SLAB_MM - increment) / 2),
    )
    nearest = np.floor((edges + increment / 2 - SLAB_MM / 2) / STEP_MM + 0.5).astype(np.int64)
    return Slabs(scan=averaged, slab_of=np.clip(nearest, 0, slab_count - 1))


def hidden(thin: volume.Volume, slabs: Slabs, envelope: volume.BoolArray) -> Hidden:
    """Find what native slices show at or above 130 HU, noise cannot explain, and the slabs erased or nearly so.

    `envelope` and the answer lie on the slabs' grid. The contrast is averaged over a spot (1.2 mm each way) and
    compared with the robust SD (1.4826 MAD) of such averages in the soft tissue around, so that the noise's own
    correlation is in the measure. Noise cannot explain a spot above 4 SD, nor below what the largest of all the
    spots looked at reaches by chance in one scan of a hundred: 4 SD alone finds a hundred in any clean scan.
    """
    nothing = components.find(np.zeros(slabs.scan.hu.shape, dtype=bool))
    if not slabs.averaged or not envelope.any():
        return Hidden(erased=nothing, faded=nothing.voxels)
    depth, rows, columns = components.bounds(envelope)
    shown = np.flatnonzero((slabs.slab_of >= depth.start) & (slabs.slab_of < depth.stop))
    inside = envelope[slabs.slab_of[shown], rows, columns]
    found = _dense(thin, shown, (rows, columns), inside)
    whole = _holding(found, inside & (thin.hu[shown[0] : shown[-1] + 1, rows, columns] >= volume.CALCIUM_HU))
    grown, label = _labelled(slabs.scan, (depth, rows, columns))
    gone = np.zeros(slabs.scan.hu.shape, dtype=bool)
    rest = np.zeros(grown.sets.count, dtype=bool)
    for sets, least in ((found, 1.0), (whole, _LEAST_LEFT)):
        number, row, column = sets.coordinates
        place = (slabs.slab_of[shown][number], row + rows.start, column + columns.start)
        pairs = _met(sets.numbers, label, tuple(at - low for at, low in zip(place, grown.low, strict=True)))
        left = np.bincount(pairs[:, 0], grown.sets.sizes[pairs[:, 1]], sets.count) * slabs.scan.voxel_mm3
        lost = (left == 0)[sets.numbers]
        gone[place[0][lost], place[1][lost], place[2][lost]] = True
        few = (left > 0) & (left < least * sets.sizes * thin.voxel_mm3)
        rest |= np.isin(np.arange(grown.sets.count), pairs[few[pairs[:, 0]], 1])
    at = [part + low for part, low in zip(grown.sets.kept(rest).coordinates, grown.low, strict=True)]
    faded = np.ravel_multi_index(tuple(at), slabs.scan.hu.shape)
    return Hidden(erased=components.find(gone), faded=np.asarray(faded, np.int64))


def _dense(
    thin: volume.Volume, shown: components.IntArray, plane: tuple[slice, slice], envelope: volume.BoolArray
) -> components.Components:
    """Find the native spots that noise cannot explain, on the slices `shown` and within `plane` of the scan."""
    hu = thin.hu[shown[0] : shown[-1] + 1, plane[0], plane[1]]
    size = [max(1, round(_SPOT_MM / side)) for side in thin.spacing]
    # Not mode "nearest": repeating the border's voxels would double their noise.
    spots = ndimage.uniform_filter(hu, size, mode="constant", cval=_BLOOD_HU)
    dense = (hu >= volume.CALCIUM_HU) & (spots > _BLOOD_HU) & envelope
    number, row, column = np.nonzero(dense)
    contrast = _contrast(spots, thin.spacing, (number, row, column))
    dense[number, row, column] = contrast > max(_DOUBT_SD, stats.norm.isf(_FALSE_SPOTS_A_SCAN / spots.size))
    return components.find(dense)


def _holding(spots: components.Components, mask: volume.BoolArray) -> components.Components:
    """Return the connected sets of a mask that hold any of the spots, which lie in it."""
    sets = components.find(mask)
    seen = np.zeros(mask.size, dtype=bool)
    seen[spots.voxels] = True
    return sets.kept(sets.maxima(seen[sets.voxels].astype(np.float32)) > 0)


def _contrast(spots: volume.FloatArray, spacing: tuple[float, float, float], voxels: _Voxels) -> NDArray[np.float64]:
    """Return the voxels' contrast to the soft tissue of their tile, in SD of that tissue."""
    side = [max(1, round(_TILE_MM / mm)) for mm in spacing]
    overall = _level(spots[::3, ::3, ::3]) or (0.0, np.inf)
    shape = [-(-n // s) for n, s in zip(spots.shape, side, strict=True)]
    levels = np.empty((*shape, 2))
    for tile in np.ndindex(*shape):
        z, y, x = (slice(t * s, (t + 1) * s, step) for t, s, step in zip(tile, side, (1, 3, 3), strict=True))
        # A tile of fat knows too little of the blood at its edge: never below the whole's level or noise.
        levels[tile] = np.maximum(overall, _level(spots[z, y, x]) or overall)
    middle, sd = np.moveaxis(levels[tuple(c // s for c, s in zip(voxels, side, strict=True))], -1, 0)
    return np.asarray((spots[voxels] - middle) / sd, dtype=np.float64)


def _level(spots: volume.FloatArray) -> tuple[float, float] | None:
    """Return median and robust SD of the soft tissue, or None where there is too little."""
    tissue = spots[(spots > _TISSUE_HU[0]) & (spots < _TISSUE_HU[1])]
    if tissue.size < _MIN_SAMPLES:
        return None
    middle = float(np.median(tissue))
    return middle, max(1.4826 * float(np.median(np.abs(tissue - middle))), 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Hold the sets >= 130 HU of a part of the slabs, and where on their grid it begins."""

    sets: components.Components
    low: tuple[int, int, int]


def _labelled(scan: volume.Volume, box: tuple[slice, slice, slice]) -> tuple[_Part, components.IntArray]:
    """Find the sets >= 130 HU within a box and one voxel around it, and label them from 1."""
    low = (max(box[0].start - 1, 0), max(box[1].start - 1, 0), max(box[2].start - 1, 0))
    part = scan.hu[tuple(slice(start, side.stop + 1) for start, side in zip(low, box, strict=True))]
    sets = components.find(part >= volume.CALCIUM_HU)
    label = np.zeros(part.shape, np.int64)
    label.reshape(-1)[sets.voxels] = sets.numbers + 1
    return _Part(sets=sets, low=low), label


def _met(numbers: components.IntArray, label: components.IntArray, places: tuple[_Place, ...]) -> components.IntArray:
    """Pair each native spot with the slabs' sets among its voxels' places and their 26 neighbours, shape (pair, 2)."""
    pairs = []
    for step in itertools.product((-1, 0, 1), repeat=3):
        z, y, x = (np.clip(c + d, 0, n - 1) for c, d, n in zip(places, step, label.shape, strict=True))
        pairs.append(np.stack([numbers, label[z, y, x] - 1], axis=1))
    met = np.unique(np.concatenate(pairs), axis=0)
    return np.asarray(met[met[:, 1] >= 0], np.int64)
