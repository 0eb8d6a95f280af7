"""Whether the node lives, and whether it is ready for work."""

import shutil
import tempfile
from typing import Any

import fastapi

from service.api import deps, problems
from triage import errors
from triage.db import session

router = fastapi.APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="The process answers")
def live() -> dict[str, str]:
    """Say that the process answers; nothing else is looked at."""
    return {"service": "cac-triage", "status": "live"}


@router.get("/ready", summary="The node is ready", responses=problems.documented())
def ready(desk: deps.AtDesk) -> Any:
    """Say whether database, spool and node are well; 503 names what is not, and then nothing is served as `low`."""
    checks = {"database": _database(desk), "spool": _spool(desk), "node": _node(desk)}
    if all(check["ok"] for check in checks.values()):
        return {"status": "ready", "checks": checks}
    wrong = " ".join(check["detail"] for check in checks.values() if not check["ok"])
    headers = {"Retry-After": str(problems.RETRY_AFTER_SECONDS)}
    return problems.response(503, wrong, headers=headers, checks=checks)


def _database(desk: deps.Desk) -> dict[str, Any]:
    try:
        newest = session.at_head(desk.db.url)
    except errors.StorageError as failure:
        why = str(failure)
        return {"ok": False, "detail": f"{why[:1].upper()}{why[1:]}."}
    return {
        "ok": newest,
        "detail": "The database answers." if newest else "The database needs 'cac-triage db upgrade'.",
    }


def _spool(desk: deps.Desk) -> dict[str, Any]:
    try:
        with tempfile.TemporaryFile(dir=desk.spool) as probe:
            probe.write(b"\0")
            probe.flush()
        free = shutil.disk_usage(desk.spool).free
    except OSError as failure:
        return {"ok": False, "detail": f"The spool cannot be written: {failure.strerror}."}
    enough = free >= desk.min_free_bytes
    detail = "The spool can be written." if enough else "The spool is nearly full: images are refused."
    return {"ok": enough, "detail": detail, "free_bytes": free}


def _node(desk: deps.Desk) -> dict[str, Any]:
    try:
        fine = deps.agreed(desk)
    except errors.StorageError:
        fine = False
    detail = "Spool and database agree." if fine else "Spool and database are not known to agree: nothing is low."
    return {"ok": fine, "detail": detail}
