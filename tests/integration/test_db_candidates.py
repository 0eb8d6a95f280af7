"""The candidates of a run: kept with its result, shown page by page, on SQLite and PostgreSQL."""

import alembic.command
import instances as some
import pytest

from cac import finding
from triage import domain, errors
from triage.db import assembly, candidates, runs, session

Status, Kept = finding.CandidateStatus, candidates.Kept


def candidate(number, status, second, **changes):
    code = {"accepted": "all_planes_accept", "doubt": "candidate_in_doubt", "rejected": "no_plane_suspects"}[status]
    return {
        "number": number,
        "centre": (1.0, 2.0, float(number)),
        "slice_number": number,
        "voxels": 9,
        "volume_mm3": 6.75,
        "max_hu": 410.0,
        "probabilities": {"axial": 0.99, "sagittal": second, "coronal": 0.0},
        "status": status,
        "doubt": code if status == "doubt" else None,
        "reason": {"code": code, "text": f"Sentence {number}."},
        **changes,
    }


FOUND = (
    candidate(1, "rejected", 0.1),
    candidate(2, "doubt", 0.3),
    candidate(3, "rejected", 0.15),
    candidate(4, "accepted", 0.6),
    candidate(5, "accepted", 0.9),
)


def finished(db, found=FOUND, outcome=domain.Outcome.PRESENT, **values):
    """Return the run of one series that ended with these candidates."""
    some.receive(db)
    some.assemble(db)
    return some.finish(db, outcome, candidates=found, **values).run_id


def numbers(page):
    return [one["number"] for one in page.items]


def test_candidates_come_by_decision_then_by_what_a_second_plane_says(db):
    page = candidates.page(db, finished(db), (), None, 50)
    assert (page.kept, numbers(page), page.next) == (Kept.EXPLAINED, [5, 4, 2, 3, 1], None)
    assert page.counts == {Status.ACCEPTED: 2, Status.DOUBT: 1, Status.REJECTED: 2}
    assert page.items[0] == FOUND[4]


def test_pages_hold_each_candidate_once(db):
    run_id, seen, cursor = finished(db), [], None
    while True:
        page = candidates.page(db, run_id, (), cursor, 2)
        seen += numbers(page)
        cursor = page.next
        if cursor is None:
            break
    assert seen == [5, 4, 2, 3, 1]


def test_a_status_narrows_the_pages_but_not_the_counts(db):
    run_id = finished(db)
    first = candidates.page(db, run_id, (Status.ACCEPTED, Status.REJECTED), None, 3)
    assert (numbers(first), first.next) == ([5, 4, 3], "3")
    assert numbers(candidates.page(db, run_id, (Status.ACCEPTED, Status.REJECTED), "3", 3)) == [1]
    assert first.counts[Status.DOUBT] == 1


@pytest.mark.parametrize("cursor", ["0", "6", "x", ""])
def test_a_cursor_that_no_page_gave_is_refused(db, cursor):
    with pytest.raises(candidates.UnknownCursor):
        candidates.page(db, finished(db), (), cursor, 3)


def test_a_run_that_looked_and_found_nothing_has_an_empty_list(db):
    page = candidates.page(db, finished(db, (), domain.Outcome.ABSENT), (), None, 3)
    assert (page.kept, page.items) == (Kept.EXPLAINED, ())


def test_a_run_in_which_no_net_answered_has_no_list(db):
    run_id = finished(db, (), domain.Outcome.UNSUITABLE, provider=domain.NO_PROVIDER)
    page = candidates.page(db, run_id, (), None, 3)
    assert (page.kept, page.items, page.counts) == (Kept.NOT_JUDGED, None, None)


def test_a_run_that_has_not_ended_has_no_list(db):
    some.receive(db)
    some.assemble(db)
    (run,) = runs.of_series(db, some.SERIES)
    assert candidates.page(db, run.id, (), None, 3).kept is Kept.NOT_ENDED
    with pytest.raises(errors.NotFound):
        candidates.page(db, run.id + 1, (), None, 3)


def test_a_run_from_before_reasons_were_kept_says_so_and_keeps_its_candidates(db, database_url):
    run_id = finished(db)
    db.dispose()
    alembic.command.downgrade(session._config(database_url), "0004")
    session.upgrade(database_url)
    page = candidates.page(db, run_id, (), None, 50)
    assert (page.kept, numbers(page)) == (Kept.UNEXPLAINED, [5, 4, 2, 3, 1])
    assert page.items[0] == {**FOUND[4], "slice_number": None, "volume_mm3": None, "reason": None}
    assert runs.get(db, run_id).candidates[0]["reason"] is None


def test_a_result_that_comes_too_late_leaves_no_candidates(db):
    some.receive(db)
    some.assemble(db)
    lost = runs.lease(db, some.SERIES, "worker", 1.0, some.later(11))
    assert assembly.expire_leases(db, some.later(20), 2, some.RULES) == [some.SERIES]
    with pytest.raises(errors.LeaseLost):
        runs.finish(db, lost, some.result(candidates=FOUND), some.RULES, some.later(21))
    assert runs.get(db, lost.run_id).candidates == ()
