"""Ask the nets around candidates only: exactly what whole images would answer there (SCIENCE.md section 7).

An output pixel depends on its pooling cell and the pixels within the net's receptive field around it. A window that
holds this field for every cell it is asked for, starts on the net's pooling grid, and ends early only where the image
ends (so that the net pads with zeros where it would have padded anyway) gives the same values there as the whole image.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cac import components, errors, finding, sheets, together, views, volume

IntArray: TypeAlias = NDArray[np.int64]

CALL_PIXELS = 1 << 17
"""Pixels a call at most: enough to keep all cores busy, few enough for their caches."""

_WORK = ((48, 26), (40, 35), (32, 35), (16, 69), (8, 74))
"""What a window costs: pixels beyond what it answers for (both sides together) that each level of a net computes, and
hundreds of multiplications for each (base width 16)."""

_WINDOW = 400_000
"""What each window costs on top, in the same measure."""

_NEAR = np.zeros((3, 3, 3), dtype=bool)
_NEAR[1] = True
"""Neighbours in one image. Pooling cells with at most two free ones between them share a window from the start."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """Hold what bounds a window: the images' padded (height, width), the nets' stride and receptive field, in px."""

    size: tuple[int, int]
    stride: int
    field: int

    def core(self, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        """Round pixel ranges (..., 2) up to the pooling grid."""
        return low // self.stride * self.stride, -(-high // self.stride) * self.stride

    def around(self, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
        """Widen cores by the receptive field, to the pooling grid, within the image."""
        halo = -(-self.field // self.stride) * self.stride
        return np.maximum(low - halo, 0), np.minimum(high + halo, self.size)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Hold the windows of one plane's images, and which one answers for each pixel asked about.

    `image` (n,) numbers the images, `low` and `high` (n, 2) are first and past-the-last row and column of the windows,
    `core_low` and `core_high` those of what they answer for; `owner` is a window for each pixel.
    """

    image: IntArray
    low: IntArray
    high: IntArray
    core_low: IntArray
    core_high: IntArray
    owner: IntArray

    @property
    def pixels(self) -> int:
        """Return how many pixels the net will see."""
        return self.pixels_of(np.arange(self.image.size))

    def pixels_of(self, numbers: IntArray) -> int:
        """Return how many pixels the net will see in some of the windows."""
        return int(np.prod(self.high[numbers] - self.low[numbers], axis=1).sum())

    def calls(self) -> Iterator[IntArray]:
        """Yield the windows of one call after the other: equal shapes and cores, at most CALL_PIXELS or one window."""
        shapes = np.hstack([self.high - self.low, self.core_low - self.low, self.core_high - self.core_low])
        order = np.lexsort((self.image, *shapes.T))
        starts = np.flatnonzero(np.any(np.diff(shapes[order], axis=0), axis=1)) + 1
        for group in np.split(order, starts):
            most = max(1, CALL_PIXELS // int(np.prod(shapes[group[0], :2])))
            yield from (group[first : first + most] for first in range(0, group.size, most))


def probabilities(
    heart_crop: views.Crop, predict: finding.Predict, voxels: components.Components, spec: finding.NetSpec
) -> Iterator[tuple[finding.Plane, volume.FloatArray]]:
    """Run the three nets in windows around source voxels; yield each plane's answer on the crop's grid.

    The values are those of `sheets.probabilities` at every sample that `views.to_source` reads for these voxels, and
    0 elsewhere. Raises PredictionError for an answer that is no probability map.
    """
    asked = views.samples(heart_crop, voxels)
    parts = [
        sheet for plane in finding.Plane for sheet in sheets.sheets(heart_crop, plane, spec) if sheet.has(asked).any()
    ]
    questions: list[_Question] = []

    def calls() -> Iterator[tuple[_Question, IntArray]]:
        # Asked for one by one: while the next images' windows are planned, the nets are at work on these.
        for part in parts:
            questions.append(_question(asked, part))
            windows = questions[-1].windows
            # Large ones first, so that no thread is left with one when the others have ended.
            for numbers in sorted(windows.calls(), key=windows.pixels_of, reverse=True):
                yield questions[-1], numbers

    together.each(lambda call: call[0].ask(call[1], predict), calls(), spec.threads)
    for plane in finding.Plane:
        own = [question for question in questions if question.sheet.plane is plane]
        _demand_all(asked, own, plane)
        answer = np.zeros(heart_crop.hu.shape, dtype=np.float32)
        for question in own:
            answer[question.samples] = np.maximum(answer[question.samples], question.seen)
        yield plane, answer


def plan(image: IntArray, row: IntArray, column: IntArray, frame: Frame) -> Plan:
    """Find few, small windows of images that answer for all these pixels."""
    cluster = _clusters(image, row, column, frame)
    order = np.argsort(cluster, kind="stable")
    starts = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    places = np.stack([row[order], column[order]], axis=1)
    low, high = np.minimum.reduceat(places, starts), np.maximum.reduceat(places, starts) + 1
    # Clusters are numbered image by image: those of one image follow each other.
    shown, low, high, kept = _merged(image[order[starts]], low, high, frame)
    core_low, core_high = frame.core(low, high)
    low, high = frame.around(core_low, core_high)
    return Plan(image=shown, low=low, high=high, core_low=core_low, core_high=core_high, owner=kept[cluster])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Question:
    """Hold what one plane's images are asked, and what was seen so far.

    `samples` are the crop's (slice, row, column), `row` and `column` where they lie in their images, `seen` (n,) the
    answers; `order` lists the samples window by window, of which window k has those from `first[k]` to `first[k + 1]`.
    """

    sheet: sheets.Sheet
    samples: tuple[IntArray, ...]
    row: IntArray
    column: IntArray
    windows: Plan
    order: IntArray
    first: IntArray
    seen: volume.FloatArray

    def ask(self, numbers: IntArray, predict: finding.Predict) -> None:
        """Ask about windows of one shape, and keep what they were asked for."""
        windows = self.windows
        low, high = windows.low[numbers], windows.high[numbers]
        stack = self.sheet.cut(windows.image[numbers], low, high)
        core = _core(windows.core_low[numbers[0]] - low[0], windows.core_high[numbers[0]] - low[0])
        answer = sheets.checked(predict(self.sheet.plane, stack, core), stack, core, self.sheet.plane)
        for values, number, (top, left) in zip(answer, numbers, windows.core_low[numbers], strict=True):
            own = self.order[self.first[number] : self.first[number + 1]]
            self.seen[own] = values[self.row[own] - top, self.column[own] - left]


def _demand_all(asked: tuple[IntArray, ...], questions: Sequence[_Question], plane: finding.Plane) -> None:
    """Raise PredictionError where a sample was not answered: nothing would read as no calcium."""
    shown = np.logical_or.reduce([question.sheet.has(asked) for question in questions])
    if not np.all(shown) or any(np.isnan(question.seen).any() for question in questions):
        msg = f"the {plane} net was not asked about every candidate voxel"
        raise errors.PredictionError(msg)


def _question(asked: tuple[IntArray, ...], sheet: sheets.Sheet) -> _Question:
    """Plan the windows of one plane's images for the samples that lie in them."""
    inside = sheet.has(asked)
    samples = tuple(axis[inside] for axis in asked)
    image, row, column = sheet.turned(samples)
    frame = Frame(size=sheet.size, stride=sheet.spec.stride, field=sheet.spec.receptive_field)
    windows = plan(image, row, column, frame)
    order = np.argsort(windows.owner, kind="stable")
    first = np.searchsorted(windows.owner[order], np.arange(windows.image.size + 1))
    seen = np.full(image.size, np.nan, dtype=np.float32)
    return _Question(
        sheet=sheet, samples=samples, row=row, column=column, windows=windows, order=order, first=first, seen=seen
    )


def _clusters(image: IntArray, row: IntArray, column: IntArray, frame: Frame) -> IntArray:
    """Group pixels that lie close together in one image; number the groups from 0, image by image."""
    cells = (image, row // frame.stride, column // frame.stride)
    least = [int(axis.min()) for axis in cells]
    index = tuple(axis - (low - reach) for axis, low, reach in zip(cells, least, (0, 1, 1), strict=True))
    taken = np.zeros([int(axis.max()) + 1 + reach for axis, reach in zip(index, (0, 1, 1), strict=True)], dtype=bool)
    taken[index] = True
    labels, _ = ndimage.label(ndimage.maximum_filter(taken, (1, 3, 3)), _NEAR)
    return np.asarray(labels[index] - 1, dtype=np.int64)


def _merged(
    image: IntArray, low: IntArray, high: IntArray, frame: Frame
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Join ranges of one image while one window costs less than two.

    `image` rises. Return image, low and high of the ranges left, and where each range came to be.
    """
    kept, fresh = np.arange(image.size), np.ones(image.size, dtype=bool)
    while True:
        first, second = _pairs(image, fresh)
        joined_low, joined_high = np.minimum(low[first], low[second]), np.maximum(high[first], high[second])
        cost = _cost(low, high, frame)
        gain = cost[first] + cost[second] - _cost(joined_low, joined_high, frame)
        joins = _mutual(first, second, gain, image.size)
        if not joins.size:
            return image, low, high, kept
        low[first[joins]], high[first[joins]] = joined_low[joins], joined_high[joins]
        goes = np.arange(image.size)
        goes[second[joins]] = first[joins]
        left, place = np.unique(goes, return_inverse=True)
        fresh = np.isin(image[left], image[first[joins]])
        image, low, high, kept = image[left], low[left], high[left], place[kept]


def _pairs(image: IntArray, fresh: volume.BoolArray) -> tuple[IntArray, IntArray]:
    """Return all pairs of ranges in one image, of the images marked."""
    own = np.arange(image.size)
    following = np.where(fresh, np.searchsorted(image, image, side="right") - own - 1, 0)
    first = np.repeat(own, following)
    return first, first + 1 + np.arange(first.size) - np.repeat(np.cumsum(following) - following, following)


def _mutual(first: IntArray, second: IntArray, gain: IntArray, count: int) -> IntArray:
    """Return the pairs that gain, and gain most for both of their ranges."""
    worth = np.flatnonzero(gain > 0)
    ranked = worth[np.argsort(-gain[worth], kind="stable")]
    rank = np.arange(ranked.size)
    best = np.full(count, ranked.size)
    for side in (first, second):
        np.minimum.at(best, side[ranked], rank)
    mutual = (best[first[ranked]] == rank) & (best[second[ranked]] == rank)
    return np.asarray(ranked[mutual], dtype=np.int64)


def _cost(low: IntArray, high: IntArray, frame: Frame) -> IntArray:
    core_low, core_high = frame.core(low, high)
    low, high = frame.around(core_low, core_high)
    core, window = core_high - core_low, high - low
    total = np.full(core.shape[:-1], _WINDOW, dtype=np.int64)
    for more, work in _WORK:
        seen = np.minimum(core + more, window)
        total += work * seen[..., 0] * seen[..., 1]
    return total


def _core(low: IntArray, high: IntArray) -> finding.Core:
    (top, left), (bottom, right) = low.tolist(), high.tolist()
    return top, left, bottom, right
