"""Ask a running node over REST, with the standard library alone."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from triage import errors

TIMEOUT_SECONDS = 10.0


def ready(base: str) -> bool:
    """Tell whether the node says that it is ready."""
    try:
        get(base, "/health/ready")
    except errors.TriageError:
        return False
    return True


def get(base: str, path: str, **query: str | int | None) -> Any:
    """Return a resource's JSON; StorageError, with the problem's own sentence where there is one."""
    if urllib.parse.urlsplit(base).scheme not in {"http", "https"}:
        raise errors.SettingsError(f"{base!r} is no address like http://127.0.0.1:8080")
    given = {name: value for name, value in query.items() if value is not None}
    url = base.rstrip("/") + path + ("?" + urllib.parse.urlencode(given) if given else "")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  scheme checked above
            return json.load(answer)
    except urllib.error.HTTPError as exc:
        with exc:
            raise errors.StorageError(f"{url} answered {exc.code}: {_detail(exc)}") from exc
    except (OSError, ValueError, http.client.HTTPException) as exc:
        raise errors.StorageError(f"No node answers at {base}; start one with 'cac-triage up'.") from exc


def _detail(answer: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(answer)["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(answer.reason)
