"""The tables beyond the paper's: demands, strata, agreement, arteries, false candidates, envelope, time."""

import collections
from collections.abc import Sequence

import numpy as np

from cac import agatston
from training.judging import rows, tables
from training.judging import statistics as figures

CATEGORIES = ("0", "1-10", "11-100", "101-400", "> 400")
OUTCOMES = ("absent", "indeterminate", "present", "unsuitable")
STATUSES = ("accepted", "doubt", "rejected")
MOST_SMALL_ABSENT = 2 / 50
LEAST_EXCLUDED = 0.86
LEAST_ICC = 0.95


def all_tables(judged: Sequence[rows.Row]) -> list[tables.Table]:
    """Make them all; those of nets leave out the threshold."""
    found, nets = tables.groups(judged), tables.groups(judged, threshold=False)
    return [demands(found), strata(found), agreement(found), arteries(nets), false(nets), envelope(nets), times(nets)]


def demands(found: Sequence[tables.Group]) -> tables.Table:
    """Hold each group against what is demanded of the shipped nets on held-out sets."""
    missed = sorted(
        f"{row.set_name} {row.name} {row.way} (Agatston {row.true:.1f})"
        for group in found
        for row in group.scans
        if row.positive and row.excluded
    )
    demanded = ("Agatston >= 10 absent", "1-10 absent", "zero excluded", "Agatston ICC", "lesions not in envelope")
    return tables.Table(
        name="demands",
        title="What is demanded",
        head=("set", "way", *demanded, "broken"),
        body=tables.lines(found, _demanded),
        notes=(
            "Demanded: none, at most 4 %, at least 86 %, at least 0.95, none.",
            f"Calcium called absent: {'; '.join(missed) or 'in no scan'}.",
        ),
    )


def _demanded(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
    large, small, zero = group.stratum("10-20", "20-100", "> 100"), group.stratum("1-10"), group.stratum("0")
    missed, little, excluded = (sum(row.excluded for row in scans) for scans in (large, small, zero))
    icc = figures.icc(scores(group))
    outside = sum(row.outside + row.cut for row in group.scans)
    broken = {
        "a miss": missed > 0,
        "small": little > MOST_SMALL_ABSENT * len(small),
        "exclusion": excluded < LEAST_EXCLUDED * len(zero),
        "ICC": icc < LEAST_ICC,
        "envelope": outside > 0,
    }
    shares = [tables.share(part, len(scans)) for part, scans in ((missed, large), (little, small), (excluded, zero))]
    return [(*shares, icc, outside, ", ".join(name for name, wrong in broken.items() if wrong) or "all hold")]


def strata(found: Sequence[tables.Group]) -> tables.Table:
    """Count the outcomes of each stratum."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        told: list[tuple[tables.Cell, ...]] = []
        for name in rows.STRATA:
            scans = group.stratum(name)
            counts = collections.Counter(row.outcome for row in scans)
            if scans:
                absent = tables.share(counts["absent"], len(scans))
                told.append((name, len(scans), *tables.counted(counts, OUTCOMES), absent))
        return told

    return tables.Table(
        name="strata",
        title="Outcomes by Agatston score",
        head=("set", "way", "Agatston", "n", *OUTCOMES, "excluded"),
        body=tables.lines(found, line),
        notes=("Calcium that scores below 1 stands in 1-10.",),
    )


def scores(group: tables.Group) -> figures.Array:
    """Return true and found Agatston scores of the scans that have one, shape (scan, 2)."""
    return np.array([(row.true, row.found) for row in group.suitable], np.float64).reshape(-1, 2)


def agreement(found: Sequence[tables.Group]) -> tables.Table:
    """Compare Agatston scores and risk categories."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        both = scores(group)
        true, seen = ([agatston.category(float(value)) for value in column] for column in both.T)
        kappas = [figures.agreement(true, seen, CATEGORIES, weights) for weights in (None, "linear")]
        bias, low, high = figures.bland_altman(both[:, 0], both[:, 1])
        return [(len(both), len(group.scans) - len(both), figures.icc(both), bias, low, high, *kappas)]

    return tables.Table(
        name="agreement",
        title="Agatston score and risk category",
        head=(
            "set",
            "way",
            "n",
            "without score",
            "ICC(2,1)",
            "bias",
            "lower limit",
            "upper limit",
            "category kappa",
            "weighted",
        ),
        body=tables.lines(found, line),
        notes=(
            "ICC: two-way random, absolute agreement, single. Bland-Altman: found minus true, limits at 1.96 SD.",
            "Scored is what was accepted, also where the outcome is indeterminate.",
            "Categories 0, 1-10, 11-100, 101-400, > 400; weights linear.",
        ),
    )


def arteries(found: Sequence[tables.Group]) -> tables.Table:
    """Count in how many scans an artery's calcium is found."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        told = []
        for name in ("LM", "LAD", "LCX", "RCA"):
            own = [row.arteries[name] for row in group.scans if name in row.arteries]
            accepted = sum(each.accepted for each in own)
            doubted = sum(each.doubted and not each.accepted for each in own)
            if own:
                mm = [tables.mean([getattr(each, part) for each in own]) for part in ("true", "found")]
                told.append((name, len(own), accepted, doubted, len(own) - accepted - doubted, *mm))
        return told

    return tables.Table(
        name="arteries",
        title="Arteries",
        head=(
            "set",
            "way",
            "artery",
            "scans",
            "accepted",
            "in doubt only",
            "missed",
            "Agatston, true",
            "Agatston, found",
        ),
        body=tables.lines(found, line),
        notes=("Scans whose truth names the artery; mean scores of them.",),
    )


def false(found: Sequence[tables.Group]) -> tables.Table:
    """Count the candidates that are no coronary calcium by class and by what became of them."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        voxels: collections.Counter[str] = collections.Counter()
        for row in group.scans:
            for spot in row.spots:
                if not spot.true:
                    counts[spot.what][spot.status] += 1
                    voxels[spot.what] += spot.voxels * (spot.status == "accepted")
            for what, many in row.faint.items():
                counts[what]["rejected"] += many
        order = sorted(counts, key=lambda what: (-counts[what]["accepted"] - counts[what]["doubt"], what))
        return [(what, *tables.counted(counts[what], STATUSES), voxels[what]) for what in order]

    return tables.Table(
        name="false",
        title="False candidates",
        head=("set", "way", "class", *STATUSES, "voxels of the accepted"),
        body=tables.lines(found, line),
        notes=(
            "Candidates without a voxel of the truth. Noise is what no class names; where a set names none, bone is",
            "what belongs to 2 cm3 of dense voxels, and the rest unnamed.",
        ),
    )


def envelope(found: Sequence[tables.Group]) -> tables.Table:
    """Name the lesions that the heart envelope does not contain."""
    body, seen = [], set()
    for group in found:
        if group.set_name in seen:
            continue
        seen.add(group.set_name)
        lesions, outside, cut = (
            sum(getattr(row, name) for row in group.scans) for name in ("lesions", "outside", "cut")
        )
        named = [row.name for row in group.scans if row.outside or row.cut]
        body.append((group.set_name, lesions, outside, cut, ", ".join(named) or "none"))
    return tables.Table(
        name="envelope",
        title="Lesions and the heart envelope",
        head=("set", "lesions", "outside", "cut", "scans"),
        body=tuple(body),
        notes=("A lesion that is cut has voxels on both sides; it is judged by its part inside.",),
    )


def times(found: Sequence[tables.Group]) -> tables.Table:
    """Tell how long a scan takes on one thread."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        seconds, making = ([getattr(row, name) for row in group.scans] for name in ("seconds", "making"))
        return [
            (len(seconds), *(f"{np.quantile(seconds, part):.2f}" for part in (0.5, 0.95)), f"{np.median(making):.1f}")
        ]

    return tables.Table(
        name="times",
        title="Seconds a scan",
        head=("set", "way", "n", "median", "95th percentile", "to make or read it"),
        body=tables.lines(found, line),
        notes=("Processor time of the whole pipeline on one thread: what an idle core needs. The paper needed 30 s.",),
    )
