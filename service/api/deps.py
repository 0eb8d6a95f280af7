"""What the resources work with, and the rule that nothing is `low` before spool and database agree."""

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable
from typing import Annotated, TypeAlias

import fastapi

from cac import reasons
from service.api import schemas
from triage import domain, spool
from triage.db import assembly, session


@dataclasses.dataclass(frozen=True, kw_only=True)
class Desk:
    """Hold the database, the folders and the clock that the resources share; `settle_seconds` is the assembler's."""

    db: session.Database
    spool: pathlib.Path
    results: pathlib.Path
    min_free_bytes: int
    settle_seconds: float = 2.0
    clock: Callable[[], dt.datetime] = domain.utc_now


async def _desk(request: fastapi.Request) -> Desk:  # async: no thread is needed to take it
    desk: Desk = request.app.state.desk
    return desk


AtDesk: TypeAlias = Annotated[Desk, fastapi.Depends(_desk)]


def agreed(desk: Desk) -> bool:
    """Tell whether `low` may be served: spool and database were lately found to agree, and no image waits unnoted.

    The spool is looked at, too, for a database that hangs may keep the assembler from saying so.
    """
    return assembly.agreed(desk.db, desk.clock()) and not spool.anything_waits(desk.spool)


def masked(flag: schemas.Flag) -> schemas.Flag:
    """Return the flag as it is shown while the node has not agreed: `low` becomes `routine`, with the reason."""
    if flag.priority != domain.Priority.LOW:
        return flag
    why = reasons.reason(reasons.ReasonCode.NODE_NOT_AGREED)
    added = schemas.Reason(code=why.code.value, text=why.text)
    return flag.model_copy(update={"priority": domain.Priority.ROUTINE, "reasons": [*flag.reasons, added]})
