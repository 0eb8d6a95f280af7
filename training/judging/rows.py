"""What one scan came to under one way of judging, kept as a line of JSON so that a stopped run goes on."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

THRESHOLD = ">= 130 HU"
"""The way of judging that calls every voxel >= 130 HU in the heart envelope calcium."""
STRATA = ("0", "1-10", "10-20", "20-100", "> 100")


Triple: TypeAlias = tuple[float, float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spot:
    """Hold one candidate: what the nets said, and what it is.

    `probabilities` axial, sagittal, coronal are each plane's maximum over it, `voxelwise` those of its voxels that no
    other one reaches in every plane: whatever the thresholds, one of these decides on doubt. `speck` as in
    `cac.specks`. `true` where it holds a voxel that a reader called calcium; `what` is then its artery, and else its
    class of hard negative.
    """

    probabilities: Triple
    voxelwise: tuple[Triple, ...]
    status: str
    doubt: str | None
    voxels: int
    max_hu: float
    speck: bool
    true: bool
    what: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artery:
    """Hold one artery's true Agatston score, the part of it that was found, and whether any of it was in doubt."""

    true: float
    found: float
    accepted: bool
    doubted: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Hold what one scan came to.

    `models` is the digest of nets and thresholds, `data` of the scan's voxels and truth. `positive`: the truth holds
    a voxel. `true` is its Agatston score, `found` that of what was accepted, whatever the outcome (None where
    unsuitable). Volumes are mm3 on the scan's own grid. `spots` leaves out false candidates that no net calls calcium
    at `measuring.FAINT`; `faint` counts those by class. Of `lesions`, some lie `outside` the heart envelope
    and some are `cut` by it. `seconds` is the pipeline's processor time on one thread, `making` that of making or
    reading the scan.
    """

    set_name: str
    name: str
    patient: str
    source: str
    synthetic: bool
    way: str
    models: str
    data: str
    outcome: str
    reasons: tuple[str, ...]
    positive: bool
    true: float
    found: float | None
    tp: float
    fp: float
    fn: float
    arteries: Mapping[str, Artery]
    spots: tuple[Spot, ...]
    faint: Mapping[str, int]
    lesions: int
    outside: int
    cut: int
    averaged: bool
    seconds: float
    making: float

    @property
    def excluded(self) -> bool:
        """Tell whether calcium was called absent: unsuitable and indeterminate are not excluded."""
        return self.outcome == "absent"

    @property
    def stratum(self) -> str:
        """Return the stratum of the true score; calcium that scores below 1, or 0, is in 1-10, never in 0."""
        if not self.positive:
            return "0"
        return next((name for top, name in ((10, "1-10"), (20, "10-20"), (100, "20-100")) if self.true <= top), "> 100")


Key = tuple[str, str]


def key(row: Row) -> Key:
    """Return what names a scan among all sets."""
    return row.set_name, row.name


def append(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Add a scan's rows to the file in one write, on disk when it returns."""
    text = "".join(json.dumps(dataclasses.asdict(row), allow_nan=False) + "\n" for row in rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read(path: pathlib.Path) -> list[Row]:
    """Read all rows, the last where a scan was judged again; [] where there is no file.

    ValueError names a line that is no row. A last line that a kill cut short is taken off the file.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        path.write_bytes(whole)
    found = []
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        try:
            found.append(_row(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            msg = f"{path}, line {number}, is no row of this version ({type(exc).__name__}: {exc}): take another folder"
            raise ValueError(msg) from exc
    return list({(key(row), row.way): row for row in found}.values())


def scans(rows: Iterable[Row], ways: Sequence[str]) -> set[Key]:
    """Name the scans that were judged in all of these ways."""
    seen: dict[Key, set[str]] = {}
    for row in rows:
        seen.setdefault(key(row), set()).add(row.way)
    return {name for name, done in seen.items() if done >= set(ways)}


def _row(facts: dict[str, Any]) -> Row:
    facts["reasons"] = tuple(facts["reasons"])
    facts["spots"] = tuple(_spot(spot) for spot in facts["spots"])
    facts["arteries"] = {name: Artery(**artery) for name, artery in facts["arteries"].items()}
    return Row(**facts)


def _spot(facts: dict[str, Any]) -> Spot:
    facts["voxelwise"] = tuple(map(tuple, facts["voxelwise"]))
    return Spot(**{**facts, "probabilities": tuple(facts["probabilities"])})
