"""What arrives: every stored object becomes a row, and whatever it makes uncertain is uncertain from that commit on."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import orm

from triage import domain, rules
from triage.db import clean, continuing, flags, names, session, tables, transfers

Pair = continuing.Pair
_FIRST = sa.select(tables.Instance.sha256, tables.Instance.path).where(
    tables.Instance.sop_instance_uid == sa.bindparam("uid"), tables.Instance.variant == ""
)

open_association = transfers.open_association
close_association = transfers.close_association
heartbeat = transfers.heartbeat


class Noted(StrEnum):
    """Say what an object was to the database."""

    NEW = "new"
    SAME = "same"  # these bytes under this UID were known: nothing changed
    ASIDE = "aside"  # other bytes under a known UID


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """Hold the first object that came under a UID."""

    sha256: str
    path: str


def note(
    db: session.Database, instance: domain.Instance, association_id: int | None, site: rules.Rules, now: dt.datetime
) -> Noted:
    """Note one stored object; a flag that it makes doubtful is withdrawn in the same transaction."""
    return note_many(db, [(instance, association_id)], site, now)[0]


def note_many(db: session.Database, items: Sequence[Pair], site: rules.Rules, now: dt.datetime) -> list[Noted]:
    """Note stored objects in one transaction, in their order. Raises StorageError; then none is noted."""
    cleaned = [(clean.instance(instance), association) for instance, association in items]
    if not cleaned:
        return []
    if db.transact_plainly(lambda connection: continuing.note(connection, cleaned, now)):
        return [Noted.NEW] * len(cleaned)
    return db.transact(lambda open_session: _note_all(open_session, cleaned, site, now))


def find(db: session.Database, sop_instance_uid: str) -> Known | None:
    """Return the first object that came under a UID."""
    with db.look() as connection:
        row = connection.execute(_FIRST, {"uid": sop_instance_uid}).first()
        return None if row is None else Known(sha256=row.sha256, path=row.path)


def paths_known(db: session.Database, paths: Sequence[str]) -> set[str]:
    """Return those of the paths that have a row."""
    known: set[str] = set()
    with db.read() as open_session:
        for start in range(0, len(paths), 500):
            query = sa.select(tables.Instance.path).where(tables.Instance.path.in_(paths[start : start + 500]))
            known.update(open_session.scalars(query))
    return known


def _note_all(db: orm.Session, items: Sequence[Pair], site: rules.Rules, now: dt.datetime) -> list[Noted]:
    instances = [instance for instance, _ in items]
    studies = _studies(db, instances, now)
    series = _series(db, instances, studies)
    held = _held(db, instances)
    unnamed = [uid for uid, study in studies.items() if not (study.content_version and study.patient_name)]
    undated = [uid for uid, study in studies.items() if not study.study_date]
    touched: set[str] = set()
    answers = []
    for instance, _ in items:
        key = instance.sop_instance_uid
        noted = _judge(instance, held)
        if noted is not Noted.SAME:
            own = series.get(instance.series_instance_uid) or _add_series(db, series, instance, now)
            touched |= _add(db, (studies, own), instance, noted, now)
            held[key, "" if noted is Noted.NEW else instance.sha256] = instance.sha256
        answers.append(noted)
    db.flush()
    sent = [(number, instance.series_instance_uid) for instance, number in items if number is not None]
    transfers.delivered(db.connection(), sent, now)
    names.note(db, [studies[uid] for uid in unnamed])
    for uid in undated:
        if studies[uid].study_date:
            flags.follow(db, studies[uid])
    for uid in sorted(touched):
        flags.refresh(db, studies[uid], site, now)
    return answers


def _judge(instance: domain.Instance, held: dict[tuple[str, str], str]) -> Noted:
    first = held.get((instance.sop_instance_uid, ""))
    if first == instance.sha256 or (instance.sop_instance_uid, instance.sha256) in held:
        return Noted.SAME
    if first is not None or instance.kind is domain.InstanceKind.ASIDE:
        return Noted.ASIDE
    return Noted.NEW


def _studies(db: orm.Session, instances: Sequence[domain.Instance], now: dt.datetime) -> dict[str, tables.Study]:
    """Lock every study that the objects, or the series they name, belong to; make those that are new."""
    first: dict[str, domain.Instance] = {}
    for instance in instances:
        first.setdefault(instance.study_instance_uid, instance)
    uids = set(first) | set(
        db.scalars(
            sa.select(tables.Series.study_instance_uid).where(
                tables.Series.series_instance_uid.in_({instance.series_instance_uid for instance in instances})
            )
        )
    )
    known = flags.lock(db, uids)
    new = [uid for uid in sorted(first) if uid not in known]
    if not new:
        return known
    flags.insert_missing(db, tables.Study, [_new_study(first[uid], now) for uid in new])
    studies = flags.lock(db, uids)
    for uid in new:
        if studies[uid].change_number == 0:  # ours, not one that another transaction inserted first
            studies[uid].change_number = flags.next_change(db)
    return studies


def _new_study(instance: domain.Instance, now: dt.datetime) -> dict[str, object]:
    flag = flags.first_flag()
    return {
        "study_instance_uid": instance.study_instance_uid,
        "patient_id": instance.patient_id,
        "patient_name": instance.patient_name,
        "patient_birth_date": instance.patient_birth_date,
        "accession_number": instance.accession_number,
        "study_date": instance.study_date,
        "description": instance.study_description,
        "procedure_codes": instance.procedure_codes,
        "two_patients": False,
        "shares_series": False,
        "received_at": now,
        "content_version": 0,
        "priority": flag.priority,
        "outcome": flag.outcome,
        "reasons": flag.reasons,
        "agatston": None,
        "category": None,
        "flag_version": 1,
        "flag_updated_at": now,
        "change_number": 0,
    }


def _series(
    db: orm.Session, instances: Sequence[domain.Instance], studies: dict[str, tables.Study]
) -> dict[str, tables.Series]:
    uids = {instance.series_instance_uid for instance in instances}
    query = sa.select(tables.Series).where(tables.Series.series_instance_uid.in_(uids))
    found = {one.series_instance_uid: one for one in db.scalars(query.execution_options(populate_existing=True))}
    if any(one.study_instance_uid not in studies for one in found.values()):
        raise session.Crossed("a series was made in a study that is not locked")
    return found


def _held(db: orm.Session, instances: Sequence[domain.Instance]) -> dict[tuple[str, str], str]:
    columns = (tables.Instance.sop_instance_uid, tables.Instance.variant, tables.Instance.sha256)
    uids = {instance.sop_instance_uid for instance in instances}
    rows = db.execute(sa.select(*columns).where(tables.Instance.sop_instance_uid.in_(uids)))
    return {(uid, variant): sha256 for uid, variant, sha256 in rows}


def _add_series(
    db: orm.Session, series: dict[str, tables.Series], instance: domain.Instance, now: dt.datetime
) -> tables.Series:
    own = tables.Series(
        series_instance_uid=instance.series_instance_uid,
        study_instance_uid=instance.study_instance_uid,
        state=domain.SeriesState.RECEIVING,
        standing=domain.Standing.UNKNOWN,
        standing_reasons=(),
        modality=instance.modality,
        description=instance.series_description,
        study_description=instance.study_description,
        body_part=instance.body_part,
        frame_of_reference_uid=instance.frame_of_reference_uid,
        acquisition=instance.acquisition,
        declared_images=None,
        images_received=0,
        in_two_studies=False,
        content_version=0,
        content_hash=None,
        first_image_at=now,
        last_image_at=now,
    )
    series[own.series_instance_uid] = own
    db.add(own)
    db.flush()
    return own


def _add(
    db: orm.Session,
    place: tuple[dict[str, tables.Study], tables.Series],
    instance: domain.Instance,
    noted: Noted,
    now: dt.datetime,
) -> set[str]:
    """Add the row of an object and bring its series back to RECEIVING; return the studies it touched."""
    studies, own = place
    variant = "" if noted is Noted.NEW else instance.sha256
    kind = instance.kind if noted is Noted.NEW else domain.InstanceKind.ASIDE
    db.add(tables.Instance(**clean.row(instance), variant=variant, kind=kind, received_at=now))
    if own.state is not domain.SeriesState.RECEIVING:
        flags.supersede(db, own.series_instance_uid, now)
    flags.move(own, domain.SeriesState.RECEIVING)
    own.standing = domain.Standing.UNKNOWN
    own.standing_reasons = ()
    own.content_version += 1
    own.content_hash = None
    own.last_image_at = now
    if noted is Noted.NEW:
        own.images_received += 1
    if instance.declared_images is not None:
        own.declared_images = max(own.declared_images or 0, instance.declared_images)
    for name in ("modality", "description", "study_description", "body_part"):
        source = "series_description" if name == "description" else name
        setattr(own, name, getattr(own, name) or getattr(instance, source))
    if own.frame_of_reference_uid != instance.frame_of_reference_uid or own.acquisition != instance.acquisition:
        own.acquisition = ""  # of several acquisitions: never another reconstruction of one
    touched = {own.study_instance_uid, instance.study_instance_uid}
    for uid in touched:
        _touch(studies[uid], instance, now)
    if len(touched) > 1:
        own.in_two_studies = True
        for uid in touched:
            studies[uid].shares_series = True
    return touched


def _touch(study: tables.Study, instance: domain.Instance, now: dt.datetime) -> None:
    study.content_version += 1
    named = (study.patient_name.strip().upper(), instance.patient_name.strip().upper())
    if not (study.patient_id and instance.patient_id) and all(named) and named[0] != named[1]:
        study.two_patients = True  # no ID on one side: the names must tell them apart
    for name in ("patient_id", "patient_birth_date"):
        held, given = getattr(study, name), getattr(instance, name)
        if held and given and held != given:
            study.two_patients = True
        elif given:
            setattr(study, name, given)
    for name, given in (
        ("patient_name", instance.patient_name),
        ("accession_number", instance.accession_number),
        ("study_date", instance.study_date),
        ("description", instance.study_description),
    ):
        setattr(study, name, getattr(study, name) or given)
    study.procedure_codes = tuple(dict.fromkeys((*study.procedure_codes, *instance.procedure_codes)))
