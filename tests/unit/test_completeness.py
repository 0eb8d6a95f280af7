"""When a series counts as whole; the clock is an argument."""

import instances as some
import pytest

from cac import reasons
from triage import completeness, domain

Code = reasons.ReasonCode
SETTLE, QUIET = 2.0, 20.0


def snapshot(numbers=(1, 2, 3, 4), **changed):
    names = domain.Pose.__dataclass_fields__
    poses = tuple(domain.Pose(**{name: getattr(some.instance(number), name) for name in names}) for number in numbers)
    values = {
        "series_instance_uid": some.SERIES,
        "study_instance_uid": some.STUDY,
        "content_version": len(poses),
        "last_image_at": some.NOW,
        "poses": poses,
        "headers": (),
        "images": len(poses),
    }
    return domain.SeriesSnapshot(**{**values, **changed})


def judge(seconds, numbers=(1, 2, 3, 4), *, hopeless=False, **changed):
    verdict = completeness.judge(snapshot(numbers, **changed), some.later(seconds), SETTLE, QUIET, hopeless=hopeless)
    return verdict.decision.value, [reason.code for reason in verdict.reasons]


@pytest.mark.parametrize(("seconds", "expected"), [(1.9, "wait"), (2.0, "complete")])
def test_a_whole_series_waits_for_the_settle_time_only(seconds, expected):
    assert judge(seconds) == (expected, [])


@pytest.mark.parametrize("numbers", [(1, 2, 4), (1,), ()])
def test_irregular_positions_wait_for_the_quiet_time(numbers):
    assert judge(19.9, numbers) == ("wait", [])
    assert judge(20.0, numbers) == ("complete", [Code.QUIET_INCOMPLETE])


def test_the_order_of_arrival_does_not_matter():
    assert judge(2.0, (3, 1, 4, 2)) == ("complete", [])


def test_fewer_than_declared_waits_and_is_said():
    assert judge(19.9, declared=5) == ("wait", [])
    assert judge(20.0, declared=5) == ("complete", [Code.FEWER_THAN_DECLARED])


def test_more_than_declared_is_fine():
    assert judge(2.0, declared=3) == ("complete", [])


def test_an_open_association_holds_the_series_open():
    assert judge(30.0, open_last_images=(some.later(25),)) == ("wait", [])


def test_an_open_association_that_fell_silent_is_a_doubt():
    assert judge(60.0, open_last_images=(some.NOW,)) == ("wait", [])
    assert judge(60.1, open_last_images=(some.NOW,)) == ("complete", [Code.ASSOCIATION_ABORTED])


def test_a_broken_transfer_waits_for_a_resend_and_is_said():
    assert judge(19.9, aborted=True) == ("wait", [])
    assert judge(20.0, aborted=True) == ("complete", [Code.ASSOCIATION_ABORTED])


def test_a_series_its_header_rules_out_waits_for_the_settle_time_only():
    assert judge(1.9, (1,), hopeless=True) == ("wait", [])
    assert judge(2.0, (1,), hopeless=True, open_last_images=(some.NOW,)) == ("complete", [])
