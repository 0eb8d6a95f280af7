"""The manifest of the nets: which weights, for what input, read at which thresholds."""

import collections
import dataclasses
import hashlib
import json
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import pydantic

from cac import finding, joint
from triage import errors

SCHEMA = 4
"""Thresholds of schema 1 were chosen for the planes' maxima over a candidate, those of 2 know of no joint doubt, and
those of 3 accept by each plane's own maximum."""
CHANNELS = ("hu", "calcium")
"""The order of the nets' input channels: HU scaled to [0, 1], and the binary HU >= 130."""

_STRICT = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.onnx")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Net:
    """Hold one net: its file, the input it expects, its thresholds, and how it was made.

    `input_shape` is (n, channel, height, width) with null for what may vary, `window` in HU, `spacing` (slab
    increment, row, column) in mm, `stride` the multiple of height and width, `depth` the slices a sagittal or
    coronal image may have, `receptive_field` the pixels to either side of its pooling cell that an output pixel can
    depend on.
    """

    __pydantic_config__ = _STRICT

    plane: finding.Plane
    architecture: str
    file: str
    sha256: str
    input_shape: tuple[int | None, int, int | None, int | None]
    channels: tuple[str, ...]
    window: tuple[float, float]
    spacing: tuple[float, float, float]
    stride: int
    depth: int
    receptive_field: int
    levels: finding.Levels
    recipe: Mapping[str, Any]

    def __post_init__(self) -> None:
        _demand(_FILE.fullmatch(self.file) is not None, f"{self.file!r} is no plain .onnx file name")
        _demand(_SHA256.fullmatch(self.sha256) is not None, f"{self.file}: sha256 is not 64 lower-case hex digits")
        _demand(self.channels == CHANNELS, f"{self.file}: channels must be {CHANNELS}")
        _demand(self.input_shape == (None, len(CHANNELS), None, None), f"{self.file}: input shape must be n, 2, h, w")
        _demand(self.window[0] < self.window[1], f"{self.file}: window is empty")
        _demand(min(self.spacing) > 0, f"{self.file}: spacing must be above zero")
        _demand(min(self.stride, self.depth, self.receptive_field) > 0, f"{self.file}: sizes must be above zero")
        _demand(_probable(self.levels), f"{self.file}: thresholds must lie in (0, 1]")
        _demand(self.levels.low <= self.levels.high, f"{self.file}: the low threshold must not lie above the high one")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTest:
    """Name the small-lesion phantom that must come out PRESENT before a worker takes work; mm, noise in HU."""

    __pydantic_config__ = _STRICT

    agatston: float
    seed: int
    increment: float
    matrix: int
    pixel: float
    noise: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """Hold what an architecture's thresholds were chosen on, and what that shows.

    `tuning_sha256` is the digest of the tuning scans' voxels and truth; of `positives`, `missed` were called absent,
    of `zeros`, `excluded` were; `sensitivity_low` is the lower end of the exact 95 % interval of the sensitivity.
    """

    __pydantic_config__ = _STRICT

    tuning_sha256: str
    tuning_set: str
    positives: int
    missed: int
    zeros: int
    excluded: int
    sensitivity_low: float
    date: str

    def __post_init__(self) -> None:
        _demand(_SHA256.fullmatch(self.tuning_sha256) is not None, "tuning_sha256 is not 64 lower-case hex digits")
        _demand(0 <= self.missed < self.positives, "an operating point misses fewer positives than there are")
        _demand(0 <= self.excluded <= self.zeros, "an operating point excludes no more zero scans than there are")
        _demand(0 <= self.sensitivity_low <= 1, "sensitivity_low must lie in [0, 1]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSet:
    """Hold the three nets of one architecture, which read the same input, and their joint thresholds."""

    architecture: str
    self_test: SelfTest
    joint: finding.Joint
    nets: Mapping[finding.Plane, Net]

    def net_spec(self, evaluation: finding.Evaluation = finding.Evaluation.SPARSE, threads: int = 1) -> finding.NetSpec:
        """Return what the science needs to know of these nets, how to ask them and from how many threads."""
        net = next(iter(self.nets.values()))
        return finding.NetSpec(
            levels={plane: each.levels for plane, each in self.nets.items()},
            joint=self.joint,
            spacing=net.spacing,
            window=net.window,
            stride=net.stride,
            depth=net.depth,
            receptive_field=max(each.receptive_field for each in self.nets.values()),
            evaluation=evaluation,
            threads=threads,
        )

    def digest(self, profile: finding.Profile) -> str:
        """Return the SHA-256 (hex) of all that decides an answer: weights, input, thresholds and profile."""
        parts = []
        for plane in sorted(self.nets):
            stated = dataclasses.asdict(self.nets[plane])
            parts.append({key: value for key, value in stated.items() if key not in {"file", "recipe"}})
        told = {"profile": profile, "joint": dataclasses.asdict(self.joint), "nets": parts}
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """Hold models/manifest.json.

    `joint` holds each architecture's thresholds on what its nets say together; `operating_point` tells where the
    thresholds are from.
    """

    __pydantic_config__ = _STRICT

    schema: int
    name: str
    version: str
    use: str
    training_data: str
    default_architecture: str
    self_test: SelfTest
    nets: tuple[Net, ...]
    joint: Mapping[str, finding.Joint]
    operating_point: Mapping[str, OperatingPoint] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        _demand(
            self.schema == SCHEMA,
            f"schema {self.schema} is not the {SCHEMA} that this version reads: "
            "thresholds mean something else there, so export these nets into an empty folder and choose them anew",
        )
        counts = collections.Counter((net.architecture, net.plane) for net in self.nets)
        twice = [f"{architecture} {plane}" for (architecture, plane), n in counts.items() if n > 1]
        _demand(not twice, f"more than one net for {', '.join(twice)}")
        for architecture in self.architectures:
            nets = [net for net in self.nets if net.architecture == architecture]
            missing = sorted(set(finding.Plane) - {net.plane for net in nets})
            _demand(not missing, f"{architecture}: no net for {', '.join(missing)}")
            inputs = {(net.window, net.spacing, net.stride, net.depth) for net in nets}
            _demand(len(inputs) == 1, f"{architecture}: its nets do not read the same input")
        for architecture in self.architectures:
            _check_joint(architecture, self.joint.get(architecture))
        strangers = sorted({*self.operating_point, *self.joint} - set(self.architectures))
        _demand(not strangers, f"thresholds or an operating point but no nets for {', '.join(strangers)}")
        _demand(self.default_architecture in self.architectures, f"no nets for {self.default_architecture!r}")

    @property
    def architectures(self) -> tuple[str, ...]:
        """Return the architectures there are nets for."""
        return tuple(sorted({net.architecture for net in self.nets}))

    def model_set(self, architecture: str | None = None) -> ModelSet:
        """Return the nets of one architecture, the default one if none is named; ModelError if there is none."""
        wanted = architecture or self.default_architecture
        if wanted not in self.architectures:
            raise errors.ModelError(f"The manifest has no {wanted!r} nets; it has {', '.join(self.architectures)}.")
        nets = {net.plane: net for net in self.nets if net.architecture == wanted}
        return ModelSet(architecture=wanted, self_test=self.self_test, joint=self.joint[wanted], nets=nets)


def load(path: pathlib.Path) -> Manifest:
    """Read and check a manifest; ModelError says what is wrong with it."""
    try:
        return pydantic.TypeAdapter(Manifest).validate_json(path.read_bytes())
    except OSError as error:
        raise errors.ModelError(f"The manifest {path} cannot be read: {error.strerror}.") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise errors.ModelError(f"The manifest {path} is not valid: {place}: {first['msg']}.") from error


def _check_joint(architecture: str, stated: finding.Joint | None) -> None:
    if stated is None:
        raise ValueError(f"{architecture}: no thresholds on what its nets say together (joint)")
    _demand(_probable(stated), f"{architecture}: joint thresholds must lie in (0, 1]")
    _demand(stated.other <= stated.speck, f"{architecture}: specks' joint threshold must not lie below the other")
    _demand(stated.other <= stated.accept, f"{architecture}: what is accepted must not lie below what is in doubt")
    _demand(
        stated.accept <= joint.SUREST, f"{architecture}: nothing comes to more than {joint.SUREST:.7f} to be accepted"
    )
    ceilings = (joint.CEILING, joint.SPECKS_CEILING)
    reachable = stated.other <= ceilings[0] and stated.speck <= ceilings[1]
    _demand(
        reachable,
        f"{architecture}: joint thresholds must not lie above {ceilings[0]:.7f} ({ceilings[1]:.7f} for specks)",
    )


def _probable(thresholds: finding.Levels | finding.Joint) -> bool:
    return all(math.isfinite(each) and 0 < each <= 1 for each in dataclasses.astuple(thresholds))


def _demand(right: bool, sentence: str) -> None:
    if not right:
        raise ValueError(sentence)
