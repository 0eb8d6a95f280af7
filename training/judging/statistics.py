"""The figures by which answers are judged: pure functions of counts and scores (SCIENCE.md section 6)."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

CONFIDENCE = 0.95
"""Of every interval, two-sided: half of the rest lies beyond either end."""
RESAMPLES = 1000
"""Bootstrap samples, as in the paper (Materials and methods, Statistics)."""
LIMITS_SD = 1.96

Array = NDArray[np.float64]
Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Hold a confusion matrix; 'positive' is with calcium, predicted positive is not excluded."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def cells(self) -> Array:
        """Return tp, fp, fn, tn."""
        return np.array([self.tp, self.fp, self.fn, self.tn], np.float64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Hold a figure with its bootstrap interval and, where it is a proportion, the exact one; NaN if undefined."""

    value: float
    bootstrap: Interval
    exact: Interval | None


def count(positive: Sequence[bool], predicted: Sequence[bool]) -> Counts:
    """Count a confusion matrix from truth and answer, one a scan."""
    truth, answer = np.asarray(positive, bool), np.asarray(predicted, bool)
    return Counts(
        tp=int((truth & answer).sum()),
        fp=int((~truth & answer).sum()),
        fn=int((truth & ~answer).sum()),
        tn=int((~truth & ~answer).sum()),
    )


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def kappa(cells: Array) -> Array:
    """Return Cohen's kappa of confusion matrices: cells (4, ...) are tp, fp, fn, tn."""
    tp, fp, fn, tn = cells
    return _ratio(2 * (tp * tn - fn * fp), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))


_PROPORTIONS: Mapping[str, Callable[[Array], tuple[Array, Array]]] = {
    "precision": lambda c: (c[0], c[0] + c[1]),
    "sensitivity": lambda c: (c[0], c[0] + c[2]),
    "NPV": lambda c: (c[3], c[3] + c[2]),
    "specificity": lambda c: (c[3], c[3] + c[1]),
    "accuracy": lambda c: (c[0] + c[3], c.sum(axis=0)),
}
FIGURES = (*_PROPORTIONS, "kappa")


def estimate(counts: Counts, figure: str, seed: int = 0) -> Estimate:
    """Return one of FIGURES with its intervals.

    To draw the scans of a confusion matrix with replacement is to draw its cells from a multinomial.
    """
    cells = counts.cells
    total = int(cells.sum())
    if not total:
        return Estimate(value=np.nan, bootstrap=(np.nan, np.nan), exact=None)
    drawn = np.random.default_rng(seed).multinomial(total, cells / total, RESAMPLES).T.astype(np.float64)
    if figure == "kappa":
        return Estimate(value=float(kappa(cells)), bootstrap=_middle(kappa(drawn)), exact=None)
    part, whole = _PROPORTIONS[figure](cells)
    resampled = _ratio(*_PROPORTIONS[figure](drawn))
    return Estimate(value=float(_ratio(part, whole)), bootstrap=_middle(resampled), exact=exact(int(part), int(whole)))


def exact(part: int, whole: int) -> Interval:
    """Return the Clopper-Pearson interval of a proportion; NaN of nothing."""
    if not whole:
        return np.nan, np.nan
    found = stats.binomtest(part, whole).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def mean(values: Sequence[float], seed: int = 0) -> Estimate:
    """Return a mean with its bootstrap interval."""
    known = np.asarray(values, np.float64)
    if not known.size:
        return Estimate(value=np.nan, bootstrap=(np.nan, np.nan), exact=None)
    places = np.random.default_rng(seed).integers(0, known.size, (RESAMPLES, known.size))
    return Estimate(value=float(known.mean()), bootstrap=_middle(known[places].mean(axis=1)), exact=None)


def _middle(values: Array) -> Interval:
    known = values[np.isfinite(values)]
    if not known.size:
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def positives_needed(sensitivity: float, missed: int = 0) -> int:
    """Return how many positives, so many of them missed, show this sensitivity as the exact interval's lower end."""
    low, high = missed, missed + 1
    while exact(high - missed, high)[0] < sensitivity:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if exact(middle - missed, middle)[0] >= sensitivity else (middle, high)
    return high


def dice(tp: float, fp: float, fn: float) -> float:
    """Return the Dice coefficient of volumes; NaN where neither truth nor answer holds anything."""
    whole = 2 * tp + fp + fn
    return 2 * tp / whole if whole else float("nan")


def icc(scores: Array) -> float:
    """Return ICC(2,1), scores (target, judge): two-way random, absolute agreement, a single measure.

    Shrout & Fleiss, Psychol Bull 1979;86:420-428. NaN for fewer than two targets or where no score differs.
    """
    targets, judges = scores.shape
    if targets < 2:
        return float("nan")
    grand = scores.mean()
    between = judges * ((scores.mean(axis=1) - grand) ** 2).sum() / (targets - 1)
    by_judge = targets * ((scores.mean(axis=0) - grand) ** 2).sum() / (judges - 1)
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + grand
    error = (rest**2).sum() / ((targets - 1) * (judges - 1))
    below = between + (judges - 1) * error + judges * (by_judge - error) / targets
    return float((between - error) / below) if below else float("nan")


def bland_altman(truth: Array, found: Array) -> tuple[float, float, float]:
    """Return bias (found minus truth) and the limits of agreement, 1.96 SD to either side; NaN of fewer than two."""
    if truth.size < 2:
        return float("nan"), float("nan"), float("nan")
    differences = found - truth
    bias, reach = float(differences.mean()), LIMITS_SD * float(differences.std(ddof=1))
    return bias, bias - reach, bias + reach


def agreement(truth: Sequence[str], found: Sequence[str], order: Sequence[str], weights: str | None = None) -> float:
    """Return Cohen's kappa of ordered categories, `weights` None or 'linear'; NaN where all are one category."""
    if len({*truth, *found}) < 2:
        return float("nan")
    return float(metrics.cohen_kappa_score(truth, found, labels=list(order), weights=weights))
