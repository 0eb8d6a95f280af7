"""What the three planes say of a voxel together."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cac import finding, volume

MOST = 5.0
"""A plane's logit counts up to this to either side: no plane says more than odds of 148 to 1."""
SUREST = 1 / (1 + math.exp(-MOST))
"""The most that they come to together (0.993)."""
CEILING = 1 / (1 + math.exp(-MOST / 3))
"""No threshold may lie above this (0.84): what two planes say at 0.9934 reaches it whatever the third one says."""
SPECKS_MOST = 3.5
SPECKS_CEILING = 1 / (1 + math.exp(-SPECKS_MOST))
"""Nor any of specks above this (as a logit, and as a probability): 0.97 in all three planes."""


def probability(said: Mapping[finding.Plane, volume.FloatArray]) -> volume.FloatArray:
    """Return the probability whose logit is the mean of the planes', none beyond `MOST`; arrays of one shape."""
    bound = 1 / (1 + np.exp(-MOST))
    each = np.clip(np.stack([said[plane] for plane in finding.Plane], axis=-1).astype(np.float64), 1 - bound, bound)
    return (1 / (1 + np.exp(-mean(np.log(each / (1 - each)))))).astype(np.float32)


def mean(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the planes, the last axis, of logits, none beyond `MOST`."""
    return np.asarray(np.clip(logits, -MOST, MOST).mean(axis=-1))
