"""Tables of likeness: all scans side by side, real series beside populations of phantoms, and the largest gaps."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from benchmarks.likeness import dense, measures, pictures, subjects

BEGIN, END = "<!-- likeness: written by the command -->", "<!-- likeness: end -->"
SUITABLE = subjects.REAL[0].name
MATCHED = "matched"
"""The phantoms of that series' noise and grid, of the populations that the nets learn from."""
LEAST_RATE = 0.05
"""Rates and shares below it count as it: nothing is learnt from 0 against 0.01."""
LARGEST = 14


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gap:
    """Hold one statistic of the suitable real series, and by how many tolerances it lies outside the phantoms' range.

    `made` are the phantoms' ends, `others` those of the other real series with soft kernels.
    """

    row: measures.Statistic
    real: float
    made: tuple[float, float]
    others: tuple[float, float]
    size: float


def gaps(found: Sequence[measures.Measured]) -> list[Gap]:
    """Compare the suitable real series with the phantoms of its noise and grid; the largest gap comes first."""
    soft = {series.name for series in subjects.REAL if series.soft}
    real = next(each for each in found if each.name == SUITABLE)
    others = [each for each in found if each.name in soft - {SUITABLE}]
    listed = []
    for row in measures.STATISTICS:
        value, made = real.values.get(row.key, math.nan), _ends(row, [each for each in found if each.group == MATCHED])
        if math.isnan(value) or math.isnan(made[0]):
            continue
        size = max(_apart(row, made[0], value), _apart(row, value, made[1]), 0.0)
        listed.append(Gap(row=row, real=value, made=made, others=_ends(row, others), size=size))
    return sorted(listed, key=lambda gap: -gap.size)


def _ends(row: measures.Statistic, found: Sequence[measures.Measured]) -> tuple[float, float]:
    seen = _seen([each.values.get(row.key, math.nan) for each in found])
    return (min(seen), max(seen)) if seen else (math.nan, math.nan)


def _seen(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _apart(row: measures.Statistic, high: float, low: float) -> float:
    """Return by how many tolerances the first exceeds the second."""
    if not row.ratio:
        return (high - low) / row.tolerance
    return math.log(max(high, LEAST_RATE) / max(low, LEAST_RATE)) / math.log(row.tolerance)


def side_by_side(found: Sequence[measures.Measured]) -> str:
    """Write every statistic of every scan, as plain text."""
    heads = [each.name for each in found]
    wide = max(map(len, heads)) + 2
    lines = [f"{'':44}" + "".join(f"{head:>{wide}}" for head in heads)]
    section = ""
    for row in measures.STATISTICS:
        if row.section != section:
            section = row.section
            lines.append(section)
        cells = [_number(each.values.get(row.key, math.nan), row.digits) for each in found]
        lines.append(f"  {row.label:42}" + "".join(f"{cell:>{wide}}" for cell in cells))
    lines += [
        "",
        f"{SUITABLE} outside the range of {MATCHED} phantoms, in tolerances (others: real, soft kernel):",
    ]
    for gap in (gap for gap in gaps(found) if gap.size > 0):
        made, others = (_span(ends, gap.row.digits) for ends in (gap.made, gap.others))
        real = _number(gap.real, gap.row.digits)
        lines.append(f"  {gap.size:5.1f}  {gap.row.section}: {gap.row.label}: {real} against {made}; others {others}")
    return "\n".join(lines) + "\n"


def markdown(found: Sequence[measures.Measured], real: Sequence[dense.Lesions], made: Sequence[dense.Lesions]) -> str:
    """Write the part of docs/PHANTOM.md that is measured."""
    parts = [
        _tables(found),
        "### Largest gaps\n",
        _gap_table(gaps(found)),
        "### Lesions\n",
        _lesion_table(real, made) if real else "The real masks were not at hand.\n",
        "### Pictures\n",
        _picture_words(found),
    ]
    return "\n".join(parts)


def _tables(found: Sequence[measures.Measured]) -> str:
    real = [each for each in found if each.group == "real"]
    groups = {
        group: [each for each in found if each.group == group]
        for group in dict.fromkeys(each.group for each in found if each.group != "real")
    }
    heads = [*(each.name for each in real), *(f"{group} (n = {len(of)})" for group, of in groups.items())]
    grids = [
        *(each.grid for each in real),
        *(" or ".join(dict.fromkeys(each.grid for each in of)) for of in groups.values()),
    ]
    lines = [
        f"| | {' | '.join(heads)} |",
        "|---" * (len(heads) + 1) + "|",
        f"| thickness / increment / pixel, mm | {' | '.join(grids)} |",
    ]
    section = ""
    for row in measures.STATISTICS:
        if row.section != section:
            section = row.section
            lines.append(f"| **{section}** |" + " |" * len(heads))
        cells = [_number(each.values.get(row.key, math.nan), row.digits) for each in real]
        cells += [_range([each.values.get(row.key, math.nan) for each in of], row.digits) for of in groups.values()]
        lines.append(f"| {row.label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _gap_table(listed: Sequence[Gap]) -> str:
    outside = [gap for gap in listed if gap.size > 0]
    far = sum(gap.size >= 1 for gap in outside)
    lines = [
        f"{SUITABLE} against the {MATCHED} phantoms, which have its noise and grid: {len(listed) - len(outside)} of",
        f"its {len(listed)} statistics lie within their range, {len(outside) - far} outside by less than a tolerance,",
        f"{far} by one or more. A tolerance is a difference worth a thought (5 HU, for instance, or a factor of 2.5",
        "for a count): it is a convention, no test.\n",
        f"| statistic | {SUITABLE} | other real, soft kernels | {MATCHED} | outside by, in tolerances |",
        "|---|---|---|---|---|",
    ]
    for gap in outside[:LARGEST]:
        others, made = (_span(ends, gap.row.digits) for ends in (gap.others, gap.made))
        real = _number(gap.real, gap.row.digits)
        lines.append(f"| {gap.row.section}: {gap.row.label} | {real} | {others} | {made} | {gap.size:.1f} |")
    return "\n".join(lines) + "\n"


def _lesion_table(real: Sequence[dense.Lesions], made: Sequence[dense.Lesions]) -> str:
    heads = ("case", "Agatston", "heart, ml", "lesions", "mm3: median (largest)", "share of the largest")
    heads += ("slices: median (most)", "length / width, median")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {of.name} | {of.score:.0f} | {of.heart_ml:.0f} | {_lesions(of)} |" for of in (*real, *made)]
    return "\n".join(lines) + "\n"


def _lesions(of: dense.Lesions) -> str:
    if not of.mm3.size:
        return "0 | - | - | - | -"
    long = of.elongation[~np.isnan(of.elongation)]
    share = of.mm3.max() / of.mm3.sum()
    shape = f"{np.median(long):.1f}" if long.size else "-"
    sizes = f"{np.median(of.mm3):.0f} ({of.mm3.max():.0f})"
    return f"{of.mm3.size} | {sizes} | {share:.2f} | {np.median(of.slices):.0f} ({of.slices.max()}) | {shape}"


def _picture_words(found: Sequence[measures.Measured]) -> str:
    names = ", ".join(pictures.columns(found))
    return (
        f"From left to right: {names}. Above the chest (350 mm), below the heart (130 mm), window -135 to 215 HU:\n\n"
        f"![Slices](pictures/{pictures.SLICES})\n\nNoise power in the blood pool over its variance, soft kernels:\n\n"
        f"![Noise power](pictures/{pictures.NOISE})\n\nHU of the heart core:\n\n![HU](pictures/{pictures.HISTOGRAMS})\n"
    )


def _range(values: Sequence[float], digits: int) -> str:
    seen = _seen(values)
    return _span((min(seen), max(seen)), digits) if seen else "-"


def _span(ends: tuple[float, float], digits: int) -> str:
    low, high = (_number(end, digits) for end in ends)
    return low if low == high else f"{low} to {high}"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no -0


def within(page: str, part: str) -> str:
    """Put the measured part between its two marks; ValueError where the page has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"The page holds no {BEGIN} ... {END}.")
    return f"{before}{BEGIN}\n\n{part}\n{END}{after}"
