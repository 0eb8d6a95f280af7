"""Studies, series, runs and flags: their states, and what moves them."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from enum import StrEnum

from cac import reasons


class SeriesState(StrEnum):
    """Say where a series stands on its way."""

    RECEIVING = "receiving"  # images may still come
    COMPLETE = "complete"  # judged whole, or given up waiting
    QUEUED = "queued"  # a run waits for a worker
    RUNNING = "running"  # a worker holds the lease
    DONE = "done"  # the newest run has an outcome
    FAILED = "failed"  # the newest run was given up


TRANSITIONS: Mapping[SeriesState, frozenset[SeriesState]] = {
    SeriesState.RECEIVING: frozenset({SeriesState.RECEIVING, SeriesState.COMPLETE}),
    SeriesState.COMPLETE: frozenset({SeriesState.RECEIVING, SeriesState.QUEUED, SeriesState.DONE}),
    SeriesState.QUEUED: frozenset({SeriesState.RECEIVING, SeriesState.RUNNING, SeriesState.QUEUED, SeriesState.FAILED}),
    SeriesState.RUNNING: frozenset(
        {SeriesState.RECEIVING, SeriesState.QUEUED, SeriesState.RUNNING, SeriesState.DONE, SeriesState.FAILED}
    ),
    SeriesState.DONE: frozenset({SeriesState.RECEIVING, SeriesState.QUEUED}),
    SeriesState.FAILED: frozenset({SeriesState.RECEIVING, SeriesState.QUEUED}),
}
"""Which state may follow which; a late image leads back to RECEIVING from everywhere."""


class Standing(StrEnum):
    """Say what a series counts for in its study's flag."""

    UNKNOWN = "unknown"  # no image read yet: keeps the study where it is
    ELIGIBLE = "eligible"  # votes
    UNSUITABLE = "unsuitable"  # original CT that cannot be scored: keeps the study where it is
    OTHER_RECONSTRUCTION = "other_reconstruction"  # the same acquisition as an eligible series: no vote
    NO_VOTE = "no_vote"  # localizer, derived, not CT


class RunTrigger(StrEnum):
    """Say why a run was made."""

    IMAGES = "images"
    LATE_IMAGES = "late_images"
    PERSON = "person"
    NEW_MODEL = "new_model"


class RunPhase(StrEnum):
    """Say where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"  # late images made its content old before it ended


class Outcome(StrEnum):
    """Say how a series or study stands in the worklist."""

    PENDING = "pending"
    ABSENT = "absent"
    PRESENT = "present"
    INDETERMINATE = "indeterminate"
    UNSUITABLE = "unsuitable"
    FAILED = "failed"


class Priority(StrEnum):
    """Say what the worklist should do; LOW speaks of coronary calcium only."""

    LOW = "low"
    ROUTINE = "routine"
    HIGH = "high"


class InstanceKind(StrEnum):
    """Say how an object in the spool is used."""

    IMAGE = "image"  # an image of its series
    ASIDE = "aside"  # came under a UID already taken, with other bytes
    UNREADABLE = "unreadable"  # kept, but not understood
    OTHER = "other"  # no CT image: kept without a vote


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """Hold what the header of one stored object says, in plain values; the receiver notes it.

    `path` is relative to the spool. `position` and the cosines are in mm, LPS; None where absent or malformed.
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: str
    size: int
    sha256: str
    kind: InstanceKind
    patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""
    body_part: str = ""
    procedure_codes: tuple[str, ...] = ()
    modality: str = ""
    image_type: tuple[str, ...] = ()
    instance_number: int | None = None
    declared_images: int | None = None
    rows: int | None = None
    columns: int | None = None
    pixel_spacing: tuple[float, float] | None = None
    position: tuple[float, float, float] | None = None
    orientation: tuple[float, float, float, float, float, float] | None = None
    thickness: float | None = None
    kvp: float | None = None
    kernel: str | None = None
    contrast_agent: str | None = None
    lossy: bool = False
    rescale_present: bool = False
    rescale_type: str | None = None
    frame_of_reference_uid: str = ""
    acquisition: str = ""
    """Acquisition number, date and time joined: equal for reconstructions of one acquisition; '' where absent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeaderFacts:
    """Hold what eligibility reads of an image; images of one series that agree on all of it share one."""

    sop_class_uid: str
    modality: str
    image_type: tuple[str, ...]
    orientation: tuple[float, float, float, float, float, float] | None
    thickness: float | None
    kvp: float | None
    kernel: str | None
    contrast_agent: str | None
    lossy: bool
    rescale_present: bool
    rescale_type: str | None
    frame_of_reference_uid: str
    acquisition: str
    description: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pose:
    """Hold where one image lies: position and cosines in mm (LPS), pixel spacing (row, column) in mm."""

    position: tuple[float, float, float] | None
    orientation: tuple[float, float, float, float, float, float] | None
    pixel_spacing: tuple[float, float] | None
    rows: int | None
    columns: int | None
    thickness: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesSnapshot:
    """Hold a series that is still arriving, as completeness judges it.

    `images` are readable images, `unreadable` and `aside` the other copies, `other` objects without a vote.
    `open_last_images` holds, for each open association that sent it an image, when that association last sent any.
    `aborted` says that a broken transfer of it was not sent again whole.
    """

    series_instance_uid: str
    study_instance_uid: str
    content_version: int
    last_image_at: dt.datetime
    poses: tuple[Pose, ...]
    headers: tuple[HeaderFacts, ...]
    images: int
    unreadable: int = 0
    aside: int = 0
    other: int = 0
    declared: int | None = None
    open_last_images: tuple[dt.datetime, ...] = ()
    aborted: bool = False

    @property
    def received(self) -> int:
        """Return how many different objects of the series arrived."""
        return self.images + self.unreadable + self.other

    @property
    def open_associations(self) -> int:
        """Return how many open associations have sent it an image."""
        return len(self.open_last_images)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flag:
    """Hold what the worklist shows for a study."""

    priority: Priority
    outcome: Outcome
    reasons: tuple[reasons.Reason, ...]
    agatston: float | None = None
    category: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesVote:
    """Hold what one series contributes to its study's flag.

    `outcome` is the newest run's on the present content, PENDING where none has ended. `earlier_doubt` says that
    an earlier run on the same images was PRESENT or INDETERMINATE and no person asked for the newest.
    """

    series_instance_uid: str
    standing: Standing
    state: SeriesState
    outcome: Outcome
    reasons: tuple[reasons.Reason, ...]
    agatston: float | None = None
    category: str | None = None
    earlier_doubt: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """Hold what the site's rule and the flag need to know of a study beside its series."""

    admitted: bool
    two_patients: bool
    arriving: bool
    shares_series: bool = False
    """An image under another study UID names a series of this study, or the other way round."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ticket:
    """Hold a leased run: what a worker needs to start, and what it must name to finish."""

    run_id: int
    series_instance_uid: str
    study_instance_uid: str
    content_hash: str
    trigger: RunTrigger
    attempt: int
    lease_token: str
    completeness: tuple[reasons.Reason, ...]
    """What the assembler found missing: makes the result INDETERMINATE at best."""


NO_PROVIDER = "none"
"""What a result states as its provider where no net answered."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """Hold what a finished run writes, in one transaction with its flag. Paths are relative to the results folder."""

    outcome: Outcome
    reasons: tuple[reasons.Reason, ...]
    models_hash: str
    provider: str
    profile: str
    agatston: float | None = None
    category: str | None = None
    cac_drs: str | None = None
    volume_mm3: float | None = None
    mass_mg: float | None = None
    images: int = 0
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    candidates: tuple[Mapping[str, object], ...] = ()
    lesions: tuple[Mapping[str, object], ...] = ()
    segmentation_path: str | None = None
    segmentation_uid: str | None = None
    preview_path: str | None = None


def utc_now() -> dt.datetime:
    """Return the present moment, in UTC, time zone stated."""
    return dt.datetime.now(dt.UTC)
