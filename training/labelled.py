"""Labelled scans: a CT volume and where its coronary calcium is, on its own grid, from any source. No torch."""

import dataclasses
import json
import pathlib
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cac import volume


class Label(IntEnum):
    """Say what a voxel of the truth is; CORONARY is coronary calcium whose artery nobody named."""

    NONE = 0
    CORONARY = 1
    LM = 2
    LAD = 3
    LCX = 4
    RCA = 5


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LabelledScan:
    """Hold one labelled scan.

    `truth` is uint8 of `Label` on the volume's grid (slice, row, column): voxels >= 130 HU that a reader called
    coronary calcium. `origins`, uint8 on the same grid, names known hard negatives as 1 + their place in `classes`;
    None where nobody named them. `patient` is what splits go by, `source` names the data and its licence. `refused`
    holds the codes of `cac.reasons` for which the header is unsuitable; empty where it is suitable, or there is none.
    """

    name: str
    patient: str
    source: str
    volume: volume.Volume
    truth: NDArray[np.uint8]
    origins: NDArray[np.uint8] | None = None
    classes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


_FACTS = "scan.json"


def save(scan: LabelledScan, folder: pathlib.Path) -> None:
    """Write a scan into a folder of its own; its facts come last, so that a scan without them was not finished.

    HU are stored whole, rounded down: no voxel crosses 130 HU, nor a step of the Agatston weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "hu.npy", np.floor(np.clip(scan.volume.hu, -32768, 32767)).astype(np.int16))
    np.save(folder / "truth.npy", scan.truth)
    if scan.origins is not None:
        np.save(folder / "origins.npy", scan.origins)
    facts = {
        "name": scan.name,
        "patient": scan.patient,
        "source": scan.source,
        "spacing": scan.volume.spacing,
        "thickness": scan.volume.thickness,
        "origin": scan.volume.origin,
        "classes": scan.classes,
        "refused": scan.refused,
    }
    part = folder / f"{_FACTS}.part"
    part.write_text(json.dumps(facts, indent=1) + "\n")
    part.replace(folder / _FACTS)


def load(folder: pathlib.Path) -> LabelledScan:
    """Read a scan as `save` wrote it."""
    facts: dict[str, Any] = json.loads((folder / _FACTS).read_text())
    named = folder / "origins.npy"
    return LabelledScan(
        name=facts["name"],
        patient=facts["patient"],
        source=facts["source"],
        volume=volume.Volume(
            hu=np.load(folder / "hu.npy").astype(np.float32),
            spacing=tuple(facts["spacing"]),
            thickness=facts["thickness"],
            origin=tuple(facts["origin"]),
        ),
        truth=np.load(folder / "truth.npy"),
        origins=np.load(named) if named.exists() else None,
        classes=tuple(facts["classes"]),
        refused=tuple(facts["refused"]),
    )


def stored(folder: pathlib.Path) -> list[pathlib.Path]:
    """List the finished scans of a folder, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{_FACTS}"))


def source(folder: pathlib.Path) -> str:
    """Return where a stored scan is from, without reading the scan."""
    try:
        return str(json.loads((folder / _FACTS).read_text())["source"])
    except (ValueError, KeyError, TypeError) as exc:
        raise ValueError(f"{folder / _FACTS} tells no source ({exc}): remove its folder, and prepare it again") from exc
