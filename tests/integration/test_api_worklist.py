import base64
import json

import pytest
import served

from triage import domain, spool

ABSENT, PRESENT, DOUBT = domain.Outcome.ABSENT, domain.Outcome.PRESENT, domain.Outcome.INDETERMINATE


@pytest.fixture
def api(database_url, tmp_path):
    with served.running(database_url, tmp_path) as running:
        yield running


def _uids(*numbers: int) -> list[str]:
    return [served.uid(number) for number in numbers]


def test_the_worklist_reads_routine_before_low_and_the_oldest_first(api):
    for number, outcome in ((1, ABSENT), (2, PRESENT), (3, ABSENT), (4, DOUBT)):
        api.finish(number, outcome)
    assert api.uids() == _uids(2, 4, 1, 3)


def test_an_item_has_exactly_the_fields_of_the_contract(api):
    api.finish(1, PRESENT)
    (item,) = api.client.get("/api/v1/worklist").json()["items"]
    flag = item.pop("flag")
    assert item == {
        "study_instance_uid": served.uid(1),
        "accession_number": "A1",
        "patient_id": "P1",
        "patient_name": "FAMILY1^GIVEN",
        "study_date": "2026-01-05",
        "description": "CT CALCIUM SCORE",
        "received_at": "2026-01-05T10:00:00.000Z",
        "images_received": 4,
        "images_expected": 4,
    }
    assert set(flag) == {"priority", "outcome", "reasons", "agatston", "category", "updated_at", "version"}
    assert (flag["priority"], flag["outcome"], flag["agatston"], flag["category"]) == (
        "routine",
        "present",
        34.5,
        "11-100",
    )


def test_pages_hold_every_study_once_while_others_arrive(api):
    for number in range(1, 8):
        api.finish(number, ABSENT if number % 2 else PRESENT)
    seen, cursor = [], None
    for page_number in range(10):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.client.get("/api/v1/worklist", params=query).json()
        seen += [item["study_instance_uid"] for item in page["items"]]
        api.finish(100 + page_number, PRESENT)
        cursor = page["next"]
        if cursor is None:
            break
    assert [uid for uid in seen if uid in _uids(*range(1, 8))] == _uids(2, 4, 6, 1, 3, 5, 7)
    assert len(seen) == len(set(seen))


def test_filters_narrow_the_worklist(api):
    api.finish(1, ABSENT, study_date="20251231")
    api.finish(2, PRESENT)
    api.receive(3, study_date="20260110")
    assert api.uids(priority="low") == _uids(1)
    assert api.uids(outcome="present") == _uids(2)
    assert api.uids(accession="A3") == _uids(3)
    assert api.uids(date_from="2026-01-01") == _uids(2, 3)
    assert api.uids(date_from="2026-01-01", date_to="2026-01-05") == _uids(2)


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"priority": "urgent"}, {"date_from": "5 May"}, {"patient_id": "P1"}, {"accession": "a\x00"}],
)
def test_a_query_that_makes_no_sense_is_a_problem_document(api, query):
    answer = api.client.get("/api/v1/worklist", params=query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["where"] == f"query.{next(iter(query))}"
    assert "P1" not in answer.text


@pytest.mark.parametrize(
    "cursor",
    [
        "no-such-cursor",
        *(
            base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()
            for parts in (
                [0, "2026-01-01T00:00:00+00:00", "\ud800"],
                [0, "2026-01-01T00:00:00+00:00", "1.2\0"],
                [-1, "2026-01-01T00:00:00+00:00", "1.2"],
                [True, "2026-01-01T00:00:00+00:00", "1.2"],
                [3, "2026-01-01T00:00:00+00:00", "1.2"],
                [0, "yesterday", "1.2"],
            )
        ),
    ],
)
def test_a_cursor_of_another_making_is_a_problem_document(api, cursor):
    answer = api.client.get("/api/v1/worklist", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_patient_is_found_by_post(api):
    api.finish(1, ABSENT)
    api.finish(2, PRESENT)
    for body in ({"patient_id": "P2"}, {"patient_name": "family2"}, {"patient_id": "P2", "outcome": "present"}):
        items = api.client.post("/api/v1/worklist/search", json=body).json()["items"]
        assert [item["study_instance_uid"] for item in items] == _uids(2)
    assert api.client.post("/api/v1/worklist/search", json={"patient_id": "P"}).json()["items"] == []


def test_changes_tell_what_moved_since(api):
    api.finish(1, ABSENT)
    api.finish(2, PRESENT)
    first = api.client.get("/api/v1/changes", params={"since": 0}).json()
    assert [item["study_instance_uid"] for item in first["items"]] == _uids(1, 2)
    assert api.client.get("/api/v1/changes", params={"since": first["next"]}).json()["items"] == []
    api.client.post(f"/api/v1/series/{served.uid(1)}.1/runs")
    moved = api.client.get("/api/v1/changes", params={"since": first["next"]}).json()
    assert [(item["study_instance_uid"], item["flag"]["priority"]) for item in moved["items"]] == [
        (served.uid(1), "routine")
    ]


def test_nothing_is_low_until_spool_and_database_agree(api):
    api.finish(1, ABSENT)
    api.finish(2, PRESENT)
    api.agree(False)
    items = api.client.get("/api/v1/worklist").json()["items"]
    assert {item["flag"]["priority"] for item in items} == {"routine"}
    assert [item["flag"]["reasons"][-1]["code"] for item in items] == ["candidate_in_doubt", "node_not_agreed"]
    assert api.uids(priority="low") == []
    assert api.uids(priority="routine") == _uids(2, 1)
    assert api.client.get(f"/api/v1/studies/{served.uid(1)}").json()["flag"]["priority"] == "routine"
    assert api.flag(1).json()["flag"]["priority"] == "routine"


def test_nothing_is_low_while_an_image_waits_to_be_noted(api):
    api.finish(1, ABSENT)
    kept = spool.Spool(api.results.parent / "spool")
    assert api.flag(1).json()["flag"]["priority"] == "low"
    kept.mark_unnoted("1.2/3.4/5.6.dcm")
    assert api.flag(1).json()["flag"]["priority"] == "routine"
    assert api.uids(priority="low") == []
    kept.clear_unnoted("1.2/3.4/5.6.dcm")
    assert api.flag(1).json()["flag"]["priority"] == "low"


def test_a_node_silent_for_half_a_minute_serves_no_low(api):
    api.finish(1, ABSENT)
    assert api.flag(1).json()["flag"]["priority"] == "low"
    api.later(31)
    assert api.flag(1).json()["flag"]["priority"] == "routine"


def test_changes_tell_a_flag_again_that_was_held_back(api):
    api.finish(1, PRESENT)
    api.finish(2, ABSENT)
    api.finish(3, PRESENT)
    api.agree(False)
    held = api.client.get("/api/v1/changes", params={"since": 0}).json()
    assert [item["flag"]["priority"] for item in held["items"]] == ["routine"] * 3
    api.agree()
    told = api.client.get("/api/v1/changes", params={"since": held["next"]}).json()
    assert [(item["study_instance_uid"], item["flag"]["priority"]) for item in told["items"]] == [
        (served.uid(2), "low"),
        (served.uid(3), "routine"),
    ]
