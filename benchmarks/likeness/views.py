"""Small greyscale pictures of a scan: the chest, and the heart alone, in the slice through the heart's middle."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from benchmarks.likeness import subjects
from cac import volume

SIDE_PX = 170
CHEST_MM = 350.0
HEART_MM = 130.0
WINDOW = (-135.0, 215.0)
MOST_BYTES = 150_000


def render(subject: subjects.Subject) -> np.ndarray:
    """Return the chest above the heart as greys (2 * SIDE_PX, SIDE_PX), at one window and one scale for all."""
    scan, box = subject.scan, subject.located.box
    filled = np.flatnonzero(subject.located.core.any(axis=(1, 2)))
    middle = scan.hu[int(np.median(filled))]
    return np.concatenate([_cut(middle, scan, box.centre, mm) for mm in (CHEST_MM, HEART_MM)])


def _cut(image: volume.FloatArray, scan: volume.Volume, centre: tuple[float, float], mm: float) -> np.ndarray:
    steps = (np.arange(SIDE_PX) - (SIDE_PX - 1) / 2) * mm / SIDE_PX
    rows, columns = (middle + steps / each for middle, each in zip(centre, scan.spacing[1:], strict=True))
    # Averaged to the picture's pixel where that is coarser, so that noise looks as it does on a screen.
    blurred = ndimage.gaussian_filter(image, [max(0.0, 0.4 * (mm / SIDE_PX / each - 1)) for each in scan.spacing[1:]])
    cut = ndimage.map_coordinates(blurred, np.meshgrid(rows, columns, indexing="ij"), order=1, cval=-1024)
    grey = (cut - WINDOW[0]) / (WINDOW[1] - WINDOW[0])
    return np.asarray(np.clip(grey, 0, 1) * 255, np.uint8)


def smaller(picture: np.ndarray) -> bytes:
    """Write greys as PNG, fewer of them until it is small enough for a repository."""
    for greys in (64, 48, 32, 24, 16, 12):
        levels = np.rint(picture / 255 * (greys - 1)) * 255 / (greys - 1)
        buffer = io.BytesIO()
        Image.fromarray(levels.astype(np.uint8)).quantize(greys, dither=Image.Dither.NONE).save(
            buffer, "PNG", optimize=True
        )
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
    raise SystemExit("The picture stays too large.")
