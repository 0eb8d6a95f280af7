"""The pictures of docs/PHANTOM.md: slices side by side, noise power, histograms."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib import axes, figure

from benchmarks.likeness import measures, subjects, views

SLICES = "likeness_slices.png"
NOISE = "likeness_noise.png"
HISTOGRAMS = "likeness_histograms.png"
COLOURS = {
    "real": "#c0504d",
    "matched": "#7b4fa3",
    "standard": "#8a8a8a",
    "broad": "#3b6fb6",
    "external": "#4c9f70",
    "atlas": "#e0b040",
}
GAP_PX = 4
Draw: TypeAlias = Callable[[axes.Axes, measures.Measured, str | None], None]


def write(found: Sequence[measures.Measured], folder: pathlib.Path) -> None:
    """Write all pictures; of real series only those that may be shown."""
    named = {each.name: each for each in found}
    allowed = {series.name for series in subjects.REAL if series.shown and series.soft}
    drawn = [each for each in found if each.name in allowed or each.group != "real"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SLICES).write_bytes(views.smaller(_row([named[name].view for name in columns(found)])))
    _plot(folder / NOISE, drawn, _noise, ("cycles per mm", "noise power / variance, mm2"))
    _plot(folder / HISTOGRAMS, drawn, _histogram, ("HU", "% of the heart core's voxels per HU"))


def columns(found: Sequence[measures.Measured]) -> list[str]:
    """Name the columns of the picture of slices: real series that may be shown, and the first phantom of each group."""
    allowed = {series.name for series in subjects.REAL if series.shown}
    first = {each.group: each.name for each in reversed(found) if each.group != "real"}
    groups = dict.fromkeys(each.group for each in found if each.group != "real")
    return [*(each.name for each in found if each.name in allowed), *(first[group] for group in groups)]


def _row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Set pictures beside each other, white between them."""
    gap = np.full((pictures[0].shape[0], GAP_PX), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def _plot(path: pathlib.Path, found: Sequence[measures.Measured], draw: Draw, words: tuple[str, str]) -> None:
    page = figure.Figure(figsize=(7.0, 3.6), layout="constrained")
    place = page.subplots()
    named: set[str] = set()
    for each in found:
        label = each.name if each.group == "real" else each.group
        draw(place, each, None if label in named else label)
        named.add(label)
    place.set(xlabel=words[0], ylabel=words[1])
    place.legend(fontsize=7)
    page.savefig(path, dpi=100, metadata={"Software": None})


def _style(each: measures.Measured) -> dict[str, object]:
    real = each.group == "real"
    styles = {series.name: style for series, style in zip(subjects.REAL, ("-", "--", "-.", ":", "-"), strict=True)}
    return {"color": COLOURS[each.group], "lw": 1.8 if real else 0.9, "ls": styles[each.name] if real else "-"}


def _noise(place: axes.Axes, each: measures.Measured, label: str | None) -> None:
    frequency, power = each.power
    if frequency.size:
        place.plot(frequency, power / each.values["noise"] ** 2, label=label, **_style(each))


def _histogram(place: axes.Axes, each: measures.Measured, label: str | None) -> None:
    place.plot(measures.HISTOGRAM[:-1] + 2, each.histogram, label=label, **_style(each))
