import fastapi
import served

from service.api import app, deps, problems
from triage.db import session


def test_a_database_out_of_reach_is_503_with_retry_after(tmp_path):
    db = session.Database(f"sqlite:///{tmp_path}/gone/away.sqlite")
    desk = deps.Desk(db=db, spool=tmp_path, results=tmp_path, min_free_bytes=1)
    with served.serving(app.create_app(desk)) as client:
        for path in ("/api/v1/worklist", "/api/v1/changes", f"/api/v1/studies/{served.uid(1)}/flag"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "5"
        assert not client.get("/health/ready").json()["checks"]["database"]["ok"]
        assert client.get("/health/live").status_code == 200
    db.dispose()


def test_what_nobody_foresaw_is_a_500_that_tells_nothing_of_it():
    broken = fastapi.FastAPI()
    problems.install(broken)

    @broken.get("/")
    def fail() -> None:
        raise RuntimeError("DOE^JANE")

    with served.serving(broken) as client:
        answer = client.get("/")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "DOE" not in answer.text


def test_the_description_has_examples_and_problem_documents(tmp_path):
    db = session.Database(f"sqlite:///{tmp_path}/any.sqlite")
    desk = deps.Desk(db=db, spool=tmp_path, results=tmp_path, min_free_bytes=1)
    with served.serving(app.create_app(desk)) as client:
        described = client.get("/openapi.json").json()
    db.dispose()
    for path, methods in described["paths"].items():
        for each in methods.values():
            problem = each["responses"].get("503", {"content": {problems.MEDIA_TYPE: {}}})
            assert path == "/health/live" or problems.MEDIA_TYPE in problem["content"]
    schemas = described["components"]["schemas"]
    assert "Problem" in schemas
    assert "HTTPValidationError" not in schemas
    for name in ("WorklistItem", "Flag", "Run", "Candidate", "CandidatesPage", "Lesion", "Series"):
        missing = [
            field
            for field, stated in schemas[name]["properties"].items()
            if "examples" not in stated and not any(key in stated for key in ("$ref", "items", "anyOf"))
        ]
        assert missing == [], name
