"""The way of a study through the database, on SQLite and PostgreSQL."""

import instances as some
import pytest

from cac import reasons
from triage import domain, errors
from triage.db import arrivals, assembly, runs, worklist

Code = reasons.ReasonCode


def flag(db, study=some.STUDY):
    return worklist.study(db, study).flag


def codes(db, study=some.STUDY):
    return {reason.code for reason in flag(db, study).reasons}


@pytest.fixture
def low(db):
    """A study that was received whole, run and lowered."""
    some.receive(db)
    some.assemble(db)
    some.finish(db)
    assert flag(db).priority is domain.Priority.LOW
    return db


def test_a_whole_negative_series_lowers_its_study(db):
    some.receive(db)
    assert (flag(db).outcome, codes(db)) == (domain.Outcome.PENDING, {Code.ARRIVING})
    some.assemble(db)
    assert (flag(db).outcome, codes(db)) == (domain.Outcome.PENDING, {Code.WAITING})
    some.finish(db)
    assert (flag(db).priority, flag(db).outcome, flag(db).agatston) == ("low", "absent", 0.0)


def test_a_late_image_withdraws_low(low):
    before = flag(low).version
    arrivals.note(low, some.instance(4), None, some.RULES, some.later(60))
    assert (flag(low).priority, flag(low).outcome, flag(low).version) == ("routine", "pending", before + 1)
    some.assemble(low, some.later(70))
    assert some.finish(low, now=some.later(71)).trigger is domain.RunTrigger.LATE_IMAGES
    assert flag(low).priority == "low"


def test_a_late_series_withdraws_low(low):
    arrivals.note(low, some.instance(1, series="1.2.3.2"), None, some.RULES, some.later(60))
    assert (flag(low).priority, flag(low).outcome) == ("routine", "pending")


def test_a_resend_changes_nothing(low):
    before = flag(low)
    assert arrivals.note(low, some.instance(2), None, some.RULES, some.later(60)) is arrivals.Noted.SAME
    assert flag(low) == before


def test_other_bytes_under_a_known_uid_stand_aside_and_start_a_new_run(low):
    other = some.instance(2, content="other")
    assert arrivals.note(low, other, None, some.RULES, some.later(60)) is arrivals.Noted.ASIDE
    assert arrivals.note(low, other, None, some.RULES, some.later(60)) is arrivals.Noted.SAME
    assert flag(low).priority == "routine"
    some.assemble(low, some.later(90))
    ticket = runs.lease(low, some.SERIES, "worker", 30, some.later(91))
    found = runs.inputs(low, ticket)
    assert [one.path for one in found.aside] == [other.path]
    assert len(found.images) == 3
    assert arrivals.find(low, other.sop_instance_uid).path == some.instance(2).path


def test_a_run_on_old_content_never_overwrites_a_newer_flag(db):
    some.receive(db)
    some.assemble(db)
    ticket = runs.lease(db, some.SERIES, "worker", 30, some.later(11))
    arrivals.note(db, some.instance(4), None, some.RULES, some.later(12))
    with pytest.raises(errors.LeaseLost):
        runs.inputs(db, ticket)
    with pytest.raises(errors.LeaseLost):
        runs.finish(db, ticket, some.result(), some.RULES, some.later(13))
    assert flag(db).priority == "routine"
    assert runs.get(db, ticket.run_id).phase is domain.RunPhase.SUPERSEDED


def test_a_localizer_alone_is_unsuitable_and_needs_no_quiet_time(db):
    arrivals.note(db, some.instance(1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), None, some.RULES, some.NOW)
    some.assemble(db, some.later(30))
    assert (flag(db).priority, flag(db).outcome) == ("routine", "unsuitable")
    assert codes(db) == {Code.NO_ELIGIBLE_SERIES, Code.LOCALIZER}
    assert runs.of_series(db, some.SERIES) == []


def test_a_sharp_reconstruction_of_the_same_acquisition_has_no_vote(low):
    some.receive(low, series="1.2.3.2", kernel="B70f", now=some.later(60))
    assert flag(low).priority == "routine"
    some.assemble(low, some.later(90))
    assert flag(low).priority == "low"
    standings = [series.standing for series in worklist.study(low, some.STUDY).series]
    assert standings == [domain.Standing.ELIGIBLE, domain.Standing.OTHER_RECONSTRUCTION]


@pytest.mark.parametrize("changed", [{"kernel": "B70f", "acquisition": "2"}, {"kvp": 140.0}])
def test_another_original_ct_that_cannot_be_scored_keeps_the_study_routine(low, changed):
    some.receive(low, series="1.2.3.2", now=some.later(60), **changed)
    some.assemble(low, some.later(90))
    assert (flag(low).priority, flag(low).outcome) == ("routine", "unsuitable")


@pytest.mark.parametrize("changed", [{"patient_id": "4712"}, {"patient_birth_date": "19500101"}])
def test_two_patients_in_one_study_are_indeterminate(db, changed):
    some.receive(db, patient_birth_date="19400101")
    arrivals.note(db, some.instance(4, **{"patient_birth_date": "19400101", **changed}), None, some.RULES, some.NOW)
    some.assemble(db)
    some.finish(db)
    assert (flag(db).priority, flag(db).outcome) == ("routine", "indeterminate")
    assert Code.TWO_PATIENTS in codes(db)


def test_a_corrected_name_is_no_second_patient(low):
    arrivals.note(low, some.instance(4, patient_name="DOE^JANET"), None, some.RULES, some.later(60))
    some.assemble(low, some.later(70))
    some.finish(low, now=some.later(71))
    assert flag(low).priority == "low"


def test_a_series_in_two_studies_lowers_neither(low):
    arrivals.note(low, some.instance(4, study="1.2.4"), None, some.RULES, some.later(60))
    some.assemble(low, some.later(70))
    ticket = some.finish(low, now=some.later(71))
    assert Code.SERIES_IN_TWO_STUDIES in {reason.code for reason in ticket.completeness}
    for study in (some.STUDY, "1.2.4"):
        assert (flag(low, study).priority, flag(low, study).outcome) == ("routine", "indeterminate")


def test_no_negative_stands_on_an_incomplete_series(db):
    some.receive(db, declared_images=5)
    some.assemble(db)
    assert codes(db) == {Code.ARRIVING}
    some.assemble(db, some.later(30))
    some.finish(db, now=some.later(31))
    assert (flag(db).priority, flag(db).outcome) == ("routine", "indeterminate")
    assert Code.FEWER_THAN_DECLARED in codes(db)


def test_an_unreadable_image_keeps_its_series_from_absent(db):
    some.receive(db)
    arrivals.note(db, some.instance(4, kind=domain.InstanceKind.UNREADABLE), None, some.RULES, some.NOW)
    some.assemble(db)
    some.finish(db)
    assert (flag(db).outcome, flag(db).priority) == ("indeterminate", "routine")


def test_a_later_negative_never_stands_over_an_earlier_doubt_without_a_person(db):
    some.receive(db)
    some.assemble(db)
    some.finish(db, domain.Outcome.INDETERMINATE)
    runs.request_again(db, some.SERIES, some.later(20), trigger=domain.RunTrigger.NEW_MODEL)
    some.finish(db, now=some.later(21))
    assert (flag(db).priority, flag(db).outcome) == ("routine", "indeterminate")
    assert Code.EARLIER_FINDING in codes(db)
    runs.request_again(db, some.SERIES, some.later(30))
    assert flag(db).outcome == "pending"
    some.finish(db, now=some.later(31))
    assert flag(db).priority == "low"


def test_a_chest_ct_keeps_its_place(db):
    some.receive(db, study_description="CT Chest")
    some.assemble(db)
    some.finish(db)
    assert (flag(db).priority, flag(db).outcome) == ("routine", "absent")
    assert Code.NOT_ADMITTED in codes(db)


def test_odd_values_of_a_header_are_no_poison(db):
    odd = some.instance(
        1,
        patient_name="A\x00B\ud800",
        position=(float("nan"), 0.0, 0.0),
        kvp=float("inf"),
        instance_number=10**30,
        declared_images=10**12,
        image_type=("X\x00",),
    )
    assert arrivals.note(db, odd, None, some.RULES, some.NOW) is arrivals.Noted.NEW
    assert worklist.study(db, some.STUDY).patient_name == "AB?"


def test_a_database_that_is_away_is_a_retriable_error(tmp_path):
    from triage.db import session

    away = session.Database(f"sqlite:///{tmp_path}/gone/away.sqlite")
    with pytest.raises(errors.StorageError):
        arrivals.note(away, some.instance(), None, some.RULES, some.NOW)
    away.dispose()


def test_agreement_is_believed_for_thirty_seconds_only(db):
    assert not assembly.agreed(db, some.NOW)
    assembly.agree(db, "boot", True, some.NOW)
    assert assembly.agreed(db, some.later(29))
    assert not assembly.agreed(db, some.later(31))
    assembly.agree(db, "boot", False, some.later(31))
    assert not assembly.agreed(db, some.later(31))


def test_paths_known_finds_those_with_a_row(db):
    some.receive(db, 2)
    assert arrivals.paths_known(db, [some.instance(1).path, "unknown"]) == {some.instance(1).path}
