"""`/metrics`: what the rows say of the way to a flag, as histograms; what waits, as gauges; nothing of patients."""

import re

import pytest
import served

from triage import domain
from triage.db import arrivals, runs, timings


@pytest.fixture
def node(tmp_path, database_url):
    with served.running(database_url, tmp_path / "home") as running:
        yield running


def _read(node) -> dict[str, float]:
    answer = node.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"]*",?)*\})? [0-9.e+-]+', line) for line in lines)
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def _finish(node, number: int, outcome: domain.Outcome = domain.Outcome.ABSENT, **changes) -> None:
    """Take a study all the way: 2.5 s to its completion, 1 s in the queue, 4 s at work."""
    node.receive(number)
    node.later(2.5)
    node.queue(number)
    node.later(1)
    ticket = runs.lease(node.db, f"{served.uid(number)}.1", "tests", 30, node.now)
    node.later(4)
    result = domain.RunResult(
        outcome=outcome, reasons=(), models_hash="m", provider="", profile="", seconds={"read": 0.5, "nets": 3.0}
    )
    runs.finish(node.db, ticket, result, node.rules, node.now)


def test_the_way_to_a_flag_is_told_step_by_step(node):
    _read(node)
    _finish(node, 1)
    told = _read(node)
    assert told["cac_triage_time_to_flag_seconds_count"] == 1
    assert told["cac_triage_time_to_flag_seconds_sum"] == pytest.approx(7.5, abs=0.5)
    assert told['cac_triage_time_to_flag_seconds_bucket{le="7"}'] == 0
    expected = {"settle": 2.0, "assemble": 0.5, "queue": 1.0, "read": 0.5, "nets": 3.0, "other": 0.5}
    for step, seconds in expected.items():
        assert told[f'cac_triage_step_seconds_sum{{step="{step}"}}'] == pytest.approx(seconds), step
    steps = [value for name, value in told.items() if name.startswith("cac_triage_step_seconds_sum")]
    assert sum(steps) == pytest.approx(told["cac_triage_time_to_flag_seconds_sum"])
    assert told['cac_triage_runs_total{outcome="absent"}'] == 1


def test_each_run_is_counted_once_and_none_from_before(node):
    _finish(node, 1)
    _read(node)
    _finish(node, 2)
    node.receive(3)
    node.queue(3)
    _finish(node, 4)
    _read(node)
    node.work(3, domain.Outcome.PRESENT)
    told = [_read(node), _read(node)][1]
    assert told['cac_triage_runs_total{outcome="absent"}'] == 2
    assert told['cac_triage_runs_total{outcome="present"}'] == 1
    assert told["cac_triage_time_to_flag_seconds_count"] == 3


def test_a_run_that_waits_at_the_first_reading_is_counted_at_its_end(node):
    node.receive(1)
    node.queue(1)
    _finish(node, 2)
    _read(node)
    node.work(1, domain.Outcome.ABSENT)
    assert _read(node)['cac_triage_runs_total{outcome="absent"}'] == 1


def test_a_run_that_a_person_asked_for_has_steps_but_no_time_to_flag(node):
    _finish(node, 1)
    _read(node)
    node.later(3600)
    runs.request_again(node.db, f"{served.uid(1)}.1", node.now)
    node.later(1)
    node.work(1, domain.Outcome.ABSENT)
    told = _read(node)
    assert "cac_triage_time_to_flag_seconds_count" not in told
    assert told['cac_triage_step_seconds_sum{step="queue"}'] == pytest.approx(1)
    assert 'cac_triage_step_seconds_sum{step="settle"}' not in told


def test_a_run_whose_images_are_no_longer_the_newest_has_no_arrival(node):
    _finish(node, 1)
    number = runs.of_series(node.db, f"{served.uid(1)}.1")[-1].id
    assert timings.finished(node.db, [number])[0].time_to_flag == pytest.approx(7.5, abs=0.5)
    node.later(60)
    arrivals.note(node.db, served.instance(1, 4, declared_images=5), None, node.rules, node.now)
    assert timings.finished(node.db, [number])[0].time_to_flag is None


def test_gauges_tell_what_waits(node):
    node.agree(False)
    told = _read(node)
    assert (told["cac_triage_agreed"], told["cac_triage_queued_runs"]) == (0, 0)
    node.agree()
    node.receive(1)
    node.receive(2)
    node.queue(2)
    node.later(12)
    node.agree()
    told = _read(node)
    assert told['cac_triage_series{state="receiving"}'] == 1
    assert told['cac_triage_series{state="queued"}'] == 1
    assert told['cac_triage_series{state="failed"}'] == 0
    assert told["cac_triage_queued_runs"] == 1
    assert told["cac_triage_oldest_queued_seconds"] == 12
    assert told["cac_triage_agreed"] == 1
    assert told["cac_triage_spool_free_bytes"] > 0


def test_nothing_of_patients_or_studies_stands_in_the_metrics(node):
    _read(node)
    _finish(node, 1)
    text = node.client.get("/metrics").text
    for secret in (served.uid(1), "FAMILY1", "P1", "A1"):
        assert secret not in text
