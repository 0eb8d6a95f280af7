"""Connected sets of voxels at or above 130 HU, counted by size; real lesions' masks beside phantoms' plaques."""

import dataclasses
import pathlib

import numpy as np
import SimpleITK
from scipy import ndimage

from benchmarks.likeness import subjects
from cac import components, volume
from cac.phantom import population, scan

VOXELS = ((1, 1), (2, 3), (4, 10), (11, 100), (101, 10**9))
MM3 = ((0.0, 3.0), (3.0, 10.0), (10.0, 30.0), (30.0, 100.0), (100.0, 1e9))
HEART, CALCIUM = 1, 3
"""Labels of the real masks; 2 is bone and the like, all of it away from the heart."""
ISOLATED_VOXELS = 4
BONE_MM3 = 400.0
"""What is larger in the whole image is bone."""
FRONT_MM = 45.0
TOUCHING = np.ones((3, 3, 3), bool)
MASK_GRID = (2.5, 0.68)
"""The real masks' increment and pixel in mm; the phantoms beside them are made on the same."""
SCORES = {"LIDC_0187": 0.0, "LIDC_0506": 318.4, "LIDC_0909": 1260.9, "LIDC_0987": 127.8}
"""Agatston scores that came with the masks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesions:
    """Hold one case's lesions: volume in mm3, slices, and length over width of each; the heart's volume in ml."""

    name: str
    score: float
    heart_ml: float
    mm3: np.ndarray
    slices: np.ndarray
    elongation: np.ndarray


def count(hu: volume.FloatArray, region: volume.BoolArray, voxel_mm3: float, name: str) -> dict[str, float]:
    """Count the sets in a region per 100 ml of it, by voxels and by mm3; sets are judged by their part inside."""
    labels, _ = ndimage.label((hu >= volume.CALCIUM_HU) & region, TOUCHING)
    sizes = np.bincount(labels.ravel())[1:]
    per = 100.0 / (float(region.sum()) * voxel_mm3 / 1000.0)
    found = {f"{name} {_voxels(*ends)}": ((sizes >= ends[0]) & (sizes <= ends[1])).sum() * per for ends in VOXELS}
    mm3 = sizes * voxel_mm3
    for low, high in MM3:
        found[f"{name} {_mm3(low, high)}"] = ((mm3 >= low) & (mm3 < high)).sum() * per
    return {key: float(value) for key, value in found.items()}


def isolated(subject: subjects.Subject) -> dict[str, float]:
    """Count sets of 4 voxels or more in the envelope that are no bone, per 100 ml: in the front wall, elsewhere.

    The front wall, with the costal cartilage, is what lies 45 mm or more before the middle of the heart's box.
    """
    scan, located = subject.scan, subject.located
    slices = components.bounds(located.envelope)[0]
    hu, envelope = scan.hu[slices], located.envelope[slices]
    labels, _ = ndimage.label(hu >= volume.CALCIUM_HU, TOUCHING)
    sizes, inside = np.bincount(labels.ravel()), np.bincount(labels[envelope], minlength=labels.max() + 1)
    kept = np.flatnonzero((inside >= ISOLATED_VOXELS) & (sizes * scan.voxel_mm3 < BONE_MM3))
    kept = kept[kept > 0]
    rows = ndimage.mean(np.broadcast_to(np.arange(hu.shape[1])[:, None], hu.shape), labels, kept)
    front = (np.asarray(rows) - located.box.centre[0]) * scan.spacing[1] < -FRONT_MM
    peaks = np.asarray(ndimage.maximum(hu, labels, kept))
    per = 100.0 / (float(envelope.sum()) * scan.voxel_mm3 / 1000.0)
    return {
        "front": float(front.sum()) * per,
        "front peak": float(np.median(peaks[front])) if front.any() else float("nan"),
        "elsewhere": float((~front).sum()) * per,
        "elsewhere peak": float(np.median(peaks[~front])) if (~front).any() else float("nan"),
    }


def names() -> list[str]:
    """Return the sizes' names in the order of `count`."""
    return [*(_voxels(*ends) for ends in VOXELS), *(_mm3(*ends) for ends in MM3)]


def masks(folder: pathlib.Path) -> list[Lesions]:
    """Measure the real masks of a folder of NRRD files."""
    found = []
    for path in sorted(folder.glob("*.nrrd")):
        image = SimpleITK.ReadImage(str(path))
        marks, (x, y, z) = SimpleITK.GetArrayFromImage(image), image.GetSpacing()
        name = path.name.split(".")[0]
        score = SCORES.get(name, float("nan"))
        found.append(_lesions(name, score, marks == HEART, marks == CALCIUM, (z, y, x)))
    return found


def phantoms(seed: int = 61) -> list[Lesions]:
    """Make phantoms of the real masks' scores on their grid, two a score, and measure their plaques."""
    found = []
    for number, score in enumerate(sorted(score for score in SCORES.values() if score) * 2):
        style = subjects.style_of(population.BROAD, atlas=False, pixel=MASK_GRID[1], thickness=MASK_GRID[0])
        made = scan.make(agatston=score, seed=seed + number, increment=MASK_GRID[0], style=style)
        name = f"phantom {seed + number}"
        found.append(_lesions(name, made.agatston, made.heart, made.truth, made.volume.spacing))
    return sorted(found, key=lambda each: each.score)


def _lesions(
    name: str, score: float, sac: volume.BoolArray, calcium: volume.BoolArray, spacing: tuple[float, float, float]
) -> Lesions:
    labels, _ = ndimage.label(calcium, TOUCHING)
    voxel = float(np.prod(spacing))
    parts = [np.argwhere(labels[at] == number) for number, at in enumerate(ndimage.find_objects(labels), 1)]
    return Lesions(
        name=name,
        score=score,
        heart_ml=float(sac.sum()) * voxel / 1000,
        mm3=np.array([len(part) * voxel for part in parts]),
        slices=np.array([np.ptp(part[:, 0]) + 1 for part in parts]),
        elongation=np.array([_elongation(part * spacing, spacing) for part in parts]),
    )


def _elongation(points: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Return the longest over the middle SD of a lesion's voxels, each a box of its own; NaN below 4 voxels."""
    if len(points) < 4:
        return float("nan")
    spread = np.cov(points.T) + np.diag(np.square(spacing) / 12)
    axes = np.sqrt(np.linalg.eigvalsh(spread))
    return float(axes[2] / axes[1])


def _voxels(low: int, high: int) -> str:
    return f"of {low} voxel" if low == high else f"of {low}-{high}" if high < 10**9 else f"of > {low - 1}"


def _mm3(low: float, high: float) -> str:
    return f"< {high:g} mm3" if low == 0 else f"{low:g}-{high:g} mm3" if high < 1e9 else f">= {low:g} mm3"
