"""States and transitions."""

from triage import domain

State = domain.SeriesState


def test_every_state_has_its_transitions():
    assert set(domain.TRANSITIONS) == set(State)


def test_a_late_image_leads_back_to_receiving_from_everywhere():
    assert all(State.RECEIVING in following for following in domain.TRANSITIONS.values())


def test_a_run_ends_only_from_running():
    assert [state for state, following in domain.TRANSITIONS.items() if State.DONE in following] == [
        State.COMPLETE,  # ruled out by its header
        State.RUNNING,
    ]


def test_a_snapshot_counts_different_objects_only():
    shown = domain.SeriesSnapshot(
        series_instance_uid="1",
        study_instance_uid="2",
        content_version=1,
        last_image_at=domain.utc_now(),
        poses=(),
        headers=(),
        images=3,
        unreadable=1,
        aside=2,
        other=1,
    )
    assert (shown.received, shown.open_associations) == (5, 0)
