"""A dataset's folder: crops in `train`, labelled scans in `tune` and `test`, and what was refused, by name."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from training import cases, crops, errors, labelled, splits

_SHARES = "splits.json"
_REFUSED = "refused.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def agree(folder: pathlib.Path, shares: splits.Shares, kind: str, patient: str) -> None:
    """Hold a dataset to one way of splitting: with two, one patient might train and judge; DatasetError.

    `patient` is the pattern by which a case of this kind tells its patient.
    """
    told, stated = folder / _SHARES, dataclasses.asdict(shares)
    folder.mkdir(parents=True, exist_ok=True)
    before = _read(told)
    patterns = before.pop("patients", {})
    if before and before != stated:
        msg = f"{folder} was split by {before}: give the same shares, or another folder"
        raise errors.DatasetError(msg)
    if patterns.get(kind, patient) != patient:
        msg = f"{folder} tells the patients of {kind} by '{patterns[kind]}': give the same --patient, or another folder"
        raise errors.DatasetError(msg)
    _write(told, {**stated, "patients": {**patterns, kind: patient}})


def safe(kind: str, name: str) -> str:
    """Return the folder's name of a case: what no file system minds, and still its own."""
    plain = _UNSAFE.sub("_", name)[:80]
    digest = "" if plain == name else "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{kind}-{plain}{digest}"


def held(folder: pathlib.Path, name: str) -> str:
    """Return the split that holds a case written to its end, '' where none does."""
    if cases.stored(folder / "train" / name):
        return "train"
    return next((part for part in ("tune", "test") if (folder / part / name / "scan.json").exists()), "")


def put(scan: labelled.LabelledScan, folder: pathlib.Path, shares: splits.Shares, jitter_mm: float) -> str:
    """Write a scan to where its patient belongs, and say what it became; RefusedCase."""
    part = splits.split(scan.patient, shares)
    path = folder / part / scan.name
    marked = f"{int((scan.truth > 0).sum())} voxels of calcium"
    unsuitable = f", unsuitable by its header: {', '.join(scan.refused)}" if scan.refused else ""
    if part != "train":
        labelled.save(scan, path)
        return f"{part}, {marked}{unsuitable}"
    made = crops.of_labelled(scan, jitter_mm)
    cases.save(made.case, path, scan.source)
    missed = f", {made.missed} of them outside the heart's envelope" if made.missed else ""
    return f"{part}, {marked}{missed}, {len(made.case.points)} points{unsuitable}"


def note(folder: pathlib.Path, prepared: Iterable[str], refused: Mapping[str, str]) -> pathlib.Path:
    """Write down what was refused and why, beside what earlier runs refused of other cases."""
    path = folder / _REFUSED
    before = _read(path)
    settled = set(prepared)
    now = {name: why for name, why in {**before, **refused}.items() if name not in settled}
    _write(path, dict(sorted(now.items())))
    return path


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as exc:
        msg = f"{path} cannot be read ({exc}): mend it, or name another folder"
        raise errors.DatasetError(msg) from exc
    return told


def _write(path: pathlib.Path, told: Mapping[str, Any]) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)
