"""The flag: `low` only through one conjunction, tried over the product of everything a series can be."""

import itertools

import pytest

from cac import reasons
from triage import domain, flagging

Outcome, State, Standing = domain.Outcome, domain.SeriesState, domain.Standing
Code = reasons.ReasonCode


def vote(standing=Standing.ELIGIBLE, state=State.DONE, outcome=Outcome.ABSENT, **changed):
    values = {"series_instance_uid": "1.2", "reasons": (), "agatston": 0.0, "category": "0", **changed}
    return domain.SeriesVote(standing=standing, state=state, outcome=outcome, **values)


def facts(**changed):
    return domain.StudyFacts(**{"admitted": True, "two_patients": False, "arriving": False, **changed})


VOTES = [
    vote(standing, state, outcome, earlier_doubt=doubt)
    for standing, state, outcome, doubt in itertools.product(Standing, State, Outcome, (False, True))
]
FACTS = [
    facts(admitted=admitted, two_patients=two, arriving=arriving, shares_series=shares)
    for admitted, two, arriving, shares in itertools.product((True, False), repeat=4)
]
SILENT = (Standing.NO_VOTE, Standing.OTHER_RECONSTRUCTION)


def harmless(one):
    """Say, in words of its own, whether a series alone lets its study wait."""
    if one.state != State.DONE or one.earlier_doubt:
        return False
    return one.standing in SILENT or (one.standing == Standing.ELIGIBLE and one.outcome == Outcome.ABSENT)


def expected_low(study, votes):
    calm = study.admitted and not (study.two_patients or study.arriving or study.shares_series)
    return calm and any(one.standing == Standing.ELIGIBLE for one in votes) and all(map(harmless, votes))


@pytest.mark.parametrize(
    "study", FACTS, ids=lambda study: f"{study.admitted:d}{study.two_patients:d}{study.arriving:d}"
)
def test_low_needs_every_condition_whatever_one_series_is(study):
    for one in VOTES:
        flag = flagging.decide(study, [one], high_from_agatston=100.0)
        assert (flag.priority == "low") == expected_low(study, [one]), one


def test_low_needs_every_condition_whatever_two_series_are():
    for first, second in itertools.product(VOTES, repeat=2):
        flag = flagging.decide(FACTS[0], [first, second])
        assert (flag.priority == "low") == expected_low(FACTS[0], [first, second]), (first, second)


def test_low_says_absent_and_nothing_else():
    for first, second in itertools.product(VOTES[::3], VOTES):
        flag = flagging.decide(FACTS[0], [first, second])
        assert flag.priority != "low" or flag.outcome == "absent"


def test_a_study_without_series_is_unsuitable_and_routine():
    flag = flagging.decide(facts(), [])
    assert (flag.priority, flag.outcome, flag.reasons[0].code) == ("routine", "unsuitable", Code.NO_ELIGIBLE_SERIES)


@pytest.mark.parametrize(
    ("others", "shown"),
    [
        ([Outcome.PRESENT, Outcome.FAILED, Outcome.INDETERMINATE, Outcome.UNSUITABLE], Outcome.PRESENT),
        ([Outcome.FAILED, Outcome.INDETERMINATE, Outcome.UNSUITABLE], Outcome.FAILED),
        ([Outcome.INDETERMINATE, Outcome.UNSUITABLE], Outcome.INDETERMINATE),
        ([Outcome.UNSUITABLE], Outcome.UNSUITABLE),
    ],
)
def test_the_most_cautious_outcome_is_shown(others, shown):
    flag = flagging.decide(facts(), [vote(), *(vote(outcome=outcome) for outcome in others)])
    assert (flag.priority, flag.outcome) == ("routine", shown)


def test_a_series_still_waiting_makes_the_study_pending():
    flag = flagging.decide(facts(), [vote(outcome=Outcome.PRESENT), vote(state=State.RUNNING, outcome=Outcome.PENDING)])
    assert (flag.outcome, flag.reasons[0].code) == (Outcome.PENDING, Code.WAITING)


def test_present_shows_the_largest_score():
    votes = [vote(outcome=Outcome.PRESENT, agatston=score, category=str(score)) for score in (12.0, 150.0, 3.0)]
    flag = flagging.decide(facts(), votes)
    assert (flag.agatston, flag.category) == (150.0, "150.0")


@pytest.mark.parametrize(
    ("score", "priority"), [(99.9, "routine"), (100.0, "high"), (None, "routine"), (float("nan"), "routine")]
)
def test_a_configured_score_raises_the_study(score, priority):
    flag = flagging.decide(facts(), [vote(outcome=Outcome.PRESENT, agatston=score)], high_from_agatston=100.0)
    assert flag.priority == priority


def test_two_patients_are_never_raised_nor_lowered():
    for outcome in Outcome:
        flag = flagging.decide(
            facts(two_patients=True), [vote(outcome=outcome, agatston=900.0)], high_from_agatston=1.0
        )
        assert flag.priority == "routine"


def test_a_study_the_site_does_not_admit_shows_absent_and_why_it_stays():
    flag = flagging.decide(facts(admitted=False), [vote()])
    assert (flag.priority, flag.outcome, flag.reasons[-1].code) == ("routine", "absent", Code.NOT_ADMITTED)


def test_low_is_served_as_routine_until_spool_and_database_agree():
    flag = flagging.decide(facts(), [vote()])
    assert flagging.served(flag, agreed=True) == flag
    held = flagging.served(flag, agreed=False)
    assert (held.priority, held.reasons[-1].code) == ("routine", Code.NODE_NOT_AGREED)
