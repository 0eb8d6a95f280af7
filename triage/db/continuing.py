"""Note the next images of series that are arriving: the common case, in few statements and without ORM objects.

Whatever could move a flag, a state or a text of study or series is left to `arrivals`, which can do all of it.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from triage import domain
from triage.db import clean, tables, transfers

Pair = tuple[domain.Instance, int | None]
_Rows = Mapping[str, sa.Row[Any]]

# Built once: SQLAlchemy then finds the compiled text by a key it has kept, and so does the driver its prepared one.
_STUDIES = (
    sa.select(
        tables.Study.study_instance_uid,
        *(tables.Study.patient_id, tables.Study.patient_name, tables.Study.patient_birth_date),
        *(tables.Study.accession_number, tables.Study.study_date, tables.Study.description),
        *(tables.Study.procedure_codes, tables.Study.priority, tables.Study.outcome),
    )
    .where(tables.Study.study_instance_uid.in_(sa.bindparam("uids", expanding=True)))
    .order_by(tables.Study.study_instance_uid)
    .with_for_update()
)
_SERIES = sa.select(
    *(tables.Series.series_instance_uid, tables.Series.study_instance_uid, tables.Series.state),
    *(tables.Series.standing, tables.Series.modality, tables.Series.description, tables.Series.study_description),
    *(tables.Series.body_part, tables.Series.frame_of_reference_uid, tables.Series.acquisition),
    tables.Series.content_hash,
).where(tables.Series.series_instance_uid.in_(sa.bindparam("uids", expanding=True)))
_HELD = (
    sa.select(tables.Instance.sop_instance_uid)
    .where(tables.Instance.sop_instance_uid.in_(sa.bindparam("uids", expanding=True)))
    .limit(1)
)
_ADD = sa.insert(tables.Instance.__table__)  # type: ignore[arg-type]
_MORE_IN_STUDY = (
    sa.update(tables.Study.__table__)  # type: ignore[arg-type]
    .where(tables.Study.study_instance_uid == sa.bindparam("uid"))
    .values(content_version=tables.Study.content_version + sa.bindparam("more"))
)
_declared = sa.bindparam("declared", type_=sa.BigInteger)
_MORE_IN_SERIES = (
    sa.update(tables.Series.__table__)  # type: ignore[arg-type]
    .where(tables.Series.series_instance_uid == sa.bindparam("uid"))
    .values(
        content_version=tables.Series.content_version + sa.bindparam("more"),
        images_received=tables.Series.images_received + sa.bindparam("more"),
        declared_images=sa.case(
            (_declared.is_(None), tables.Series.declared_images),
            (tables.Series.declared_images > _declared, tables.Series.declared_images),
            else_=_declared,
        ),
        last_image_at=sa.bindparam("now"),
    )
)


def note(connection: sa.Connection, items: Sequence[Pair], now: dt.datetime) -> bool:
    """Note objects that only add to series already arriving; False, and nothing written, where one does more."""
    instances = [instance for instance, _ in items]
    uids = {instance.sop_instance_uid for instance in instances}
    if len(uids) < len(instances):
        return False
    # The lock first, then what it guards: PostgreSQL would give one statement the series of before it waited.
    studies = _by_key(connection.execute(_STUDIES, {"uids": sorted({one.study_instance_uid for one in instances})}))
    series = _by_key(connection.execute(_SERIES, {"uids": list({one.series_instance_uid for one in instances})}))
    if not all(_adds_only(one, studies, series) for one in instances):
        return False
    if connection.execute(_HELD, {"uids": list(uids)}).first() is not None:
        return False
    rows = [{**clean.row(one), "variant": "", "kind": one.kind, "received_at": now} for one in instances]
    connection.execute(_ADD, rows)
    _count(connection, instances, now)
    transfers.delivered(connection, [(id_, one.series_instance_uid) for one, id_ in items if id_ is not None], now)
    return True


def _count(connection: sa.Connection, instances: Sequence[domain.Instance], now: dt.datetime) -> None:
    """Add objects to the counters of their series and studies."""
    stated: dict[str, int] = {}
    for one in instances:
        if one.declared_images is not None:
            uid = one.series_instance_uid
            stated[uid] = max(one.declared_images, stated.get(uid, 0))
    by_series = Counter(one.series_instance_uid for one in instances)
    by_study = Counter(one.study_instance_uid for one in instances)
    connection.execute(
        _MORE_IN_SERIES,
        [
            {"uid": uid, "more": more, "declared": stated.get(uid), "now": now}
            for uid, more in sorted(by_series.items())
        ],
    )
    connection.execute(_MORE_IN_STUDY, [{"uid": uid, "more": more} for uid, more in sorted(by_study.items())])


def _by_key(found: sa.CursorResult[Any]) -> _Rows:
    return {row[0]: row for row in found}


def _adds_only(instance: domain.Instance, studies: _Rows, series: _Rows) -> bool:
    """Tell whether a new object moves nothing but counters: then its study's flag stays what it is.

    While one of its series is arriving a study is pending; only its patients and its other series can change more.
    """
    study, own = studies.get(instance.study_instance_uid), series.get(instance.series_instance_uid)
    if study is None or own is None or own.study_instance_uid != instance.study_instance_uid:
        return False
    return (
        instance.kind is not domain.InstanceKind.ASIDE
        and own.state is domain.SeriesState.RECEIVING
        and own.standing is domain.Standing.UNKNOWN
        and own.content_hash is None
        and study.outcome is domain.Outcome.PENDING
        and study.priority is not domain.Priority.LOW
        and _tells_series_nothing(instance, own)
        and _tells_study_nothing(instance, study)
    )


def _tells_series_nothing(instance: domain.Instance, own: sa.Row[Any]) -> bool:
    acquired = (instance.frame_of_reference_uid, instance.acquisition)
    return (
        (not own.acquisition or acquired == (own.frame_of_reference_uid, own.acquisition))
        and bool(own.modality or not instance.modality)
        and bool(own.description or not instance.series_description)
        and bool(own.study_description or not instance.study_description)
        and bool(own.body_part or not instance.body_part)
    )


def _tells_study_nothing(instance: domain.Instance, study: sa.Row[Any]) -> bool:
    """Tell whether patient and study are named as they are known; any other spelling is `arrivals`' to judge."""
    return (
        instance.patient_id == study.patient_id
        and instance.patient_name == study.patient_name
        and instance.patient_birth_date == study.patient_birth_date
        and bool(study.accession_number or not instance.accession_number)
        and bool(study.study_date or not instance.study_date)
        and bool(study.description or not instance.study_description)
        and set(instance.procedure_codes) <= set(study.procedure_codes)
    )
