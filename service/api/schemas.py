"""What the REST interface shows of studies and flags. Times are UTC, ISO 8601 with Z; dates are ISO 8601."""

import datetime as dt
from typing import Annotated, Any, TypeAlias

import pydantic

from cac import finding
from triage import domain
from triage.db import candidates, runs

EXAMPLE_STUDY = "2.25.164830271836472910364"
EXAMPLE_SERIES = "2.25.264830271836472910365"
ABOUT = "The flag speaks of coronary calcium only: `low` says nothing of any other finding. Research software."


def _with_z(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _iso_date(value: Any) -> Any:
    """Turn a DICOM date (YYYYMMDD) into a date; what is none becomes null, for it comes from foreign headers."""
    if not isinstance(value, str):
        return value
    try:
        return dt.datetime.strptime(value, "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None


Moment: TypeAlias = Annotated[dt.datetime, pydantic.PlainSerializer(_with_z, return_type=str)]
StudyDate: TypeAlias = Annotated[dt.date | None, pydantic.BeforeValidator(_iso_date)]


class Shown(pydantic.BaseModel):
    """Read values from the database's records by name."""

    model_config = pydantic.ConfigDict(from_attributes=True, ser_json_inf_nan="null")


class Reason(Shown):
    """Why: a stable code, and the sentence a person reads."""

    code: str = pydantic.Field(examples=["no_calcium"])
    text: str = pydantic.Field(examples=["No candidate at or above 130 HU near the heart is accepted or in doubt."])


class Flag(Shown):
    """What the reading worklist should do with a study. `low` speaks of coronary calcium only."""

    priority: domain.Priority = pydantic.Field(examples=["low"])
    outcome: domain.Outcome = pydantic.Field(examples=["absent"])
    reasons: list[Reason]
    agatston: float | None = pydantic.Field(examples=[0.0])
    category: str | None = pydantic.Field(examples=["0"])
    updated_at: Moment = pydantic.Field(examples=["2026-01-05T10:16:02.113Z"])
    version: int = pydantic.Field(examples=[4], description="Grows with every change of the flag.")


class WorklistItem(Shown):
    """A study as the reading worklist shows it."""

    study_instance_uid: str = pydantic.Field(examples=[EXAMPLE_STUDY])
    accession_number: str = pydantic.Field(examples=["A2026-0117"])
    patient_id: str = pydantic.Field(examples=["4711"])
    patient_name: str = pydantic.Field(examples=["DOE^JANE"])
    study_date: StudyDate = pydantic.Field(examples=["2026-01-05"])
    description: str = pydantic.Field(examples=["CT Cardiac Calcium Scoring"])
    received_at: Moment = pydantic.Field(examples=["2026-01-05T10:15:58.020Z"])
    images_received: int = pydantic.Field(examples=[44])
    images_expected: int | None = pydantic.Field(
        examples=[44], description="As the sender declared; null if it did not."
    )
    flag: Flag


class WorklistPage(Shown):
    """A page of the worklist; `next` is the cursor of the following one, null on the last."""

    items: list[WorklistItem]
    next: str | None = pydantic.Field(examples=[None])


class ChangesPage(Shown):
    """What moved since a number, in order of change; ask again with `since` = `next`."""

    items: list[WorklistItem]
    next: int = pydantic.Field(examples=[118])


class StudyFlag(Shown):
    """A study's flag alone."""

    study_instance_uid: str = pydantic.Field(examples=[EXAMPLE_STUDY])
    flag: Flag
    about: str = pydantic.Field(default=ABOUT, examples=[ABOUT])


class RunSummary(Shown):
    """A run of the algorithm over a series, in short."""

    id: int = pydantic.Field(examples=[17])
    number: int = pydantic.Field(examples=[1], description="Counts the runs of this series from 1.")
    trigger: domain.RunTrigger = pydantic.Field(examples=["images"])
    phase: domain.RunPhase = pydantic.Field(examples=["done"])
    outcome: domain.Outcome = pydantic.Field(examples=["present"])
    reasons: list[Reason]
    agatston: float | None = pydantic.Field(examples=[34.5])
    category: str | None = pydantic.Field(examples=["11-100"])
    created_at: Moment = pydantic.Field(examples=["2026-01-05T10:16:00.412Z"])
    started_at: Moment | None = pydantic.Field(examples=["2026-01-05T10:16:00.904Z"])
    ended_at: Moment | None = pydantic.Field(examples=["2026-01-05T10:16:06.250Z"])


class Series(Shown):
    """A series of a study: how much of it is here, what it counts for, and its newest run."""

    series_instance_uid: str = pydantic.Field(examples=[EXAMPLE_SERIES])
    description: str = pydantic.Field(examples=["CaScore 3.0 Qr36"])
    modality: str = pydantic.Field(examples=["CT"])
    state: domain.SeriesState = pydantic.Field(examples=["done"])
    standing: domain.Standing = pydantic.Field(
        examples=["eligible"], description="What the series counts for in the study's flag."
    )
    reasons: list[Reason]
    images_received: int = pydantic.Field(examples=[44])
    images_expected: int | None = pydantic.Field(examples=[44])
    newest_run: RunSummary | None


class Study(WorklistItem):
    """A study with its series."""

    series: list[Series]


Uid: TypeAlias = Annotated[
    str,
    pydantic.StringConstraints(max_length=64, pattern=r"^[0-9]+(\.[0-9]+)*$"),
    pydantic.Field(description="A DICOM UID (PS3.5 section 9.1).", examples=[EXAMPLE_STUDY]),
]


Text: TypeAlias = Annotated[str, pydantic.StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""What a database can be asked for: PostgreSQL takes no NUL."""


class Filters(pydantic.BaseModel):
    """Which studies a page holds. Search by patient is a POST, so that no patient stands in an address."""

    model_config = pydantic.ConfigDict(extra="forbid")

    date_from: dt.date | None = pydantic.Field(default=None, description="Study date, from this day on.")
    date_to: dt.date | None = pydantic.Field(default=None, description="Study date, up to and with this day.")
    priority: domain.Priority | None = None
    outcome: domain.Outcome | None = None
    accession: Text | None = pydantic.Field(default=None, max_length=64, description="Accession number, whole.")
    limit: int = pydantic.Field(default=50, ge=1, le=500)
    cursor: str | None = pydantic.Field(default=None, max_length=500, description="`next` of the page before.")


class Search(Filters):
    """The same, and by patient."""

    model_config = pydantic.ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"patient_id": "4711"}, {"patient_name": "DOE", "limit": 20}]}
    )

    patient_id: Text | None = pydantic.Field(default=None, max_length=64, description="Patient ID, whole.")
    patient_name: Text | None = pydantic.Field(
        default=None, max_length=324, description="Words of the patient's name, or their beginnings; case is no matter."
    )


class Probabilities(Shown):
    """The largest probability of each net over a candidate's voxels; null where that net did not run."""

    axial: float | None = pydantic.Field(examples=[0.97])
    sagittal: float | None = pydantic.Field(examples=[0.93])
    coronal: float | None = pydantic.Field(examples=[0.88])


class Candidate(Shown):
    """A connected set of voxels at or above 130 HU near the heart; the centre is LPS, in mm.

    Slice, volume and reason are null in runs that were made before these were kept.
    """

    number: int = pydantic.Field(examples=[1])
    centre: list[float] = pydantic.Field(examples=[[12.5, -20.0, 35.5]])
    slice_number: int | None = pydantic.Field(
        examples=[23], description="The slice of the series that shows most of it, from 1 at the head."
    )
    voxels: int = pydantic.Field(examples=[18])
    volume_mm3: float | None = pydantic.Field(examples=[28.1])
    max_hu: float = pydantic.Field(examples=[412.0])
    probabilities: Probabilities
    status: str = pydantic.Field(examples=["accepted"], description="accepted, doubt or rejected")
    doubt: str | None = pydantic.Field(examples=[None], description="The reason code of the doubt, if any.")
    reason: Reason | None = pydantic.Field(
        examples=[
            {"code": "all_planes_accept", "text": "All three planes accept 18 voxel(s) of it: axial 0.97 >= 0.5 ..."}
        ],
        description="Why it has its status, with the thresholds in force.",
    )


class CandidateFilters(pydantic.BaseModel):
    """Which candidates of a run a page holds."""

    model_config = pydantic.ConfigDict(extra="forbid")

    status: list[finding.CandidateStatus] = pydantic.Field(default=[], description="May be repeated; none means all.")
    limit: int = pydantic.Field(default=50, ge=1, le=500)
    cursor: str | None = pydantic.Field(default=None, max_length=20, description="`next` of the page before.")


class CandidatesPage(Shown):
    """A page of a run's candidates; `next` is the cursor of the following one, null on the last."""

    kept: candidates.Kept = pydantic.Field(
        examples=["explained"], description="; ".join(f"{each.value}: {each.sentence}" for each in candidates.Kept)
    )
    about: str = pydantic.Field(examples=[candidates.Kept.EXPLAINED.sentence], description="`kept` as a sentence.")
    counts: dict[finding.CandidateStatus, int] | None = pydantic.Field(
        examples=[{"accepted": 1, "doubt": 0, "rejected": 41}],
        description="Of the whole run; null where no candidate was judged.",
    )
    items: list[Candidate] | None = pydantic.Field(description="Null, not empty, where no candidate was judged.")
    next: str | None = pydantic.Field(examples=[None])


class Lesion(Shown):
    """An accepted lesion; the centre is LPS, in mm. The mass is uncalibrated."""

    number: int = pydantic.Field(examples=[1])
    centre: list[float] = pydantic.Field(examples=[[12.5, -20.0, 35.5]])
    slices: int = pydantic.Field(examples=[2])
    max_hu: float = pydantic.Field(examples=[412.0])
    agatston: float = pydantic.Field(examples=[34.5])
    volume_mm3: float = pydantic.Field(examples=[28.1])
    mass_mg: float = pydantic.Field(examples=[7.4])


class Run(RunSummary):
    """A run with all that it found. `low` speaks of coronary calcium only."""

    series_instance_uid: str = pydantic.Field(examples=[EXAMPLE_SERIES])
    content_hash: str = pydantic.Field(examples=["9f2c" * 16], description="SHA-256 over the images it read.")
    models_hash: str = pydantic.Field(examples=["51ab" * 16], description="SHA-256 over weights, thresholds, profile.")
    provider: str = pydantic.Field(examples=["CPUExecutionProvider"])
    profile: str = pydantic.Field(examples=["default"])
    worker: str = pydantic.Field(examples=["node-1"])
    attempt: int = pydantic.Field(examples=[1])
    images: int = pydantic.Field(examples=[44])
    cac_drs: str | None = pydantic.Field(examples=["A1"])
    volume_mm3: float | None = pydantic.Field(examples=[28.1])
    mass_mg: float | None = pydantic.Field(examples=[7.4], description="Uncalibrated.")
    seconds: dict[str, float] = pydantic.Field(examples=[{"read": 0.4, "nets": 2.9}])
    candidates: list[Candidate]
    lesions: list[Lesion]
    segmentation_uid: str | None = pydantic.Field(examples=["2.25.364830271836472910366"])
    segmentation: str | None = pydantic.Field(examples=["/api/v1/runs/17/segmentation"], description="Its address.")
    preview: str | None = pydantic.Field(examples=["/api/v1/runs/17/preview.png"], description="Its address.")


def run_of(record: runs.RunRecord) -> Run:
    """Show a run, its files by their addresses."""
    return Run.model_validate(
        {
            **{name: getattr(record, name) for name in Run.model_fields if hasattr(record, name)},
            "segmentation": f"/api/v1/runs/{record.id}/segmentation" if record.segmentation_path else None,
            "preview": f"/api/v1/runs/{record.id}/preview.png" if record.preview_path else None,
        }
    )
