"""What the algorithm says of one volume, and the words it says it in."""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, TypeAlias

from cac import reasons, volume


class Plane(StrEnum):
    """Name a view plane; one net each (paper, Architecture)."""

    AXIAL = "axial"
    SAGITTAL = "sagittal"
    CORONAL = "coronal"


class Outcome(StrEnum):
    """Say what was decided of a series; only ABSENT can lower a priority."""

    ABSENT = "absent"
    PRESENT = "present"
    INDETERMINATE = "indeterminate"
    UNSUITABLE = "unsuitable"


class Profile(StrEnum):
    """Name a way through the algorithm: the node's own, or the paper's for study."""

    DEFAULT = "default"
    PAPER = "paper"


class Evaluation(StrEnum):
    """Name how the nets are asked; the answers that decide are the same."""

    SPARSE = "sparse"
    DENSE = "dense"


class CandidateStatus(StrEnum):
    """Say what became of a candidate."""

    ACCEPTED = "accepted"
    DOUBT = "doubt"
    REJECTED = "rejected"


Core: TypeAlias = tuple[int, int, int, int]
"""The part of an image that is asked about: top, left, bottom, right in pixels, multiples of the nets' stride."""


class Predict(Protocol):
    """Run one plane's net.

    `stack` has shape (n, 2, height, width), float32: HU scaled to [0, 1], and the binary HU >= 130. The answer
    has the shape (n, height, width) of the core, float32 in [0, 1]. Height and width are multiples of the nets' stride.
    Axial slices are (row, column); sagittal ones (slice, row); coronal ones (slice, column). Where `NetSpec.threads`
    is more than 1, it is called from so many threads at once.
    """

    def __call__(self, plane: Plane, stack: volume.FloatArray, core: Core) -> volume.FloatArray:
        """Return the probability of coronary calcium for each pixel of the core of each image."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Levels:
    """Hold one plane's thresholds of doubt: a voxel puts its candidate there at `low` (two planes) or `high` (one)."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joint:
    """Hold the thresholds on what the three planes say of one voxel together (`cac.joint`).

    At `accept` a voxel that each plane calls calcium is accepted (of a speck, at `speck` at least). Of doubt, `speck`
    is for what has the size of noise and cannot score (`cac.specks`), `other` for all else.
    """

    accept: float
    other: float
    speck: float


DOUBT_ALL = Joint(accept=0.5, other=0.0, speck=0.0)
"""All that is not accepted is in doubt, and accepted is what each plane calls calcium (`cac.fusion.EXTENT`)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetSpec:
    """Hold what the nets expect, as the manifest states it.

    `levels` and `joint` are thresholds (without joint ones what is not accepted is in doubt), `spacing` is (slab
    increment, row, column) in mm of the nets' grid, `window` the HU range scaled to [0, 1], `stride` the multiple that
    height and width must have, `depth` the slices a sagittal or coronal image may have, `receptive_field` how many
    pixels to either side of its pooling cell an output pixel can depend on, `evaluation` how to ask, on how many
    `threads` at once.
    """

    levels: Mapping[Plane, Levels]
    spacing: tuple[float, float, float] = (1.5, 0.5, 0.5)
    window: tuple[float, float] = (-200.0, 800.0)
    stride: int = 4
    depth: int = 120
    receptive_field: int = 24
    joint: Joint = DOUBT_ALL
    evaluation: Evaluation = Evaluation.SPARSE
    threads: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """Hold one connected set of voxels >= 130 HU in the heart envelope.

    `centre` is the LPS position in mm, `slice_number` the slice of the series that shows most of it, counted from 1 at
    the head, `probabilities` each plane's maximum over the candidate's voxels. `reason` says why it has its status;
    where that is DOUBT, `doubt` is its code.
    """

    number: int
    centre: tuple[float, float, float]
    slice_number: int
    voxels: int
    volume_mm3: float
    max_hu: float
    probabilities: Mapping[Plane, float]
    status: CandidateStatus
    reason: reasons.Reason
    doubt: reasons.ReasonCode | None = None


def reading_place(
    status: CandidateStatus, probabilities: Mapping[str, float | None], number: int
) -> tuple[int, float, int]:
    """Return the key of the order in which candidates are shown: accepted, in doubt, rejected.

    Within these the largest second-highest probability comes first: how far a second plane supports calcium.
    """
    known = sorted((value for value in probabilities.values() if value is not None), reverse=True)
    return list(CandidateStatus).index(status), -known[1] if len(known) > 1 else 0.0, number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesion:
    """Hold one accepted lesion: 26-connected accepted voxels. Mass is uncalibrated (mg, from HU alone)."""

    number: int
    centre: tuple[float, float, float]
    slices: int
    max_hu: float
    agatston: float
    volume_mm3: float
    mass_mg: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CalciumFinding:
    """Hold the answer for one volume.

    `mask` is the accepted calcium and `doubt_mask` the candidates in doubt, bool (slice, row, column) on the grid
    of `scored`, the volume that was scored: the native one, or 3 mm slabs of thin slices. Both are None where no
    net ran. `slab_of` names, for each native slice, the slice of `scored` that stands for it, so that
    `mask[list(slab_of)]` is the mask on native slices. Scores and categories are None unless the outcome is ABSENT
    or PRESENT. `region` is where the heart was located: slices, rows and columns of `scored`. `answers` are the planes'
    probabilities at the candidates' voxels, candidate after candidate, for judging: no run keeps them. `seconds` maps
    the steps' names to their durations.
    """

    outcome: Outcome
    reasons: tuple[reasons.Reason, ...]
    profile: Profile
    agatston: float | None = None
    volume_mm3: float | None = None
    mass_mg: float | None = None
    category: str | None = None
    cac_drs: str | None = None
    lesions: tuple[Lesion, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    scored: volume.Volume | None = None
    slab_of: tuple[int, ...] = ()
    region: tuple[slice, slice, slice] | None = None
    mask: volume.BoolArray | None = None
    doubt_mask: volume.BoolArray | None = None
    answers: Mapping[Plane, volume.FloatArray] = dataclasses.field(default_factory=dict)
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
