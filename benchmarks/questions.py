"""What is asked of a worklist of any size: each filter, early and deep, for many studies, a few and none."""

import base64
import dataclasses
import datetime as dt
import http.client
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from benchmarks import filling

FIRST_DAY = dt.date.fromisoformat(filling.START)
FEW_DAYS = dt.timedelta(days=1)
ROUTINE, LOW = 1, 2
"""Places in the reading order, as cursors hold them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """Name one request; a search by patient carries a body."""

    name: str
    path: str
    body: Mapping[str, str] | None = None


def ask(client: http.client.HTTPConnection, question: Question) -> dict[str, Any]:
    """Return the answer; RuntimeError where it is none."""
    body = None if question.body is None else json.dumps(question.body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    client.request("GET" if body is None else "POST", f"/api/v1{question.path}", body, headers)
    answer = client.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{question.name}: {answer.status} {text[:500]!r}")
    found: dict[str, Any] = json.loads(text)
    return found


def of_size(client: http.client.HTTPConnection, studies: int, per_day: int) -> list[Question]:
    """Return the questions; days are counted from both ends, so that they mean the same at every size."""
    last = FIRST_DAY + dt.timedelta(days=studies // per_day)
    one = ask(client, Question(name="", path="/worklist?limit=1"))["items"][0]
    middle = dt.datetime.combine(FIRST_DAY, dt.time(), dt.UTC) + dt.timedelta(days=studies / per_day / 2)
    listed = [
        Question(name=name, path=f"/worklist?{urllib.parse.urlencode(query)}")
        for name, query in _listed(last, one["accession_number"], middle, one["study_instance_uid"]).items()
    ]
    searched = [
        Question(name=name, path="/worklist/search", body=body)
        for name, body in _searched(one, (last - FEW_DAYS).isoformat()).items()
    ]
    return [*listed, *searched, Question(name="changes", path=f"/changes?since={studies - 100}&limit=50")]


def _listed(last: dt.date, accession: str, middle: dt.datetime, uid: str) -> dict[str, dict[str, str]]:
    days = {back: (last - dt.timedelta(days=back)).isoformat() for back in (1, 7, 90, 1000)}
    begin, deep = FIRST_DAY.isoformat(), cursor(ROUTINE, middle, uid)
    end = cursor(LOW, dt.datetime.combine(last, dt.time(), dt.UTC) - dt.timedelta(minutes=10), uid)
    return {
        "first page": {},
        "a deep page": {"cursor": deep},
        "the last page": {"cursor": end},
        "high": {"priority": "high"},
        "low": {"priority": "low"},
        "low, a deep page": {"priority": "low", "cursor": cursor(LOW, middle, uid)},
        "absent": {"outcome": "absent"},
        "absent, a deep page": {"outcome": "absent", "cursor": deep},
        "failed": {"outcome": "failed"},
        "absent and routine": {"outcome": "absent", "priority": "routine"},
        "failed and low: none": {"outcome": "failed", "priority": "low"},
        "accession number": {"accession": accession},
        "accession number: none": {"accession": "nowhere"},
        "one day": {"date_from": days[1], "date_to": days[1]},
        "the last week": {"date_from": days[7]},
        "the last 90 days": {"date_from": days[90]},
        "the last 90 days, a deep page": {"date_from": days[90], "cursor": deep},
        "the last 90 days, absent": {"date_from": days[90], "outcome": "absent"},
        "the last 90 days, low": {"date_from": days[90], "priority": "low"},
        "the last 1,000 days": {"date_from": days[1000]},
        "all days": {"date_from": begin},
        "all days, failed": {"date_from": begin, "outcome": "failed"},
        "all days, failed and low: none": {"date_from": begin, "outcome": "failed", "priority": "low"},
        "until a week ago": {"date_to": days[7]},
        "the first day, high": {"date_to": begin, "priority": "high"},
        "days to come: none": {"date_from": "2100-01-01"},
    }


def _searched(one: Mapping[str, Any], recent: str) -> dict[str, dict[str, str]]:
    common = filling.COMMON_NAME
    return {
        "patient's number": {"patient_id": one["patient_id"]},
        "patient's number: none": {"patient_id": "nobody"},
        "patient's name": {"patient_name": one["patient_name"]},
        "a common name": {"patient_name": common},
        "a common name, failed": {"patient_name": common, "outcome": "failed"},
        "a common name, recent": {"patient_name": common, "date_from": recent},
        "a common name and another: none": {"patient_name": f"{common} zz"},
        "a first letter": {"patient_name": "b"},
        "a first letter, high": {"patient_name": "b", "priority": "high"},
        "two first letters": {"patient_name": "b d"},
        "two first letters, failed, recent": {"patient_name": "b d", "outcome": "failed", "date_from": recent},
        "two words: none": {"patient_name": f"{common} {common[::-1]}"},
        "a name: none": {"patient_name": "zz"},
    }


def cursor(place: int, received_at: dt.datetime, uid: str) -> str:
    """Return the cursor that a page would have given whose last study stands there in the reading order."""
    return base64.urlsafe_b64encode(json.dumps([place, received_at.isoformat(), uid]).encode()).decode()
