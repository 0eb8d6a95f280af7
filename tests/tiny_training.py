"""A training that takes seconds: small crops in which calcium is a dot and a mimic is a bar."""

import json
import pathlib
import tomllib

import numpy as np

from cac import finding
from training import cases

PATCHES = """
[net]
width = 8
dropout = 0.0

[train]
seed = 7
steps = 180
save = 60
mix = [2, 5, 5]
speck_voxels = 6
patch = [24, 24]
patch_z = [16, 24]
margin = [4, 4]
margin_z = [2, 4]
peak_weight = 1.0
learning_rate = 4e-3
weight_decay = 1e-4
calcium_weight = 1.0
hu_scale = 0.02
hu_shift = 5.0
hu_noise = 5.0
"""


def config(text=PATCHES, **train):
    knobs = tomllib.loads(text)
    knobs["train"] |= train
    return knobs


def write_toml(path, knobs):
    """Write knobs as the TOML that they came from: each value is JSON, too."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in knobs.items() if not isinstance(value, dict)]
    for name, table in knobs.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")


def make_case(seed, *, lesions=6, shape=(20, 64, 64)):
    """Return a crop of fat with dots of calcium, bars that mimic it, and specks of noise."""
    random = np.random.default_rng(seed)
    hu = random.normal(-80, 15, shape)
    label = np.full(shape, cases.OTHER, np.uint8)
    points, voxels, calcium = [], [], []
    wanted = [((2, 2, 2), cases.CALCIUM)] * lesions + [((2, 4, 12), cases.MIMIC)] * 6 + [((1, 1, 1), cases.MIMIC)] * 4
    for size, kind in wanted:
        at = [int(random.integers(2, length - extent - 2)) for length, extent in zip(shape, size, strict=True)]
        where = tuple(slice(start, start + extent) for start, extent in zip(at, size, strict=True))
        if label[where].any():
            continue
        hu[where], label[where] = random.uniform(250, 500), kind
        points.append(at)
        voxels.append(int(np.prod(size)))
        calcium.append(kind == cases.CALCIUM)
    return cases.Case(
        hu=hu.astype(np.int16),
        label=label,
        points=np.array(points, np.int32),
        voxels=np.array(voxels, np.int32),
        calcium=np.array(calcium),
    )


def prepare(scratch: pathlib.Path, seeds=range(4), **of_case):
    for seed in seeds:
        cases.save(make_case(seed, **of_case), scratch / "train" / str(1000 + seed))


PLANE = finding.Plane.AXIAL
