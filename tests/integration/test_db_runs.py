"""Runs and leases, transfers and the worklist, on SQLite and PostgreSQL."""

import instances as some
import pytest

from cac import reasons
from triage import domain, errors
from triage.db import arrivals, assembly, runs, timings, worklist

Code = reasons.ReasonCode
WHY = reasons.reason(Code.ERROR, what="OSError")


@pytest.fixture
def queued(db):
    """A database with one queued run."""
    some.receive(db)
    some.assemble(db)
    return db


def lease(db, at=11, seconds=30.0):
    return runs.lease(db, some.SERIES, "worker", seconds, some.later(at))


def give_back(db, ticket, at=12, **changed):
    values = {"retriable": True, "max_attempts": 2, "backoff": 5.0, **changed}
    runs.give_back(db, ticket, WHY, rules=some.RULES, now=some.later(at), **values)


def state(db):
    detail = worklist.study(db, some.STUDY)
    return detail.series[0].state.value, detail.flag.outcome.value, detail.flag.priority.value


def test_a_run_is_leased_once(queued):
    assert lease(queued) is not None
    assert lease(queued) is None
    assert runs.lease(queued, "9.9", "worker", 30, some.later(11)) is None


def test_a_due_run_is_rung_for_again_only_after_a_while(queued):
    assert assembly.due(queued, some.later(11), 10) == [some.SERIES]
    assert assembly.due(queued, some.later(20), 10) == []
    assert assembly.due(queued, some.later(21), 10) == [some.SERIES]
    lease(queued)
    assert assembly.due(queued, some.later(60), 10) == []


def test_an_expired_lease_is_queued_again_and_its_worker_cannot_finish(queued):
    lost = lease(queued)
    assert assembly.expire_leases(queued, some.later(40), 2, some.RULES) == []
    assert assembly.expire_leases(queued, some.later(42), 2, some.RULES) == [some.SERIES]
    assert assembly.due(queued, some.later(42), 10) == [some.SERIES]
    with pytest.raises(errors.LeaseLost):
        runs.renew(queued, lost, 30, some.later(43))
    assert lease(queued, at=43).attempt == 2
    with pytest.raises(errors.LeaseLost):
        runs.finish(queued, lost, some.result(), some.RULES, some.later(44))
    with pytest.raises(errors.LeaseLost):
        give_back(queued, lost, at=44)


def test_leases_that_expire_too_often_end_failed(queued):
    for start in (11, 60):
        lease(queued, at=start)
        assembly.expire_leases(queued, some.later(start + 40), 2, some.RULES)
    assert state(queued) == ("failed", "failed", "routine")
    assert [reason.code for reason in worklist.study(queued, some.STUDY).flag.reasons] == [Code.OUT_OF_RETRIES]


def test_a_renewed_lease_does_not_expire(queued):
    ticket = lease(queued)
    runs.renew(queued, ticket, 30, some.later(35))
    assert assembly.expire_leases(queued, some.later(60), 2, some.RULES) == []


def test_a_run_given_back_waits_for_its_backoff(queued):
    give_back(queued, lease(queued))
    assert lease(queued, at=16.9) is None
    assert assembly.due(queued, some.later(16.9), 10) == []
    assert assembly.due(queued, some.later(17), 10) == [some.SERIES]
    assert lease(queued, at=17).attempt == 2


@pytest.mark.parametrize("changed", [{"retriable": False}, {"max_attempts": 1}])
def test_a_run_that_may_not_be_tried_again_is_failed(queued, changed):
    give_back(queued, lease(queued), **changed)
    assert state(queued) == ("failed", "failed", "routine")


def test_a_failed_series_can_be_run_again_by_a_person(queued):
    give_back(queued, lease(queued), retriable=False)
    again = runs.request_again(queued, some.SERIES, some.later(20))
    assert runs.request_again(queued, some.SERIES, some.later(20)) == again
    some.finish(queued, now=some.later(21))
    assert state(queued) == ("done", "absent", "low")
    assert [(run.number, run.phase.value) for run in runs.of_series(queued, some.SERIES)] == [
        (1, "failed"),
        (2, "done"),
    ]


def test_only_what_was_run_can_be_run_again(db):
    with pytest.raises(errors.NotFound):
        runs.request_again(db, some.SERIES, some.NOW)
    some.receive(db)
    with pytest.raises(errors.NotFound):
        runs.request_again(db, some.SERIES, some.NOW)


def test_a_finished_run_holds_candidates_lesions_and_timings(queued):
    candidate = {
        "number": 1,
        "centre": (1.0, 2.0, 3.0),
        "slice_number": 4,
        "voxels": 9,
        "volume_mm3": 9.0,
        "max_hu": 410.0,
        "probabilities": {"axial": 0.9, "sagittal": 0.8, "coronal": 0.7},
        "status": "accepted",
        "doubt": None,
        "reason": {"code": "all_planes_accept", "text": "All three planes accept 9 voxel(s) of it."},
    }
    lesion = {
        "number": 1,
        "centre": (1.0, 2.0, 3.0),
        "slices": 2,
        "max_hu": 410.0,
        "agatston": 12.0,
        "volume_mm3": 9.0,
        "mass_mg": 2.0,
    }
    ticket = some.finish(
        queued, domain.Outcome.PRESENT, agatston=12.0, category="11-100", candidates=(candidate,), lesions=(lesion,)
    )
    found = runs.get(queued, ticket.run_id)
    assert (found.candidates, found.lesions) == ((candidate,), (lesion,))
    assert (found.outcome, found.agatston, found.seconds["nets"]) == ("present", 12.0, 1.5)
    assert 0 < found.seconds[runs.DATABASE] < 30
    assert worklist.study(queued, some.STUDY).flag.category == "11-100"
    with pytest.raises(errors.NotFound):
        runs.get(queued, ticket.run_id + 1)


def open_one(db, listener="listener-1"):
    return arrivals.open_association(db, listener, "PACS", some.NOW)


def seen(db, seconds):
    (snapshot,) = assembly.arriving(db, some.later(seconds))
    return snapshot.open_associations, snapshot.aborted


def test_an_association_is_open_until_it_closes(db):
    first = open_one(db)
    some.receive(db, association=first)
    assert seen(db, 1) == (1, False)
    arrivals.close_association(db, first, False, some.later(2))
    assert seen(db, 3) == (0, False)


def test_a_listener_without_heartbeat_has_broken_its_associations(db):
    some.receive(db, association=open_one(db))
    arrivals.heartbeat(db, "listener-1", some.later(5))
    assert seen(db, 20) == (1, False)
    assert seen(db, 21) == (0, True)


@pytest.mark.parametrize(("images", "aborted"), [(3, False), (2, True)])
def test_a_broken_transfer_is_healed_by_a_whole_resend(db, images, aborted):
    broken = open_one(db)
    some.receive(db, 3, association=broken)
    arrivals.close_association(db, broken, True, some.later(2))
    assert seen(db, 3) == (0, True)
    resend = open_one(db)
    some.receive(db, images, association=resend)
    assert seen(db, 4) == (1, True)
    arrivals.close_association(db, resend, False, some.later(5))
    assert seen(db, 6) == (0, aborted)


def test_many_objects_are_noted_in_one_transaction(db):
    pairs = [(some.instance(number, series=f"1.2.3.{number % 2}"), None) for number in range(1, 7)]
    assert arrivals.note_many(db, [*pairs, pairs[0]], some.RULES, some.NOW) == [arrivals.Noted.NEW] * 6 + [
        arrivals.Noted.SAME
    ]
    assert worklist.study(db, some.STUDY).images_received == 6


def fill(db, count):
    for number in range(count):
        arrived = some.instance(
            1,
            study=f"1.2.100.{number}",
            series=f"1.2.100.{number}.1",
            accession_number=f"A{number}",
            patient_name=f"DOE^{number}",
            study_date=f"202601{number + 1:02d}",
            declared_images=10,
        )
        arrivals.note(db, arrived, None, some.RULES, some.later(-(number % 3)))


def test_pages_follow_the_reading_order_without_loss_or_repetition(db):
    fill(db, 7)
    some.receive(db)
    some.assemble(db)
    some.finish(db)
    seen_uids, cursor = [], None
    while True:
        page = worklist.page(db, worklist.Filters(), cursor, 3)
        seen_uids += [row.study_instance_uid for row in page.items]
        cursor = page.next
        if cursor is None:
            break
    oldest_first = sorted(range(7), key=lambda number: (-(number % 3), number))
    assert seen_uids == [*(f"1.2.100.{number}" for number in oldest_first), some.STUDY]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"accession": "A3"}, 1),
        ({"patient_name": "doe^4"}, 1),
        ({"patient_name": "%"}, 0),
        ({"patient_id": "4711"}, 5),
        ({"priority": domain.Priority.ROUTINE}, 5),
        ({"priority": domain.Priority.LOW}, 0),
        ({"outcome": domain.Outcome.PENDING}, 5),
        ({"date_from": some.NOW.date()}, 1),
        ({"date_to": some.NOW.date()}, 5),
    ],
)
def test_filters_narrow_the_worklist(db, filters, count):
    fill(db, 5)
    assert len(worklist.page(db, worklist.Filters(**filters), None, 50).items) == count


@pytest.mark.parametrize("cursor", ["nonsense", "!", "WzEsIDJd", "WzksICJ4IiwgInkiXQ=="])
def test_a_cursor_that_no_page_gave_is_refused(db, cursor):
    with pytest.raises(errors.NotFound):
        worklist.page(db, worklist.Filters(), cursor, 3)


def test_changes_come_in_order_and_only_once(db):
    fill(db, 3)
    rows, following = worklist.changes(db, 0, 2)
    assert [row.study_instance_uid for row in rows] == ["1.2.100.0", "1.2.100.1"]
    rows, following = worklist.changes(db, following, 10)
    assert [row.study_instance_uid for row in rows] == ["1.2.100.2"]
    assert worklist.changes(db, following, 10) == ([], following)
    some.assemble(db, some.later(40))
    rows, _ = worklist.changes(db, following, 10)
    assert len(rows) == 3


def test_the_worklist_counts_images_received_and_expected(db):
    fill(db, 1)
    row = worklist.page(db, worklist.Filters(), None, 5).items[0]
    assert (row.images_received, row.images_expected) == (1, 10)
    assert timings.waiting(db).series[domain.SeriesState.RECEIVING] == 1
