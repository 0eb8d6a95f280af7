"""The knobs of a training: read from TOML, and refused by name where one is missing, unknown or of another kind."""

import math
import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any

from cac import finding
from training import errors

FOLDER = pathlib.Path(__file__).parent / "config"
STRIDE = finding.NetSpec(levels={}).stride
POSITIVE = ("width", "steps", "epochs", "cases", "batch", "save", "learning_rate")
OPTIONAL: Mapping[str, Any] = {"save": 500, "screen": 50_000, "hu_edge": 0.5}


def read(path: pathlib.Path, width: int | None = None) -> dict[str, Any]:
    """Read a configuration; `width` replaces its base width.

    What it must hold is what `default.toml` holds, or `paper.toml` for its method. Raises DatasetError: a misspelt knob
    would else be left out in silence, and the recipe tell of it.
    """
    told = _load(path)
    if width is not None:
        told["net"] = {**told.get("net", {}), "width": width}
    method = told.get("method")
    if method not in (None, "paper"):
        msg = f"{path}: the method '{method}' is none; there is 'paper', or leave it out"
        raise errors.DatasetError(msg)
    usual = tomllib.loads((FOLDER / f"{method or 'default'}.toml").read_text(encoding="utf-8"))
    wrong = [f"[{part}] is no part of it" for part in told if part not in ("method", "data", "net", "train")]
    for part in ("net", "train"):
        wrong += _wrong(part, told.get(part, {}), usual[part])
    if wrong:
        msg = f"{path}: {'; '.join(wrong)}"
        raise errors.DatasetError(msg)
    return told


def data(path: pathlib.Path) -> dict[str, Any]:
    """Read a configuration's [data]; DatasetError."""
    told = _load(path)
    if "data" not in told:
        msg = f"{path} is no configuration with [data]"
        raise errors.DatasetError(msg)
    return dict(told["data"])


def _load(path: pathlib.Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        msg = f"{path} cannot be read as a configuration: {exc}"
        raise errors.DatasetError(msg) from exc


def _wrong(part: str, told: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    known = {**usual, **(OPTIONAL if part == "train" else {})}
    wrong = [f"[{part}] lacks {name}" for name in usual if name not in told]
    wrong += [f"[{part}] knows no {name}" for name in told if name not in known]
    both = [name for name in told if name in known]
    for name in ("patch", "patch_z"):
        sizes = told.get(name, [])
        if isinstance(sizes, list) and any(type(size) is int and (size < STRIDE or size % STRIDE) for size in sizes):
            wrong.append(f"{name} = {sizes!r} are not multiples of {STRIDE}, which the nets need")
    unlike = [f"{name} = {told[name]!r} is not like {known[name]!r}" for name in both if _unlike(told, known, name)]
    return wrong + (unlike or _beyond(told))


def _beyond(told: Mapping[str, Any]) -> list[str]:
    """Say which knobs of the right kind no net can be trained with."""
    wrong = [
        f"{name} = {told[name]!r} must be above zero"
        for name in POSITIVE
        if name in told and not 0 < told[name] < math.inf
    ]
    if not 0 <= told.get("dropout", 0) < 1:
        wrong.append(f"dropout = {told['dropout']!r} must lie in [0, 1)")
    if "mix" in told and (min(told["mix"]) < 0 or not any(told["mix"])):
        wrong.append(f"mix = {told['mix']!r} asks for no patch")
    for patch, margin in (("patch", "margin"), ("patch_z", "margin_z")):
        edges = zip(told.get(patch, []), told.get(margin, []), strict=False)
        if any(edge < 1 or size <= 2 * edge for size, edge in edges):
            wrong.append(
                f"{margin} = {told[margin]!r} leaves nothing of {patch} = {told[patch]!r}, or takes no edge off"
            )
    return wrong


def _unlike(told: Mapping[str, Any], known: Mapping[str, Any], name: str) -> bool:
    value, model = told[name], known[name]
    if isinstance(model, list):
        return not (isinstance(value, list) and len(value) == len(model) and all(type(each) is int for each in value))
    return type(value) is not int and (type(value) is not float or isinstance(model, int))
