"""Runs of a series: what each found, its SEG and its picture; and running again."""

import pathlib
from typing import Annotated

import fastapi
from fastapi import responses

from service.api import deps, problems, schemas
from triage import errors
from triage.db import candidates, runs

router = fastapi.APIRouter(prefix="/api/v1", tags=["runs"], responses=problems.documented(404))

RunId = Annotated[int, fastapi.Path(ge=1, le=2**31 - 1, examples=[17])]


@router.get("/series/{series_uid}/runs", summary="All runs of a series")
def read_runs(desk: deps.AtDesk, series_uid: schemas.Uid) -> list[schemas.RunSummary]:
    """Return the runs of a series, the newest first."""
    found = [schemas.RunSummary.model_validate(run) for run in runs.of_series(desk.db, series_uid)]
    return sorted(found, key=lambda run: run.number, reverse=True)


@router.post("/series/{series_uid}/runs", status_code=202, summary="Run again")
def run_again(desk: deps.AtDesk, series_uid: schemas.Uid, response: fastapi.Response) -> schemas.RunSummary:
    """Queue another run over the same images; `Location` names it. Until it ends the study is not `low`."""
    run_id = runs.request_again(desk.db, series_uid, desk.clock())
    response.headers["Location"] = f"/api/v1/runs/{run_id}"
    return schemas.RunSummary.model_validate(runs.get(desk.db, run_id))


@router.get("/runs/{run_id}", summary="A run with all that it found")
def read_run(desk: deps.AtDesk, run_id: RunId) -> schemas.Run:
    """Return a run: every candidate with its three probabilities, lesions, scores, timings and hashes."""
    return schemas.run_of(runs.get(desk.db, run_id))


@router.get("/runs/{run_id}/candidates", summary="Why: a run's candidates with their reasons")
def read_candidates(
    desk: deps.AtDesk, run_id: RunId, filters: Annotated[schemas.CandidateFilters, fastapi.Query()]
) -> schemas.CandidatesPage:
    """Return candidates: accepted, in doubt, rejected; within each the largest second-highest probability first.

    Each has its three probabilities, size, place, decision and the reason for it. `kept` says whether a run has any:
    where no candidate was judged, `items` is null. Give `next` back as `cursor` for the following page.
    """
    try:
        page = candidates.page(desk.db, run_id, filters.status, filters.cursor, filters.limit)
    except candidates.UnknownCursor as exc:
        raise problems.Invalid("cursor", str(exc)) from exc
    return schemas.CandidatesPage.model_validate(page)


@router.get(
    "/runs/{run_id}/segmentation",
    summary="The segmentation as DICOM",
    response_class=responses.FileResponse,
    responses={200: {"content": {"application/dicom": {}}, "description": "A DICOM Segmentation object."}},
)
def read_segmentation(desk: deps.AtDesk, run_id: RunId) -> responses.FileResponse:
    """Return the accepted calcium as a DICOM SEG; a run that found none has none."""
    path = _file(desk, runs.get(desk.db, run_id).segmentation_path, f"Run {run_id} has no segmentation.")
    return responses.FileResponse(path, media_type="application/dicom", filename=f"run-{run_id}-segmentation.dcm")


@router.get(
    "/runs/{run_id}/preview.png",
    summary="A picture of the finding",
    response_class=responses.FileResponse,
    responses={200: {"content": {"image/png": {}}, "description": "Slices with what was found, and a projection."}},
)
def read_preview(desk: deps.AtDesk, run_id: RunId) -> responses.FileResponse:
    """Return a picture of what a run found."""
    path = _file(desk, runs.get(desk.db, run_id).preview_path, f"Run {run_id} has no picture.")
    return responses.FileResponse(path, media_type="image/png")


def _file(desk: deps.Desk, relative: str | None, sentence: str) -> pathlib.Path:
    """Return a result file's full path; NotFound where the run has none, StorageError where it is gone."""
    if relative is None:
        raise errors.NotFound(sentence)
    path = (desk.results / relative).resolve()
    if not path.is_relative_to(desk.results.resolve()):
        raise errors.NotFound(sentence)
    if not path.is_file():
        raise errors.StorageError("The file of this result is not in the results folder.")
    return path
