"""Plots of rows as PNG."""

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib import axes
from matplotlib import figure as drawing

from training.judging import detail, rows, tables
from training.judging import statistics as figures

COLOURS = {"absent": "#4c9f70", "indeterminate": "#e0b040", "present": "#c0504d", "unsuitable": "#999999"}
DPI = 110


def write(judged: Sequence[rows.Row], folder: pathlib.Path, said: str) -> list[str]:
    """Write the plots, each with what must stand below it, and return their names."""
    found = tables.groups(judged, threshold=False)
    if not found:
        return []
    plots = {
        "outcomes.png": _outcomes,
        "agatston.png": _agatston,
        "bland-altman.png": _bland_altman,
        "false.png": _false,
    }
    for name, draw in plots.items():
        figure = drawing.Figure(figsize=(4.2 * len(found), 4.2), layout="constrained")
        grid = figure.subplots(1, len(found), squeeze=False)
        for group, place in zip(found, grid[0], strict=True):
            draw(place, group)
            place.set_title(f"{group.set_name}, {group.way}", fontsize=10)
        figure.supxlabel(said, fontsize=7)
        figure.savefig(folder / name, dpi=DPI, metadata={"Software": None})
    return list(plots)


def _outcomes(place: axes.Axes, group: tables.Group) -> None:
    names = [name for name in rows.STRATA if group.stratum(name)]
    bottom = np.zeros(len(names))
    for outcome, colour in COLOURS.items():
        counts = np.array([sum(row.outcome == outcome for row in group.stratum(name)) for name in names], float)
        place.bar(names, counts, bottom=bottom, color=colour, label=outcome)
        bottom += counts
    place.set(xlabel="Agatston score", ylabel="scans")
    place.legend(fontsize=7)


def _agatston(place: axes.Axes, group: tables.Group) -> None:
    both = detail.scores(group)
    place.plot(both[:, 0] + 1, both[:, 1] + 1, "o", markersize=3, alpha=0.6)
    ends = [1, both.max(initial=10) + 1]
    place.plot(ends, ends, color="grey", linewidth=0.8)
    place.set(xscale="log", yscale="log", xlabel="true Agatston score + 1", ylabel="found + 1")


def _bland_altman(place: axes.Axes, group: tables.Group) -> None:
    both = detail.scores(group)
    place.plot(both.mean(axis=1), both[:, 1] - both[:, 0], "o", markersize=3, alpha=0.6)
    for value, style in zip(figures.bland_altman(both[:, 0], both[:, 1]), ("-", "--", "--"), strict=True):
        if np.isfinite(value):
            place.axhline(value, color="grey", linestyle=style, linewidth=0.8)
    place.set(xscale="symlog", xlabel="mean of true and found", ylabel="found - true")


def _false(place: axes.Axes, group: tables.Group) -> None:
    kept = [spot for row in group.scans for spot in row.spots if not spot.true and spot.status != "rejected"]
    names = sorted({spot.what for spot in kept})
    left = np.zeros(len(names))
    for status, colour in (("accepted", COLOURS["present"]), ("doubt", COLOURS["indeterminate"])):
        counts = np.array([sum(s.what == name and s.status == status for s in kept) for name in names], float)
        place.barh(names, counts, left=left, color=colour, label=status)
        left += counts
    place.set(xlabel="false candidates")
    place.legend(fontsize=7)
