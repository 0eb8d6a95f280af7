"""Every statistic of one scan, by name, and in which order and how finely a table shows them."""

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
from scipy import ndimage, stats

from benchmarks.likeness import dense, edges, noise, subjects, tissues, views
from cac import thorax, volume

ISOLATED = "Sets of 4 voxels or more that are no bone, per 100 ml of envelope"
EDGES_AT_LEAST = 50
HISTOGRAM = np.arange(-200, 202, 4)
"""HU of the histogram that is drawn."""
BINS = (-1100, -200, -100, -50, 0, 20, 40, 60, 80, 100, 130, 4000)
"""HU between which the heart core's voxels are counted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistic:
    """Name a row: its section, its label with the unit, digits, and from which difference on it is worth a thought.

    `tolerance` is in the row's own unit, or a factor where `ratio`; the table of gaps counts in it.
    """

    section: str
    key: str
    label: str
    digits: int = 1
    tolerance: float = 5.0
    ratio: bool = False


def _factor(section: str, key: str, label: str, tolerance: float, digits: int = 1) -> Statistic:
    return Statistic(section=section, key=key, label=label, digits=digits, tolerance=tolerance, ratio=True)


def _tissue(name: str, label: str) -> list[Statistic]:
    return [
        Statistic(section="Tissue", key=f"{name} mean", label=f"{label}, mean HU", digits=0),
        Statistic(section="Tissue", key=f"{name} SD", label=f"{label}, SD HU", tolerance=1.4, ratio=True),
        Statistic(section="Tissue", key=f"{name} skew", label=f"{label}, skew", digits=2, tolerance=0.5),
    ]


STATISTICS: tuple[Statistic, ...] = (
    *_tissue("pool", "blood and heart muscle, deep"),
    *_tissue("fat", "fat in the envelope"),
    *_tissue("back", "muscle of the back"),
    *_tissue("lung", "lung"),
    _factor("Noise", "noise", "SD in the blood pool, HU", 1.4),
    Statistic(section="Noise", key="peak", label="peak frequency, cycles/mm", digits=2, tolerance=0.1),
    Statistic(section="Noise", key="mean", label="mean frequency, cycles/mm", digits=2, tolerance=0.06),
    *(_factor("Noise", f"octave {a:g}-{b:g}", f"SD at {a:g}-{b:g} cycles/mm", 1.5) for a, b in noise.OCTAVES),
    Statistic(section="Noise", key="along z 1", label="correlation, next slice", digits=2, tolerance=0.15),
    Statistic(section="Noise", key="along z 2", label="correlation, next but one", digits=2, tolerance=0.15),
    Statistic(section="Texture", key="texture pool", label="SD at 3-10 mm beyond noise: blood", tolerance=2.0),
    Statistic(section="Texture", key="texture fat", label="SD at 3-10 mm beyond noise: fat", tolerance=4.0),
    _factor("Edges", "edge median", "heart-lung edge, 10-90 %, median mm", 1.3),
    _factor("Edges", "edge sharp", "the same, sharpest tenth", 1.3),
    *(
        _factor(f"Sets >= 130 HU per 100 ml of {where}", f"{where} {name}", name, 2.5, 2)
        for where in ("core", "envelope")
        for name in dense.names()
    ),
    _factor(ISOLATED, "front", "in the front wall", 2.5, 2),
    Statistic(section=ISOLATED, key="front peak", label="median peak in the front wall, HU", digits=0, tolerance=50),
    _factor(ISOLATED, "elsewhere", "elsewhere", 2.5, 2),
    Statistic(section=ISOLATED, key="elsewhere peak", label="median peak elsewhere, HU", digits=0, tolerance=50),
    *(
        _factor("HU of the heart core, % of voxels", f"bin {a}", f"{a} to {b}", 1.5)
        for a, b in itertools.pairwise(BINS)
    ),
    _factor("Size", "core ml", "heart core, ml", 1.3, 0),
    _factor("Size", "envelope ml", "envelope, ml", 1.3, 0),
    _factor("Size", "wide", "body, width mm", 1.15, 0),
    _factor("Size", "deep", "body, depth mm", 1.15, 0),
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Hold one scan's statistics by key, its noise power by frequency, its core's share of voxels per HU, a picture."""

    name: str
    group: str
    grid: str
    values: Mapping[str, float]
    power: tuple[np.ndarray, np.ndarray]
    histogram: np.ndarray
    view: np.ndarray


def take(subject: subjects.Subject) -> Measured:
    """Measure one scan and keep what is shown of it, not the scan."""
    of = tissues.find(subject)
    counts, _ = np.histogram(of.hu[of.core], HISTOGRAM)
    scan = subject.scan
    return Measured(
        name=subject.name,
        group=subject.group,
        grid=f"{scan.thickness:.3g} / {scan.spacing[0]:.3g} / {scan.spacing[1]:.3g}",
        values=measure(subject, of),
        power=noise.power(of),
        histogram=counts / max(1, int(of.core.sum())) / 4 * 100,
        view=views.render(subject),
    )


def measure(subject: subjects.Subject, of: tissues.Tissues) -> dict[str, float]:
    """Return the statistics; NaN where a region is not there."""
    voxel = subject.scan.voxel_mm3
    found = {**_moments("pool", of.hu[of.pool]), **_moments("fat", of.hu[of.fat])}
    found |= {**_moments("back", of.back), **_moments("lung", of.lung), **noise.describe(of)}
    found["texture pool"], found["texture fat"] = noise.texture(of, of.pool), noise.texture(of, of.fat)
    found |= dense.isolated(subject)
    rises = edges.widths(of)
    enough = rises.size >= EDGES_AT_LEAST
    found["edge median"], found["edge sharp"] = np.percentile(rises, (50, 10)) if enough else (np.nan, np.nan)
    for name, region in (("core", of.core), ("envelope", of.envelope)):
        found |= dense.count(of.hu, region, voxel, name)
        found[f"{name} ml"] = float(region.sum()) * voxel / 1000
    values = of.hu[of.core]
    found |= {f"bin {a}": float(((values >= a) & (values < b)).mean() * 100) for a, b in itertools.pairwise(BINS)}
    found["wide"], found["deep"] = _body(subject)
    return found


def _moments(name: str, values: volume.FloatArray) -> dict[str, float]:
    if values.size < noise.LEAST:
        return {f"{name} {what}": float("nan") for what in ("mean", "SD", "skew")}
    wide = values.astype(float)
    return {f"{name} mean": wide.mean(), f"{name} SD": wide.std(), f"{name} skew": float(stats.skew(wide))}


def _body(subject: subjects.Subject) -> tuple[float, float]:
    """Return the body's width and depth in mm in the middle of the heart, as far as it was imaged."""
    grid, lungs = subject.chest.grid, subject.chest.lungs
    slices = np.flatnonzero(subject.located.core.any(axis=(1, 2))) // grid.step[0]
    middle = int(np.median(slices))
    solid = ndimage.binary_opening((grid.hu[middle] > thorax.TISSUE_HU) | lungs[middle], np.ones((5, 5)))
    labels, count = ndimage.label(solid)
    if not count:
        return float("nan"), float("nan")
    largest = labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1
    deep, wide = ((np.ptp(np.flatnonzero(largest.any(axis=axis))) + 1) for axis in (1, 0))
    return float(wide * grid.spacing[2]), float(deep * grid.spacing[1])
