"""Search the thresholds of joint doubt that exclude most zero cases and call no positive absent (SCIENCE.md 6)."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cac import finding, joint

MARGIN, LESS = 2.0, 1.0
"""A positive must still be seen with its logits lowered by so much: odds 7 times less, 3 times for a smaller one.

See decision 28: what each costs in exclusions, and what was lost with less."""
CERTAIN = 10.0
"""Agatston score from which a positive takes the whole margin."""
LOW, HIGH = 0.99, 0.9999
"""What two nets, or one, call calcium at these is always doubted: such thresholds are not searched, but set."""
LEAST = -4.0
"""Least joint logit of what counts as seen, and least threshold: lower, and all that is dense would be in doubt."""
SPECK = np.arange(joint.SPECKS_MOST, LEAST - 0.1, -0.25)
"""A speck's thresholds tried, as logits. Specks score nothing, so that hardly a positive shows in them alone and binds
them: the first one, `joint.SPECKS_CEILING`, does."""
ACCEPT = np.arange(0.0, joint.MOST, 0.25)
"""Thresholds tried for what is accepted, as joint logits, from 0.5 to 0.991. They may lie far above 0.5: training shows
calcium a hundred times too often."""
NEAR = 0.01
"""Agreement that is as good as the best: of some hundred lesions, chance moves it so far."""

Array = NDArray[np.float64]
Values = TypeVar("Values", NDArray[np.float32], NDArray[np.float64])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Hold what the thresholds can change of one scan.

    `logits` (voxel, plane) of its candidates' voxels, of which those suffice that no other reaches in every plane, and
    which of the voxels are of a `speck`; for a positive only its true lesions'. `settled`: the scan is not ABSENT
    whatever the thresholds. `margin`: by how much lower a positive's logits must still be seen.
    """

    positive: bool
    settled: bool
    logits: Array
    speck: NDArray[np.bool_]
    margin: float = 0.0

    def lowered(self) -> "Scan":
        """Return the scan as the thresholds must still see it."""
        return dataclasses.replace(self, logits=self.logits - self.margin)

    @property
    def findable(self) -> bool:
        """Tell whether there are thresholds at which it is doubted, lowered by its margin."""
        return self.settled or _highest([self.lowered()], LEAST) is not None

    @property
    def sure(self) -> bool:
        """Tell whether two nets or one are so sure of a voxel that it is doubted whatever is chosen."""
        two, one = (self.logits >= logit(level) for level in (LOW, HIGH))
        return bool((two.sum(axis=1) >= 2).any() or one.any())

    def most(self, *, speck: bool) -> float:
        """Return the largest joint logit of its specks, or of its other voxels; -inf without any."""
        return float(joint.mean(self.logits[self.speck == speck]).max(initial=-math.inf))


def excluded(scans: Sequence[Scan], chosen: finding.Joint) -> list[bool]:
    """Tell which scans the thresholds leave ABSENT."""
    other, speck = logit(chosen.other), logit(chosen.speck)
    return [
        not (scan.settled or scan.sure or scan.most(speck=False) >= other or scan.most(speck=True) >= speck)
        for scan in scans
    ]


def choose(scans: Sequence[Scan]) -> finding.Joint | None:
    """Return the thresholds, or None where none find every positive, or there is no positive to decide by.

    What is accepted stays at its least here: `accept` chooses it. For each threshold of specks the other one is as high
    as every positive, lowered by its margin, is still doubted. Of those that exclude most the highest is taken, and
    both then go down half way to the surest zero scan that they exclude: as cautious as is nearly free. What no zero
    scan was held against gets no higher than it must.
    """
    # Without a voxel there is nothing to see; the caller counts such as lost.
    positives = [scan.lowered() for scan in scans if scan.positive and not scan.settled and len(scan.logits)]
    if not positives:
        return None
    zeros = [scan for scan in scans if not scan.positive]
    pairs = [pair for speck in SPECK if (pair := _highest(positives, float(speck)))]
    if not pairs:
        return None
    best = max(pairs, key=lambda pair: sum(excluded(zeros, pair)))  # the first of equals
    left = [zero for zero, out in zip(zeros, excluded(zeros, best), strict=True) if out]
    other, speck = (
        _lowered(logit(level), left, speck=kind) for level, kind in ((best.other, False), (best.speck, True))
    )
    return _joint(other, max(other, speck))


def _lowered(level: float, left: Sequence[Scan], *, speck: bool) -> float:
    """Return a threshold, a logit, half way down to the surest of the scans that it excludes, but not below LEAST."""
    surest = max((scan.most(speck=speck) for scan in left), default=LEAST)
    return max((level + surest) / 2, LEAST) if surest > LEAST else LEAST


def _highest(positives: Sequence[Scan], speck: float) -> finding.Joint | None:
    """Return a threshold of specks, a logit, with the highest other one at which every positive is doubted, if any."""
    needed = [scan.most(speck=False) for scan in positives if not scan.sure and scan.most(speck=True) < speck]
    other = min([speck, logit(joint.CEILING), *needed])
    return None if other < LEAST else _joint(other, speck)


def _joint(other: float, speck: float) -> finding.Joint:
    """Return thresholds of doubt given as logits; what is accepted is chosen last (`accept`)."""
    least = probability(max(float(ACCEPT[0]), other))
    return finding.Joint(accept=least, other=probability(other), speck=probability(speck))


def logit(level: float) -> float:
    """Return a probability's logit."""
    return math.log(level / (1 - level))


def probability(value: float) -> float:
    """Return a logit's probability as the manifest states it, rounded down: to doubt more, not less."""
    return math.floor(1e7 / (1 + math.exp(-value))) / 1e7


def accept(reach: Array, voxels: Array, true: NDArray[np.bool_]) -> float:
    """Return the threshold, a logit, at which accepted candidates agree best with the truth.

    `reach` is each candidate's largest joint logit on a voxel that all planes call calcium, -inf without one; agreement
    is the Dice coefficient of the candidates' voxels, of which no false one counts more than the largest true one: of a
    bone only what the nets call calcium would be taken. The lowest, from 0.5 up, that is within `NEAR` of the best: a
    candidate that is not accepted is in doubt anyway, so that of equals the one that scores more plaques is better.
    """
    voxels = np.minimum(voxels, voxels[true].max(initial=0))
    whole = voxels[true].sum()
    taken = [reach >= level for level in ACCEPT]
    dice = np.array([2 * voxels[own & true].sum() / max(voxels[own].sum() + whole, 1) for own in taken])
    return float(ACCEPT[(dice >= dice.max() - NEAR).argmax()])


def unexceeded(said: Values) -> Values:
    """Return the voxels (voxel, plane) that no other reaches in every plane: the rest pass only what these pass too."""
    left, kept = np.unique(said.reshape(-1, 3), axis=0), []
    while len(left):
        best = left[left.sum(axis=1).argmax()]
        kept.append(best)
        left = left[(left > best).any(axis=1)]
    return np.array(kept, said.dtype).reshape(-1, 3)
