"""What the nets see: a crop's images in the three planes, whole or in windows, and what they answer to whole ones."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from cac import errors, finding, together, views, volume

BATCH = 16
"""Images a net sees at once: enough to be fast, few enough for a small GPU."""

_ACROSS = {finding.Plane.AXIAL: 0, finding.Plane.SAGITTAL: 2, finding.Plane.CORONAL: 1}
"""The crop's axis that a plane's images are counted along."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sheet:
    """Hold the images of one plane as its net sees them.

    `images` is float32 HU (image, row, column): axial images are (row, column), sagittal ones (slice, row), coronal
    ones (slice, column), of the crop's slices [start, stop). `size` is (height, width) with the air that pads them.
    """

    plane: finding.Plane
    images: volume.FloatArray
    start: int
    stop: int
    size: tuple[int, int]
    spec: finding.NetSpec

    def has(self, places: tuple[views.IntArray, ...]) -> volume.BoolArray:
        """Tell which places in the crop (slice, row, column) the images show."""
        return np.asarray((places[0] >= self.start) & (places[0] < self.stop))

    def turned(self, places: tuple[views.IntArray, ...]) -> tuple[views.IntArray, views.IntArray, views.IntArray]:
        """Turn places in the crop (slice, row, column) to places in the images (image, row, column)."""
        number, row, column = places[0] - self.start, places[1], places[2]
        if self.plane is finding.Plane.AXIAL:
            return number, row, column
        return (column, number, row) if self.plane is finding.Plane.SAGITTAL else (row, number, column)

    def cut(self, image: views.IntArray, low: views.IntArray, high: views.IntArray) -> volume.FloatArray:
        """Build a net's input (n, 2, height, width), float32: windows [low, high) of equal shape, one an image.

        Channel 0 is HU clipped to the window and scaled to [0, 1], channel 1 is HU >= 130; air beyond the crop.
        """
        height, width = (high - low)[0]
        cut = np.full((image.size, height, width), views.AIR_HU, dtype=np.float32)
        for part, number, (top, left), (bottom, right) in zip(cut, image, low, high, strict=True):
            shown = self.images[number, top:bottom, left:right]
            part[: shown.shape[0], : shown.shape[1]] = shown
        lowest, highest = self.spec.window
        stack = np.empty((image.size, 2, height, width), dtype=np.float32)
        np.greater_equal(cut, volume.CALCIUM_HU, out=stack[:, 1], casting="unsafe")
        cut -= lowest
        cut /= highest - lowest
        np.clip(cut, 0.0, 1.0, out=stack[:, 0])
        return stack

    def whole(self, image: views.IntArray) -> volume.FloatArray:
        """Build a net's input of whole images."""
        low = np.zeros((image.size, 2), dtype=np.int64)
        return self.cut(image, low, low + self.size)


def sheets(heart_crop: views.Crop, plane: finding.Plane, spec: finding.NetSpec) -> Iterator[Sheet]:
    """Yield what a plane's net must see of a crop; together that is all of it.

    A slice axis longer than the nets' depth comes in overlapping parts. Height and width are padded with air at
    their ends to multiples of the stride, and profile `paper` pads the slice axis to the nets' depth.
    """
    count = heart_crop.hu.shape[0]
    for start, stop in [(0, count)] if plane is finding.Plane.AXIAL else _windows(count, spec):
        images = np.moveaxis(heart_crop.hu[start:stop], _ACROSS[plane], 0)
        height, width = images.shape[1:]
        deep = height if plane is finding.Plane.AXIAL else max(height, heart_crop.depth)
        size = (views.padded(deep, spec.stride), views.padded(width, spec.stride))
        yield Sheet(plane=plane, images=images, start=start, stop=stop, size=size, spec=spec)


def probabilities(
    heart_crop: views.Crop, predict: finding.Predict, spec: finding.NetSpec
) -> Iterator[tuple[finding.Plane, volume.FloatArray]]:
    """Run the three nets over every image of the crop; yield each plane's answer on the crop's grid.

    Overlapping parts of the slice axis merge by the larger probability. Raises PredictionError for an answer that is
    no probability map.
    """
    for plane in finding.Plane:
        answer = np.zeros(heart_crop.hu.shape, dtype=np.float32)
        for sheet in sheets(heart_crop, plane, spec):
            across = np.moveaxis(answer[sheet.start : sheet.stop], _ACROSS[plane], 0)
            ask = functools.partial(_ask, sheet, predict, across)
            together.each(ask, range(0, len(sheet.images), BATCH), spec.threads)
        yield plane, answer


def _ask(sheet: Sheet, predict: finding.Predict, across: volume.FloatArray, first: int) -> None:
    """Ask about a batch of whole images, and merge what comes into `across` (image, row, column)."""
    own = slice(first, first + BATCH)
    stack = sheet.whole(np.arange(len(sheet.images))[own])
    core = (0, 0, *sheet.size)
    seen = checked(predict(sheet.plane, stack, core), stack, core, sheet.plane)
    seen = seen[:, : across.shape[1], : across.shape[2]]
    np.maximum(across[own], seen, out=across[own])


def checked(
    answer: volume.FloatArray, stack: volume.FloatArray, core: finding.Core, plane: finding.Plane
) -> volume.FloatArray:
    """Return a net's answer if it is a probability map of its images' core; raises PredictionError."""
    expected = (stack.shape[0], core[2] - core[0], core[3] - core[1])
    if answer.shape != expected:
        msg = f"the {plane} net answered with shape {answer.shape} instead of {expected}"
        raise errors.PredictionError(msg)
    # Not a number fails both comparisons.
    if not (answer.min() >= 0 and answer.max() <= 1):
        msg = f"the {plane} net answered with values that are no probabilities"
        raise errors.PredictionError(msg)
    return answer


def _windows(count: int, spec: finding.NetSpec) -> Iterator[tuple[int, int]]:
    """Yield the slice windows a net sees: half a depth apart, the last one ending with the stack."""
    for start in range(0, max(count - spec.depth, 0), spec.depth // 2):
        yield start, start + spec.depth
    yield max(count - spec.depth, 0), count
