"""How sharp edges between heart and lung are: the distance over which HU rise from 10 to 90 % of the step."""

import numpy as np
from scipy import ndimage
from skimage import measure

from benchmarks.likeness import tissues
from cac import volume

STEP_MM = 0.1
REACH_MM = 9.0
PLATEAU_MM = 4.5
"""The two ends of a profile from here on must be flat: tissue on one side, lung on the other."""
MIDDLE_HU = -400.0
LUNG_HU = -700.0
TISSUE_HU = (-120.0, 90.0)
UNEVEN_HU = 70.0


def widths(of: tissues.Tissues) -> volume.FloatArray:
    """Return the 10-90 % widths in mm along the envelope's edges of tissue and lung, in plane."""
    offsets = np.arange(-REACH_MM, REACH_MM + STEP_MM / 2, STEP_MM)
    found = [_slice(of, z, offsets) for z in range(len(of.hu))]
    return np.concatenate(found) if found else np.array([], np.float32)


def _slice(of: tissues.Tissues, z: int, offsets: np.ndarray) -> volume.FloatArray:
    smooth = tissues.blur(of.hu[z : z + 1], of.spacing, 1.2)[0]
    lines = measure.find_contours(smooth, MIDDLE_HU)
    points = np.concatenate([line[::3] for line in lines]) if lines else np.empty((0, 2))
    if not len(points):
        return np.array([], np.float32)
    steps = [np.gradient(smooth, mm, axis=axis) for axis, mm in enumerate(of.spacing[1:])]
    slope = np.stack([ndimage.map_coordinates(step, points.T, order=1) for step in steps], axis=1)
    unit = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-6)
    places = points[:, :, None] + unit[:, :, None] * offsets / np.asarray(of.spacing[1:])[:, None]
    size = np.asarray(smooth.shape)[:, None] - 1
    whole = ((places >= 0) & (places <= size)).all(axis=(1, 2)) & of.envelope[z][tuple(points.round().astype(int).T)]
    profiles = ndimage.map_coordinates(of.hu[z], places[whole].transpose(1, 0, 2), order=1)
    return _rise(profiles, offsets)


def _rise(profiles: np.ndarray, offsets: np.ndarray) -> volume.FloatArray:
    """Measure profiles (n, place) that run from lung to tissue; those without two plateaus are left out."""
    lung, tissue = profiles[:, offsets < -PLATEAU_MM], profiles[:, offsets > PLATEAU_MM]
    low, high = lung.mean(axis=1), tissue.mean(axis=1)
    flat = (low < LUNG_HU) & (high > TISSUE_HU[0]) & (high < TISSUE_HU[1]) & (lung.std(axis=1) < UNEVEN_HU)
    flat &= tissue.std(axis=1) < UNEVEN_HU
    part = (profiles[flat] - low[flat, None]) / (high - low)[flat, None]
    middle = len(offsets) // 2
    # From the middle outwards, so that noise on a plateau is no crossing.
    up = (part[:, middle:] >= 0.9).argmax(axis=1)
    down = (part[:, middle::-1] <= 0.1).argmax(axis=1)
    return np.asarray((up + down)[(up > 0) & (down > 0)] * STEP_MM, np.float32)
