"""One study: its series, and its flag with an ETag."""

import hashlib
from typing import Annotated

import fastapi

from service.api import deps, problems, schemas
from triage.db import worklist

router = fastapi.APIRouter(prefix="/api/v1/studies", tags=["studies"], responses=problems.documented(404))


@router.get("/{study_uid}", summary="A study with its series")
def read_study(desk: deps.AtDesk, study_uid: schemas.Uid) -> schemas.Study:
    """Return a study: each series with its state, its standing, images received and expected, and its newest run."""
    return _study(desk, study_uid)


@router.get(
    "/{study_uid}/flag",
    summary="A study's flag",
    response_model=schemas.StudyFlag,
    responses={304: {"description": "The flag is still the one that If-None-Match names."}},
)
def read_flag(
    desk: deps.AtDesk,
    study_uid: schemas.Uid,
    if_none_match: Annotated[str | None, fastapi.Header(description="The ETag of an earlier answer.")] = None,
) -> fastapi.Response:
    """Return what the worklist should do with a study. `low` speaks of coronary calcium only."""
    study = _study(desk, study_uid)
    body = schemas.StudyFlag(study_instance_uid=study.study_instance_uid, flag=study.flag).model_dump_json()
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if if_none_match is not None and _names(if_none_match, tag):
        return fastapi.Response(status_code=304, headers=headers)
    return fastapi.Response(body, media_type="application/json", headers=headers)


def _study(desk: deps.Desk, study_uid: str) -> schemas.Study:
    # Asked before the study is read: what the node finds out in between can then only hold back a `low`.
    trusted = deps.agreed(desk)
    study = schemas.Study.model_validate(worklist.study(desk.db, study_uid))
    return study if trusted else study.model_copy(update={"flag": deps.masked(study.flag)})


def _names(if_none_match: str, tag: str) -> bool:
    """Tell whether an If-None-Match header names a tag; weak comparison (RFC 9110 section 13.1.2)."""
    given = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return tag in given or if_none_match.strip() == "*"
