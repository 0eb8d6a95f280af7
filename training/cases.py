"""Prepared phantoms: crops on the nets' grid with a label a voxel, and patches of them. No torch."""

import dataclasses
import pathlib
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cac import finding, volume

CONFIG = pathlib.Path(__file__).parent / "config" / "default.toml"
SCRATCH = pathlib.Path("~/.cache/cac-triage/training").expanduser()
CALCIUM_HU = np.float32(volume.CALCIUM_HU)
AIR_HU = -1024
WINDOW = finding.NetSpec(levels={}).window

OTHER, MIMIC, CALCIUM, UNSURE = range(4)
"""Labels: below 130 HU; a candidate that is no coronary calcium; coronary calcium; its blurred rim, not judged."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """Hold one prepared phantom.

    `hu` is int16 and `label` uint8, both (slice, row, column) on the nets' grid. `points` (n, 3) are voxels of the
    candidates, one or a few each; `voxels` (n,) says how large each one's candidate is, and `calcium` (n,) whether it
    is coronary calcium.
    """

    hu: NDArray[np.int16]
    label: NDArray[np.uint8]
    points: NDArray[np.int32]
    voxels: NDArray[np.int32]
    calcium: NDArray[np.bool_]

    def patch(
        self, plane: finding.Plane, point: NDArray[np.int32], size: Sequence[int], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Cut HU and labels of `size` around a point, off centre by up to an eighth; air beyond the crop."""
        fixed = {finding.Plane.AXIAL: 0, finding.Plane.CORONAL: 1, finding.Plane.SAGITTAL: 2}[plane]
        free = [axis for axis in range(3) if axis != fixed]
        starts = [
            int(point[axis]) - length // 2 + int(random.integers(-(length // 8), length // 8 + 1))
            for axis, length in zip(free, size, strict=True)
        ]
        starts.insert(fixed, int(point[fixed]))
        whole = [*size]
        whole.insert(fixed, 1)
        hu, label = cut(self.hu, starts, whole, AIR_HU), cut(self.label, starts, whole, OTHER)
        return hu.squeeze(fixed).astype(np.float32), label.squeeze(fixed)


PHANTOMS = "synthetic phantoms (cac.phantom)"
_SOURCE = "source.txt"
_SEED = re.compile(r"(?:real)?(\d+)")
_NAMES = tuple(field.name for field in dataclasses.fields(Case))


def image(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn HU (height, width) into the nets' two channels."""
    scaled = (np.clip(hu, *WINDOW) - WINDOW[0]) / (WINDOW[1] - WINDOW[0])
    return np.stack([scaled, hu >= CALCIUM_HU]).astype(np.float32)


def save(case: Case, path: pathlib.Path, source: str = PHANTOMS) -> None:
    """Write a case as a folder of .npy files, so that training can map rather than read them, and where it is from.

    The last bears its name only when it is whole, so that a case without it was not finished.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / _SOURCE).write_text(source)
    for name in _NAMES[:-1]:
        np.save(path / f"{name}.npy", getattr(case, name))
    np.save(path / "part.npy", getattr(case, _NAMES[-1]))
    (path / "part.npy").replace(path / f"{_NAMES[-1]}.npy")


def stored(path: pathlib.Path) -> bool:
    """Tell whether a case was written to its end."""
    return (path / f"{_NAMES[-1]}.npy").exists()


def stored_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the finished cases of a split, in order of their seeds."""
    return sorted(path for path in folder.iterdir() if stored(path)) if folder.is_dir() else []


def load(path: pathlib.Path) -> Case:
    """Map a case."""
    return Case(**{name: np.load(path / f"{name}.npy", mmap_mode="r") for name in _NAMES})


def source(path: pathlib.Path) -> str:
    """Return where a case is from."""
    told = path / _SOURCE
    return told.read_text() if told.exists() else PHANTOMS


def contents(paths: Sequence[pathlib.Path]) -> dict[str, list[str]]:
    """Return what cases there are, as a net's recipe tells it: of each source the first and last seed of every run.

    Cases of people are counted, never named: the recipe travels with the weights.
    """
    found: dict[str, list[str]] = {}
    people: Counter[str] = Counter()
    before: tuple[str, int] | None = None
    for path in paths:
        origin = source(path)
        seed = _SEED.fullmatch(path.name)
        if seed is None:
            people[origin] += 1
            continue
        number = int(seed[1])
        if before != (origin, number - 1):
            found.setdefault(origin, []).append(path.name)
        else:
            found[origin][-1] = f"{found[origin][-1].split('-')[0]}-{path.name}"
        before = (origin, number)
    for origin, count in people.items():
        found.setdefault(origin, []).append(f"{count} scans")
    return found


def cut(array: NDArray[np.generic], starts: Sequence[int], size: Sequence[int], fill: int) -> NDArray[np.generic]:
    """Cut `size` from `starts` on; `fill` where that is beyond the array."""
    whole = np.full(size, fill, array.dtype)
    source, target = [], []
    for start, length, limit in zip(starts, size, array.shape, strict=True):
        low, high = max(start, 0), min(start + length, limit)
        source.append(slice(low, max(low, high)))
        target.append(slice(low - start, max(low, high) - start))
    whole[tuple(target)] = array[tuple(source)]
    return whole
