"""What every import is held against, whatever its format (SCIENCE.md section 3)."""

import itertools

import numpy as np
from numpy.typing import NDArray

from cac import volume
from training import errors
from training.readers import site

ON_CALCIUM = 0.95
"""At least this part of a mask must reach 130 HU: a flip, a shift or a lost rescale shows itself here."""
AIR_HU = -500.0
"""A chest holds lung and air: without voxels below this the values are no HU, and 130 HU would prove nothing."""
FEWEST_AIR = 0.005

MOST_MM3 = 20_000.0
"""No coronary tree holds so much: a mask of all that is dense, bones too, would pass every other check."""

_AXES = ("slices", "rows", "columns")


def truth(
    name: str, scan: volume.Volume, codes: NDArray[np.uint8], said: site.Site, *, strictly: bool = False
) -> NDArray[np.uint8]:
    """Return the truth that a mask tells: its codes where the image reaches 130 HU (exceeds it, with `strictly`).

    `codes` (`labelled.Label`) are (slice, row, column). Raises Misaligned, ImplausibleMask, Unusable.
    """
    hu = scan.hu
    if codes.shape != hu.shape:
        raise errors.Misaligned(name, f"the mask has shape {codes.shape}, the image {hu.shape}")
    if not np.isfinite(hu).all():
        raise errors.Unusable(name, "the image holds values that are no numbers")
    if float((hu < AIR_HU).mean()) < FEWEST_AIR:
        msg = f"hardly a voxel lies below {AIR_HU:.0f} HU (lowest {hu.min():.0f}): is the rescale lost?"
        raise errors.Unusable(name, msg)
    marked = codes > 0
    if not marked.any():
        if said.empty_is_zero or name in said.zeros:
            return codes
        msg = "the mask is empty; where a reader found no calcium, say so with --zeros or --empty-is-zero"
        raise errors.ImplausibleMask(name, msg)
    if name in said.zeros:
        raise errors.ImplausibleMask(name, f"{int(marked.sum())} voxels are marked, yet --zeros names the case")
    dense = hu > volume.CALCIUM_HU if strictly else hu >= volume.CALCIUM_HU
    share = float(dense[marked].mean())
    if share < ON_CALCIUM:
        sign = ">" if strictly else ">="
        msg = (
            f"{share:.0%} of the mask's voxels are {sign} 130 HU, at least {ON_CALCIUM:.0%} must be{_hint(hu, marked)}"
        )
        raise errors.ImplausibleMask(name, msg)
    if (amount := float(marked.sum() * scan.voxel_mm3)) > MOST_MM3:
        msg = f"{amount / 1000:.0f} ml are marked, more than any coronary arteries hold: are bones among it?"
        raise errors.ImplausibleMask(name, msg)
    return np.where(dense, codes, 0).astype(np.uint8)


def _hint(hu: volume.FloatArray, marked: volume.BoolArray) -> str:
    """Say what would make the mask fit, where something simple does."""
    for count, turned in itertools.product((1, 2, 3), (False, True)):
        for axes in itertools.combinations(range(3), count):
            if _fits(hu, np.flip(marked, axes), turned):
                how = " and ".join(_AXES[axis] for axis in axes)
                return f"; it fits with its {how} reversed{' after rows and columns are exchanged' if turned else ''}"
    if _fits(hu, marked, True):
        return "; it fits with its rows and columns exchanged"
    for shift in (1024, 1000):
        if float((hu[marked] + shift >= volume.CALCIUM_HU).mean()) >= ON_CALCIUM and np.median(hu[marked]) < AIR_HU:
            return f"; it fits with {shift} added to every value: is the rescale applied twice?"
    return ""


def _fits(hu: volume.FloatArray, marked: volume.BoolArray, turned: bool) -> bool:
    candidate = marked.swapaxes(1, 2) if turned else marked
    return candidate.shape == hu.shape and float((hu[candidate] >= volume.CALCIUM_HU).mean()) >= ON_CALCIUM
