"""Errors as RFC 9457 problem documents: one shape for every failure, without patient data."""

import http
from typing import Any

import fastapi
import pydantic
import structlog
from fastapi import exceptions, responses
from starlette import exceptions as starlette_exceptions

from triage import errors

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5

_log = structlog.get_logger(__name__)


class Problem(pydantic.BaseModel):
    """A problem document (RFC 9457)."""

    type: str = pydantic.Field(default="about:blank", description="Always about:blank: the status says what is wrong.")
    title: str = pydantic.Field(description="The HTTP status in words.")
    status: int
    detail: str = pydantic.Field(description="One sentence for a person.")
    errors: list[dict[str, str]] | None = pydantic.Field(
        default=None, description="With 422: which value (`where`) is wrong, and why (`message`)."
    )
    checks: dict[str, Any] | None = pydantic.Field(default=None, description="With 503 of /health/ready: each check.")


_EXAMPLES: dict[int, str] = {
    404: "No study 1.2.3 is known.",
    422: "The request is not valid.",
    500: "The node failed to answer; its log says why.",
    503: "The database is out of reach.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI descriptions of the problems that a resource may answer with."""
    return {status: _described(status) for status in (*statuses, 422, 500, 503)}


def _described(status: int) -> dict[str, Any]:
    example: dict[str, Any] = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status}
    example["detail"] = _EXAMPLES[status]
    if status == 422:
        example["errors"] = [{"where": "query.limit", "message": "Input should be less than or equal to 500"}]
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": http.HTTPStatus(status).phrase, "content": content}


def response(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> responses.JSONResponse:
    """Build a problem document; `members` are RFC 9457 extension members."""
    body = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status, "detail": detail}
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return responses.JSONResponse(body | members, status_code=status, media_type=MEDIA_TYPE, headers=sent)


def install(app: fastapi.FastAPI) -> None:
    """Make an application answer every failure with a problem document."""
    app.add_exception_handler(starlette_exceptions.HTTPException, _http)
    app.add_exception_handler(exceptions.RequestValidationError, _invalid)
    app.add_exception_handler(Invalid, _refused)
    app.add_exception_handler(errors.NotFound, _not_found)
    app.add_exception_handler(errors.RetriableError, _retriable)
    app.add_exception_handler(Exception, _unforeseen)


class Invalid(Exception):
    """Refuse a request whose `where` holds a value that no check of its form can find wrong."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where


async def _refused(request: fastapi.Request, error: Exception) -> fastapi.Response:
    where = error.where if isinstance(error, Invalid) else "request"
    return response(422, "The request is not valid.", errors=[{"where": where, "message": str(error)}])


async def _http(request: fastapi.Request, error: Exception) -> fastapi.Response:
    assert isinstance(error, starlette_exceptions.HTTPException)  # noqa: S101  registered for this class only
    headers = dict(error.headers or {})
    detail = {
        404: "No such address.",
        405: f"{request.method} is not possible here; {headers.get('allow', headers.get('Allow', ''))} is.",
    }.get(error.status_code, "The request is not valid.")
    if error.detail != http.HTTPStatus(error.status_code).phrase:
        detail = str(error.detail)
    return response(error.status_code, detail, headers=headers)


async def _invalid(request: fastapi.Request, error: Exception) -> fastapi.Response:
    assert isinstance(error, exceptions.RequestValidationError)  # noqa: S101  registered for this class only
    # The wrong value itself is left out: it may be a patient's name.
    wrong = [{"where": ".".join(str(part) for part in each["loc"]), "message": each["msg"]} for each in error.errors()]
    return response(422, "The request is not valid.", errors=wrong)


async def _not_found(request: fastapi.Request, error: Exception) -> fastapi.Response:
    return response(404, str(error))


async def _retriable(request: fastapi.Request, error: Exception) -> fastapi.Response:
    _log.warning("A request met something that may work later.", action="api_unavailable", why=str(error))
    return response(503, str(error), headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _unforeseen(request: fastapi.Request, error: Exception) -> fastapi.Response:
    _log.error("A request failed unforeseen.", action="api_failed", error=type(error).__name__)
    return response(500, "The node failed to answer; its log says why.")


def describe(app: fastapi.FastAPI) -> None:
    """Add the problem document to the application's OpenAPI description."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        description = plain()
        schemas = description.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        return description

    app.openapi = described  # type: ignore[method-assign]
