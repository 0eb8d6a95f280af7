"""Why a run ended as it did, over REST."""

import pytest
import served
from test_db_candidates import FOUND

from triage import domain

PRESENT = domain.Outcome.PRESENT


@pytest.fixture
def api(database_url, tmp_path):
    with served.running(database_url, tmp_path) as running:
        yield running


def _finished(api: served.Served, **result: object) -> str:
    """Finish study 1; return the address of its run's candidates."""
    api.receive(1)
    api.queue(1)
    return f"/api/v1/runs/{api.work(1, PRESENT, **result).run_id}/candidates"


def test_a_candidate_tells_its_probabilities_place_size_decision_and_reason(api):
    page = api.client.get(_finished(api, candidates=FOUND)).json()
    assert (page["kept"], page["next"]) == ("explained", None)
    assert page["counts"] == {"accepted": 2, "doubt": 1, "rejected": 2}
    assert page["items"][0] == {**FOUND[4], "centre": [1.0, 2.0, 5.0]}
    assert [one["number"] for one in page["items"]] == [5, 4, 2, 3, 1]


def test_pages_and_statuses_narrow_the_list(api):
    address = _finished(api, candidates=FOUND)
    first = api.client.get(address, params={"limit": 2, "status": ["accepted", "doubt"]}).json()
    assert [one["number"] for one in first["items"]] == [5, 4]
    rest = api.client.get(address, params={"status": ["accepted", "doubt"], "cursor": first["next"]}).json()
    assert ([one["number"] for one in rest["items"]], rest["next"]) == ([2], None)


@pytest.mark.parametrize("query", [{"status": "maybe"}, {"limit": 0}, {"cursor": "99"}, {"patient": "DOE"}])
def test_a_wrong_question_is_a_problem_document(api, query):
    answer = api.client.get(_finished(api, candidates=FOUND), params=query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "DOE" not in answer.text


def test_what_was_not_judged_is_null_and_says_so(api):
    api.receive(1)
    api.queue(1)
    (run,) = api.client.get(f"/api/v1/series/{served.uid(1)}.1/runs").json()
    page = api.client.get(f"/api/v1/runs/{run['id']}/candidates").json()
    assert page == {
        "kept": "not_ended",
        "about": "The run has not ended.",
        "counts": None,
        "items": None,
        "next": None,
    }
