"""Search the doubt thresholds that exclude most zero cases and call no positive absent (SCIENCE.md section 6)."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MARGIN = 1.0
"""A positive must still be seen with its probabilities lowered by this much on the logit scale."""
GRID = np.arange(-5.0, 13.0, 0.5)
"""Thresholds tried, as logits. They may lie far above 0.5: training shows calcium a hundred times too often."""
STARTS = 60
"""How many places the search begins from: moves of one or two thresholds may end in a hollow."""

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Hold what the thresholds can change of one scan.

    `logits` (candidate, plane) of its candidates; for a positive only its true lesions', without those that the 2D
    rule drops. `settled`: the scan is not ABSENT whatever the thresholds.
    """

    positive: bool
    settled: bool
    logits: Array


class Doubts:
    """Tell of many scans at once which hold a candidate in doubt."""

    def __init__(self, scans: Sequence[Scan]) -> None:
        # A candidate that another one exceeds in every plane is in doubt only where that one is.
        kept = [_exceeded_by_none(scan.logits) for scan in scans]
        self._logits = np.concatenate([np.empty((0, 3)), *kept])
        self._owner = np.repeat(np.arange(len(scans)), [len(each) for each in kept])
        self._settled = np.array([scan.settled for scan in scans], bool)

    def excluded(self, low: Array, high: Array) -> int:
        """Count the scans that these thresholds leave ABSENT; logits, one a plane."""
        doubted = ((self._logits >= low).sum(axis=1) >= 2) | (self._logits >= high).any(axis=1)
        kept = self._settled.copy()
        kept[self._owner[doubted]] = True
        return int(np.count_nonzero(~kept))


def choose(scans: Sequence[Scan]) -> tuple[Array, Array] | None:
    """Return low and high as logits, one a plane, or None where no thresholds find every positive.

    The search goes from several places, in turn by one threshold and by two at once, for as long as that excludes
    more. Of equals the lowest: as cautious as is free. In the end each goes down half way to where it would cost an
    exclusion.
    """
    # Where the 2D rule leaves nothing of a positive's lesions, no threshold can help; the caller counts those.
    positives = Doubts([scan for scan in scans if scan.positive and len(scan.logits)])
    zeros = Doubts([scan for scan in scans if not scan.positive])

    def worth(levels: Array) -> tuple[int, float]:
        low, high = np.minimum(*levels), levels[1]
        if positives.excluded(low + MARGIN, high + MARGIN):
            return -1, 0.0
        return zeros.excluded(low, high), -float(levels.sum())

    same = [np.array([[low] * 3, [high] * 3]) for low, high in itertools.product(GRID, GRID) if low <= high]
    safe = sorted((levels for levels in same if worth(levels)[0] >= 0), key=worth, reverse=True)
    if not safe:
        return None
    random = np.random.default_rng(0)
    begin = safe[: STARTS // 2] + [safe[place] for place in random.integers(len(safe), size=STARTS // 2)]
    levels = max((_climb(start, worth) for start in begin), key=worth)
    best = worth(levels)[0]
    for place in np.ndindex(levels.shape):
        kept = [value for value in GRID if worth(_with(levels, [(place, value)]))[0] >= best]
        levels = _with(levels, [(place, (levels[place] + min([*kept, levels[place]])) / 2)])
    return np.minimum(*levels), levels[1]


def _climb(levels: Array, worth: Callable[[Array], tuple[int, float]]) -> Array:
    """Change one or two thresholds at a time until no change excludes more."""
    places = list(np.ndindex(levels.shape))
    moves = [(place,) for place in places] + list(itertools.combinations(places, 2))
    while True:
        before = worth(levels)[0]
        for move in moves:
            steps = itertools.product(GRID[:: len(move)], repeat=len(move))
            trials = [_with(levels, zip(move, values, strict=True)) for values in steps]
            levels = max([levels, *trials], key=worth)
        if worth(levels)[0] <= before:
            return levels


def _with(levels: Array, changes: Iterable[tuple[tuple[int, ...], float]]) -> Array:
    changed = levels.copy()
    for place, value in changes:
        changed[place] = value
    return changed


def _exceeded_by_none(logits: Array) -> Array:
    """Return the candidates that no other reaches in every plane and exceeds in one."""
    different = np.unique(logits.reshape(-1, 3), axis=0)
    reached = (different[None] >= different[:, None]).all(axis=2)
    return different[reached.sum(axis=1) == 1]
