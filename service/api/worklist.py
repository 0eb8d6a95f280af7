"""The worklist: studies in reading order, found by patient, and in order of change."""

from typing import Annotated

import fastapi

from service.api import deps, problems, schemas
from triage import domain, errors
from triage.db import worklist

router = fastapi.APIRouter(prefix="/api/v1", tags=["worklist"], responses=problems.documented())

_HIDDEN_TRIES = 20
"""Pages read on while a filter hides all of a page's studies from the masked worklist."""


@router.get("/worklist", summary="Studies in reading order", response_model=schemas.WorklistPage)
def read_worklist(desk: deps.AtDesk, filters: Annotated[schemas.Filters, fastapi.Query()]) -> fastapi.Response:
    """Return studies by priority (high, routine, low), then the oldest received first.

    Give `next` back as `cursor` for the following page. A study whose priority changes between two pages may be
    missed: `changes` tells of it. No address takes a patient's name or number: see `POST worklist/search`.
    """
    return _answer(_page(desk, filters, patient_id=None, patient_name=None))


@router.post("/worklist/search", summary="Studies of a patient", response_model=schemas.WorklistPage)
def search_worklist(desk: deps.AtDesk, search: schemas.Search) -> fastapi.Response:
    """Return studies by patient and the worklist's other filters, in reading order."""
    return _answer(_page(desk, search, patient_id=search.patient_id, patient_name=search.patient_name))


@router.get("/changes", summary="What moved, in order of change", response_model=schemas.ChangesPage)
def read_changes(
    desk: deps.AtDesk,
    since: Annotated[int, fastapi.Query(ge=0, le=2**62, description="`next` of the answer before; 0 at first.")] = 0,
    limit: Annotated[int, fastapi.Query(ge=1, le=500)] = 100,
) -> fastapi.Response:
    """Return the studies whose flag changed after `since`, each once, as it is now.

    After a start no flag is served as `low` until the node's spool and database agree; `next` stays before the first
    flag held back, so that it is told again: be ready to see a study twice.
    """
    trusted = deps.agreed(desk)
    rows, following = worklist.changes(desk.db, since, limit)
    items = [schemas.WorklistItem.model_validate(row) for row in rows]
    if trusted:
        return _answer(schemas.ChangesPage(items=items, next=following))
    held = [number for number, item in enumerate(items) if item.flag.priority == domain.Priority.LOW]
    if held:
        following = since if held[0] == 0 else worklist.changes(desk.db, since, held[0])[1]
    return _answer(schemas.ChangesPage(items=[_shown(item) for item in items], next=following))


def _answer(page: schemas.WorklistPage | schemas.ChangesPage) -> fastapi.Response:
    """Write a page here, once: FastAPI would check what was just made a second time, in another thread."""
    return fastapi.Response(page.model_dump_json(), media_type="application/json")


def _page(
    desk: deps.Desk, filters: schemas.Filters, *, patient_id: str | None, patient_name: str | None
) -> schemas.WorklistPage:
    trusted = deps.agreed(desk)
    if not trusted and filters.priority == domain.Priority.LOW:
        return schemas.WorklistPage(items=[], next=None)
    # While `low` is held back those studies are routine, so the database cannot tell routine apart.
    mixed = not trusted and filters.priority == domain.Priority.ROUTINE
    wanted = worklist.Filters(
        date_from=filters.date_from,
        date_to=filters.date_to,
        priority=None if mixed else filters.priority,
        outcome=filters.outcome,
        accession=filters.accession,
        patient_id=patient_id,
        patient_name=patient_name,
    )
    cursor = filters.cursor
    for _ in range(_HIDDEN_TRIES):
        try:
            page = worklist.page(desk.db, wanted, cursor, filters.limit)
        except errors.NotFound as exc:
            raise problems.Invalid("cursor", str(exc)) from exc
        items = [schemas.WorklistItem.model_validate(row) for row in page.items]
        cursor = page.next
        if not trusted:
            items = [_shown(item) for item in items]
        if mixed:
            items = [item for item in items if item.flag.priority == domain.Priority.ROUTINE]
        if items or cursor is None:
            break
    return schemas.WorklistPage(items=items, next=cursor)


def _shown(item: schemas.WorklistItem) -> schemas.WorklistItem:
    return item.model_copy(update={"flag": deps.masked(item.flag)})
