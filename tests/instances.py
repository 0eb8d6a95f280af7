"""Instances and results in plain values, for tests of rules and storage."""

import datetime as dt
import hashlib

from cac import reasons
from triage import completeness, domain, rules
from triage.db import arrivals, assembly, runs

NOW = dt.datetime(2026, 1, 5, 10, 0, tzinfo=dt.UTC)
RULES = rules.Rules()
STUDY, SERIES = "1.2.3", "1.2.3.1"


def later(seconds):
    return NOW + dt.timedelta(seconds=seconds)


def instance(number=1, *, study=STUDY, series=SERIES, content="", **changed):
    uid = f"{series}.{number}"
    values = {
        "sop_instance_uid": uid,
        "series_instance_uid": series,
        "study_instance_uid": study,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": f"{study}/{series}/{uid}{content}.dcm",
        "size": 1000,
        "sha256": hashlib.sha256(f"{uid}{content}".encode()).hexdigest(),
        "kind": domain.InstanceKind.IMAGE,
        "patient_id": "4711",
        "patient_name": "DOE^JANE",
        "study_date": "20260105",
        "study_description": "CT Calcium Score",
        "modality": "CT",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "instance_number": number,
        "rows": 512,
        "columns": 512,
        "pixel_spacing": (0.5, 0.5),
        "position": (-128.0, -128.0, -3.0 * number),
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "thickness": 3.0,
        "kvp": 120.0,
        "kernel": "B35f",
        "rescale_present": True,
        "rescale_type": "HU",
        "frame_of_reference_uid": "1.2.3.99",
        "acquisition": "1 20260105 100000",
    }
    return domain.Instance(**{**values, **changed})


def result(outcome=domain.Outcome.ABSENT, **changed):
    values = {
        "outcome": outcome,
        "reasons": (reasons.reason(reasons.ReasonCode.NO_CALCIUM),) if outcome is domain.Outcome.ABSENT else (),
        "models_hash": "m" * 64,
        "provider": "CPUExecutionProvider",
        "profile": "default",
        "agatston": 0.0,
        "category": "0",
        "images": 3,
        "seconds": {"nets": 1.5},
    }
    return domain.RunResult(**{**values, **changed})


def receive(db, count=3, *, association=None, now=NOW, **values):
    for number in range(1, count + 1):
        arrivals.note(db, instance(number, **values), association, RULES, now)


def assemble(db, now=None):
    """Complete every series that is whole `now`, 10 s after the start unless said."""
    moment = now or later(10)
    for snapshot in assembly.arriving(db, moment):
        verdict = completeness.judge(snapshot, moment, 2.0, 20.0)
        if verdict.decision is completeness.COMPLETE:
            assert assembly.complete(db, snapshot, verdict.reasons, RULES, moment)


def finish(db, outcome=domain.Outcome.ABSENT, *, series=SERIES, now=None, **changed):
    ticket = runs.lease(db, series, "worker", 30.0, now or later(11))
    assert ticket is not None
    runs.finish(db, ticket, result(outcome, **changed), RULES, now or later(12))
    return ticket
