import pytest
import served

from triage import domain

ABSENT, PRESENT = domain.Outcome.ABSENT, domain.Outcome.PRESENT
CANDIDATE = {
    "number": 1,
    "centre": (1.0, 2.0, 3.0),
    "slice_number": 7,
    "voxels": 12,
    "volume_mm3": 9.0,
    "max_hu": 312.0,
    "probabilities": {"axial": 0.9, "sagittal": 0.8, "coronal": 0.7},
    "status": "accepted",
    "doubt": None,
    "reason": {"code": "all_planes_accept", "text": "All three planes accept 12 voxel(s) of it."},
}
LESION = {
    "number": 1,
    "centre": (1.0, 2.0, 3.0),
    "slices": 2,
    "max_hu": 312.0,
    "agatston": 34.5,
    "volume_mm3": 20.0,
    "mass_mg": 5.0,
}


@pytest.fixture
def api(database_url, tmp_path):
    with served.running(database_url, tmp_path) as running:
        yield running


def _with_results(api: served.Served) -> int:
    """Finish study 1 with candidate, lesion and files; return the run."""
    folder = api.results / "r"
    folder.mkdir(parents=True)
    (folder / "segmentation.dcm").write_bytes(b"seg")
    (folder / "preview.png").write_bytes(b"png")
    api.receive(1)
    api.queue(1)
    ticket = api.work(
        1,
        PRESENT,
        candidates=(CANDIDATE,),
        lesions=(LESION,),
        seconds={"read": 0.5},
        segmentation_path="r/segmentation.dcm",
        segmentation_uid="1.2.3",
        preview_path="r/preview.png",
    )
    return ticket.run_id


def test_a_flag_that_has_not_moved_answers_304(api):
    api.finish(1, ABSENT)
    first = api.flag(1)
    assert first.headers["cache-control"] == "no-cache"
    assert first.json()["flag"]["priority"] == "low"
    assert "coronary calcium only" in first.json()["about"]
    address = f"/api/v1/studies/{served.uid(1)}/flag"
    again = api.client.get(address, headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


def test_a_flag_that_moved_has_another_etag(api):
    api.finish(1, ABSENT)
    first = api.flag(1).headers["etag"]
    api.agree(False)
    held = api.flag(1).headers["etag"]
    api.agree()
    api.client.post(f"/api/v1/series/{served.uid(1)}.1/runs")
    again = api.client.get(f"/api/v1/studies/{served.uid(1)}/flag", headers={"If-None-Match": first})
    assert again.status_code == 200
    assert len({first, held, again.headers["etag"]}) == 3


def test_a_study_shows_its_series_and_their_newest_run(api):
    api.finish(1, PRESENT)
    study = api.client.get(f"/api/v1/studies/{served.uid(1)}").json()
    (series,) = study["series"]
    assert (series["state"], series["standing"]) == ("done", "eligible")
    assert (series["images_received"], series["images_expected"]) == (4, 4)
    assert (series["newest_run"]["number"], series["newest_run"]["outcome"]) == (1, "present")


@pytest.mark.parametrize(
    "path", ["studies/1.2.3", "studies/1.2.3/flag", "series/1.2.3/runs", "runs/77", "runs/77/candidates"]
)
def test_what_is_not_known_is_a_problem_document(api, path):
    answer = api.client.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Not Found"


@pytest.mark.parametrize("path", ["studies/..%2f..", "studies/DOE^JANE", f"studies/{'1.' * 40}1", "runs/x"])
def test_what_is_no_uid_never_reaches_the_database(api, path):
    answer = api.client.get(f"/api/v1/{path}")
    assert answer.status_code in {404, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert "DOE" not in answer.text


def test_another_method_is_a_problem_document_that_names_the_right_one(api):
    answer = api.client.delete("/api/v1/worklist")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == "GET"


def test_running_again_adds_a_run_and_withdraws_low(api):
    api.finish(1, ABSENT)
    address = f"/api/v1/series/{served.uid(1)}.1/runs"
    answer = api.client.post(address)
    assert answer.status_code == 202
    assert (answer.json()["trigger"], answer.json()["phase"]) == ("person", "queued")
    assert answer.headers["location"] == f"/api/v1/runs/{answer.json()['id']}"
    assert [run["number"] for run in api.client.get(address).json()] == [2, 1]
    assert api.flag(1).json()["flag"]["priority"] == "routine"


def test_a_run_tells_what_it_found(api):
    run = api.client.get(f"/api/v1/runs/{_with_results(api)}").json()
    (found,) = run["candidates"]
    assert found["probabilities"] == {"axial": 0.9, "sagittal": 0.8, "coronal": 0.7}
    assert run["lesions"] == [{**LESION, "centre": [1.0, 2.0, 3.0]}]
    assert run["seconds"].pop("database") > 0
    assert run["seconds"] == {"read": 0.5}
    assert run["models_hash"] == "m" * 64
    assert len(run["content_hash"]) == 64


def test_the_files_of_a_run_are_served(api):
    run = api.client.get(f"/api/v1/runs/{_with_results(api)}").json()
    segmentation, preview = api.client.get(run["segmentation"]), api.client.get(run["preview"])
    assert (segmentation.headers["content-type"], segmentation.content) == ("application/dicom", b"seg")
    assert (preview.headers["content-type"], preview.content) == ("image/png", b"png")


def test_a_run_without_files_says_so(api):
    ticket = api.finish(1, ABSENT)
    run = api.client.get(f"/api/v1/runs/{ticket.run_id}").json()
    assert (run["segmentation"], run["preview"]) == (None, None)
    assert api.client.get(f"/api/v1/runs/{ticket.run_id}/segmentation").status_code == 404


def test_the_node_is_ready_when_database_spool_and_node_are_well(api):
    assert api.client.get("/health/live").json()["status"] == "live"
    assert api.client.get("/health/ready").json()["status"] == "ready"
    api.agree(False)
    answer = api.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert [name for name, check in answer.json()["checks"].items() if not check["ok"]] == ["node"]


def test_a_spool_that_is_gone_is_not_ready(api, tmp_path):
    (tmp_path / "spool").rmdir()
    checks = api.client.get("/health/ready").json()["checks"]
    assert not checks["spool"]["ok"]
