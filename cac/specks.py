"""Specks: candidates so small, faint and whole that noise makes them and no score hangs on them."""

import itertools

import numpy as np

from cac import agatston, components, volume

MOST_VOXELS = 6
"""What noise makes is counted in voxels; in loud calcium-free phantoms the doubts that were noise had one to six."""
BELOW_HU = agatston.WEIGHT_HU[1]
"""Noise reached 180 HU there; calcium of 200 HU weighs twice."""
_AROUND = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


def which(scan: volume.Volume, found: components.Components, *, averaged: bool) -> volume.BoolArray:
    """Tell which candidates are specks: few voxels, faint, without 1 mm2 in any slice, and whole.

    A candidate that goes on beyond the heart envelope is none: the rest may score. Nor is any where slabs were
    `averaged`: of a plaque in a thin slice they may leave no more than this.
    """
    small = (found.sizes <= MOST_VOXELS) & (found.maxima(scan.hu.reshape(-1)[found.voxels]) < BELOW_HU)
    if averaged or not small.any():
        return np.zeros_like(small)
    few = found.kept(small)
    small[small] = (agatston.each(scan, few) == 0) & ~_cut(scan, found, few)
    return small


def _cut(scan: volume.Volume, found: components.Components, few: components.Components) -> volume.BoolArray:
    """Tell which of a few candidates touch a voxel >= 130 HU that belongs to none."""
    inside, last = found.mask(), np.array(scan.hu.shape)[:, None] - 1
    places, beyond = np.stack(few.coordinates), np.zeros(few.voxels.size, dtype=bool)
    for step in _AROUND:
        near = tuple(np.clip(places + np.array(step)[:, None], 0, last))
        beyond |= (scan.hu[near] >= volume.CALCIUM_HU) & ~inside[near]
    return np.asarray(few.maxima(beyond.astype(np.float32)) > 0)
