"""Search the doubt thresholds that exclude most zero cases and call no positive absent (SCIENCE.md section 6)."""

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

MARGIN, LESS = 2.0, 1.0
"""A positive must still be seen with its logits lowered by so much: odds 7 times less, 3 times for a smaller one.

See decision 28: what each costs in exclusions, and what was lost with less."""
CERTAIN = 10.0
"""Agatston score from which a positive takes the whole margin."""
GRID = np.arange(-5.0, 9.5, 0.5)
"""Thresholds tried, as logits. They may lie far above 0.5: training shows calcium a hundred times too often."""
HIGHEST = np.log([[0.999] * 3, [0.99] * 3, [0.9999] * 3]) - np.log([[0.001] * 3, [0.01] * 3, [0.0001] * 3])
"""No threshold is tried above these (the first is accept's too), and `low` never ends above `speck`: what two nets call
calcium at 0.99, or one at 0.9999, is always doubted. Specks score nothing, so that hardly a positive shows in them
alone and binds their thresholds: this does."""
TRIES = 3000

Array = NDArray[np.float64]
Values = TypeVar("Values", NDArray[np.float32], NDArray[np.float64])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Hold what the thresholds can change of one scan.

    `logits` (voxel, plane) of its candidates' voxels, of which those suffice that no other reaches in every plane, and
    which of the voxels are of a `speck`; for a positive only its true lesions', without those that the 2D rule drops.
    `settled`: the scan is not ABSENT whatever the thresholds. `margin`: by how much lower a positive's logits must
    still be seen.
    """

    positive: bool
    settled: bool
    logits: Array
    speck: NDArray[np.bool_]
    margin: float = 0.0

    def lowered(self) -> "Scan":
        """Return the scan as the thresholds must still see it."""
        return dataclasses.replace(self, logits=self.logits - self.margin)


class Doubts:
    """Tell of many scans at once which hold a candidate in doubt: with a voxel that two planes or one suspect."""

    def __init__(self, scans: Sequence[Scan]) -> None:
        kept = [[unexceeded(scan.logits[scan.speck == speck]) for speck in (False, True)] for scan in scans]
        flat = [each for pair in kept for each in pair]
        sizes = [len(each) for each in flat]
        self._logits = np.concatenate([np.empty((0, 3)), *flat])
        self._owner = np.repeat(np.repeat(np.arange(len(scans)), 2), sizes)
        self._speck = np.repeat(np.tile([False, True], len(scans)), sizes)
        self._settled = np.array([scan.settled for scan in scans], bool)

    def excluded(self, levels: Array) -> int:
        """Count the scans that thresholds leave ABSENT; logits (low, speck and high, plane)."""
        low, speck, high = levels
        two = (self._logits >= np.where(self._speck[:, None], speck, low)).sum(axis=1) >= 2
        doubted = two | (self._logits >= high).any(axis=1)
        kept = self._settled.copy()
        kept[self._owner[doubted]] = True
        return int(np.count_nonzero(~kept))


def choose(scans: Sequence[Scan]) -> Array | None:
    """Return logits (low, speck and high, plane), or None where none find every positive, or there is no positive.

    Higher thresholds never exclude fewer, so the best lie where none can be raised without losing a positive. From
    the best so far, one or two are lowered at random and all raised again in another order. In the end each goes down
    half way to where it would cost an exclusion: as cautious as is nearly free.
    """
    # Where the 2D rule leaves nothing of a positive's lesions, no threshold can help; the caller counts those.
    decidable = [scan for scan in scans if scan.positive and len(scan.logits)]
    if not decidable:
        return None
    positives = Doubts([scan.lowered() for scan in decidable])
    zeros = Doubts([scan for scan in scans if not scan.positive])

    def safe(levels: Array) -> bool:
        return not positives.excluded(ordered(levels))

    def excluded(levels: Array) -> int:
        return zeros.excluded(ordered(levels))

    lowest = np.full(HIGHEST.shape, GRID[0])
    if not safe(lowest):
        return None
    random = np.random.default_rng(0)
    best = lowest
    for attempt in range(TRIES):
        trial = (lowest if attempt % 4 == 0 else best).copy()
        if attempt % 4:
            fewer = random.choice(trial.size, random.integers(1, 3), replace=False)
            trial.flat[fewer] = random.uniform(GRID[0], trial.flat[fewer])
        trial = _raised(trial, random.permutation(trial.size), safe)
        if excluded(trial) >= excluded(best):
            best = trial
    most = excluded(best)
    for place in range(best.size):
        kept = [value for value in GRID if value <= best.flat[place] and excluded(_with(best, place, value)) >= most]
        best = _with(best, place, (best.flat[place] + min([*kept, best.flat[place]])) / 2)
    return ordered(best)


def ordered(levels: Array) -> Array:
    """Return thresholds of which none lies above the next one: low, speck, high."""
    return np.minimum.accumulate(levels[::-1])[::-1]


def accept(least: Array, voxels: Array, true: NDArray[np.bool_]) -> float:
    """Return the threshold, a logit, at which candidates accepted in all planes agree best with the truth.

    `least` is each candidate's least logit over the planes; agreement is the Dice coefficient of the candidates'
    voxels, of which no false one counts more than the largest true one: of a bone only what the nets call calcium would
    be taken. It hardly decides on exclusion: what is accepted passes two doubt thresholds too, if not always on one
    voxel. The lowest of equals, from 0.5 up.
    """
    tried = GRID[(GRID >= 0) & (HIGHEST[0, 0] >= GRID)]
    voxels = np.minimum(voxels, voxels[true].max(initial=0))
    whole = voxels[true].sum()
    best, most = float(tried[0]), -1.0
    for level in tried:
        taken = least >= level
        dice = 2 * voxels[taken & true].sum() / max(voxels[taken].sum() + whole, 1)
        if dice > most:
            best, most = float(level), float(dice)
    return best


def _raised(levels: Array, places: Iterable[int], safe: Callable[[Array], bool]) -> Array:
    """Raise each threshold in turn as far as every positive is still found."""
    for place in places:
        higher = GRID[(levels.flat[place] < GRID) & (HIGHEST.flat[place] >= GRID)]
        # The first that is not safe ends it: what a threshold loses, a higher one loses too.
        count = bisect.bisect_left(higher, True, key=lambda value, at=place: not safe(_with(levels, at, value)))
        if count:
            levels = _with(levels, place, higher[count - 1])
    return levels


def _with(levels: Array, place: int, value: float) -> Array:
    changed = levels.copy()
    changed.flat[place] = value
    return changed


def unexceeded(said: Values) -> Values:
    """Return the voxels (voxel, plane) that no other reaches in every plane: the rest pass only what these pass too."""
    left, kept = np.unique(said.reshape(-1, 3), axis=0), []
    while len(left):
        best = left[left.sum(axis=1).argmax()]
        kept.append(best)
        left = left[(left > best).any(axis=1)]
    return np.array(kept, said.dtype).reshape(-1, 3)
