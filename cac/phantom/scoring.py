"""The phantom's own Agatston score, kept apart from the one it serves to check."""

import numpy as np
from scipy import ndimage

from cac import volume

_TOUCHING = np.ones((3, 3), bool)


def agatston(hu: volume.FloatArray, calcium: volume.BoolArray, pixel: float, increment: float) -> float:
    """Score calcium slice by slice: area of at least 1 mm2 times weight, scaled by increment / 3 mm."""
    total = 0.0
    for values, marked in zip(hu, calcium, strict=True):
        if not marked.any():
            continue
        labels, count = ndimage.label(marked, _TOUCHING)
        index = np.arange(1, count + 1)
        area = ndimage.sum_labels(marked, labels, index) * pixel**2
        peak = ndimage.maximum(values, labels, index)
        weight = np.clip(np.floor(peak / 100), 1, 4)
        total += float((area * weight)[area >= 1.0 - 1e-6].sum())
    return total * increment / 3.0
