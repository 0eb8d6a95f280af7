"""Tables as text: Markdown to read, CSV to go on with; and how rows are grouped into their lines."""

import collections
import csv
import dataclasses
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from training.judging import rows
from training.judging import statistics as figures

SYNTHETIC = "Synthetic data: these numbers measure the software, never clinical performance."
WAYS = ("plain", "dilated")
"""First, and in the order of the paper; other architectures follow, and the threshold comes last."""

Cell = str | int | float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Hold a table: `name` names its file, `notes` are sentences below it."""

    name: str
    title: str
    head: tuple[str, ...]
    body: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Hold the rows of one set judged in one way."""

    set_name: str
    way: str
    scans: tuple[rows.Row, ...]

    @property
    def title(self) -> tuple[str, str]:
        """Return the set's name and the way's."""
        return self.set_name, self.way

    def stratum(self, *names: str) -> tuple[rows.Row, ...]:
        """Return the rows of some strata."""
        return tuple(row for row in self.scans if row.stratum in names)

    @property
    def suitable(self) -> tuple[rows.Row, ...]:
        """Return the rows with a score."""
        return tuple(row for row in self.scans if row.found is not None)


def groups(judged: Iterable[rows.Row], *, threshold: bool = True) -> list[Group]:
    """Group rows by set, in their order, and by way; the threshold's only if asked for."""
    by: dict[str, dict[str, list[rows.Row]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in judged:
        by[row.set_name][row.way].append(row)

    def place(way: str) -> tuple[int, str]:
        return (WAYS.index(way) if way in WAYS else len(WAYS) + (way == rows.THRESHOLD)), way

    return [
        Group(set_name=name, way=way, scans=tuple(ways[way]))
        for name, ways in by.items()
        for way in sorted(ways, key=place)
        if threshold or way != rows.THRESHOLD
    ]


def lines(found: Sequence[Group], line: Callable[[Group], Iterable[tuple[Cell, ...]]]) -> tuple[tuple[Cell, ...], ...]:
    """Return each group's lines with its set and its way before them."""
    return tuple((*group.title, *cells) for group in found for cells in line(group))


def caution(judged: Iterable[rows.Row]) -> str:
    """Say what synthetic data measure, and which sets are; nothing where none is."""
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    for row in judged:
        kinds[row.synthetic].add(row.set_name)
    if not kinds[True]:
        return ""
    return SYNTHETIC if not kinds[False] else f"{', '.join(sorted(kinds[True]))}: {SYNTHETIC}"


def markdown(table: Table, said: str) -> str:
    """Write a table with its title and its notes; `said` is what must stand below every table."""
    text = [f"## {table.title}", "", *_row(table.head), "|" + "---|" * len(table.head)]
    for cells in table.body:
        text += _row([shown(cell) for cell in cells])
    notes = [*table.notes, *([said] if said else [])]
    return "\n".join([*text, "", " ".join(notes), ""])


def comma_separated(table: Table, said: str) -> str:
    """Write a table as CSV; the last line is what must stand below every table."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.head)
    writer.writerows([shown(cell) for cell in cells] for cells in table.body)
    if said:
        writer.writerow([f"# {said}"])
    return buffer.getvalue()


def shown(cell: Cell) -> str:
    """Write a number with three figures after the point where it is small, a dash for NaN."""
    if isinstance(cell, float):
        return "-" if math.isnan(cell) else f"{cell:.3f}" if abs(cell) < 10 else f"{cell:.1f}"
    return str(cell)


def estimated(found: figures.Estimate) -> str:
    """Write a figure with its intervals."""
    if math.isnan(found.value):
        return "-"
    intervals = [_interval(found.bootstrap)]
    if found.exact is not None:
        intervals.append(f"exact {_interval(found.exact)}")
    return f"{found.value:.2f} ({'; '.join(intervals)})"


def share(part: int, whole: int) -> str:
    """Write a proportion with its exact interval."""
    if not whole:
        return "-"
    low, high = figures.exact(part, whole)
    return f"{part} of {whole} ({100 * part / whole:.0f} %; exact {100 * low:.1f}-{100 * high:.1f} %)"


def counted(counts: Mapping[str, int], names: Sequence[str]) -> tuple[int, ...]:
    """Return the counts of some names, 0 where there is none."""
    return tuple(counts.get(name, 0) for name in names)


def mean(values: Sequence[float]) -> float:
    """Return a mean, NaN of nothing."""
    return float(np.mean(values)) if values else float("nan")


def _interval(ends: figures.Interval) -> str:
    return f"{ends[0]:.2f}-{ends[1]:.2f}"


def _row(cells: Iterable[str]) -> list[str]:
    return ["| " + " | ".join(cells) + " |"]
