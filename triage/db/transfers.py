"""Associations of listeners: who is still sending, and which transfers broke off and were not made good."""

import dataclasses
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from types import ModuleType

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql, sqlite

from triage.db import clean, flags, session, tables

SILENT_SECONDS = 15.0
"""A listener without a heartbeat for so long is gone, and its associations with it."""


def _count(dialect: ModuleType) -> sa.Executable:
    adding = dialect.insert(tables.Delivery.__table__).values(
        association_id=sa.bindparam("number"), series_instance_uid=sa.bindparam("series"), images=sa.bindparam("images")
    )
    key = [tables.Delivery.association_id, tables.Delivery.series_instance_uid]
    counted: sa.Executable = adding.on_conflict_do_update(
        index_elements=key, set_={"images": tables.Delivery.images + adding.excluded.images}
    )
    return counted


# Built once, not for every image that comes.
_COUNT = {"postgresql": _count(postgresql), "sqlite": _count(sqlite)}
_LAST_IMAGE = (
    sa.update(tables.Association.__table__)  # type: ignore[arg-type]
    .where(tables.Association.id == sa.bindparam("number"))
    .values(last_image_at=sa.bindparam("now"))
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transfers:
    """Hold what associations say of one series: when each open one last sent anything, and what stays broken."""

    open_last_images: tuple[dt.datetime, ...] = ()
    aborted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sent:
    """Hold what one association did for one series; `ended_at` is None while it is open."""

    images: int
    last_image_at: dt.datetime
    ended_at: dt.datetime | None
    aborted: bool


def open_association(db: session.Database, listener: str, calling_ae: str, now: dt.datetime) -> int:
    """Note that an association was accepted; return its number. `listener` names one process since its start."""

    def work(open_session: orm.Session) -> int:
        _beat(open_session, listener, now)
        row = tables.Association(
            listener=listener,
            calling_ae=clean.text(calling_ae),
            opened_at=now,
            last_image_at=now,
            closed_at=None,
            aborted=False,
        )
        open_session.add(row)
        open_session.flush()
        return row.id

    return db.transact(work)


def close_association(db: session.Database, association_id: int, aborted: bool, now: dt.datetime) -> None:
    """Note that an association ended, by release or broken off."""

    def work(open_session: orm.Session) -> None:
        open_session.execute(
            sa.update(tables.Association)
            .where(tables.Association.id == association_id, tables.Association.closed_at.is_(None))
            .values(closed_at=now, aborted=aborted)
        )

    db.transact(work)


def heartbeat(db: session.Database, listener: str, now: dt.datetime) -> None:
    """Note that a listener lives; to be repeated well within 15 s."""
    db.transact(lambda open_session: _beat(open_session, listener, now))


def delivered(connection: sa.Connection, sent: Sequence[tuple[int, str]], now: dt.datetime) -> None:
    """Count objects, each given as its association and its series; both have their rows already."""
    if not sent:
        return
    count = _COUNT[connection.dialect.name]
    counted = sorted(Counter(sent).items())
    connection.execute(count, [{"number": number, "series": uid, "images": more} for (number, uid), more in counted])
    connection.execute(_LAST_IMAGE, [{"number": number, "now": now} for number in sorted({one for one, _ in sent})])


def of_series(db: orm.Session, received: dict[str, int], now: dt.datetime) -> dict[str, Transfers]:
    """Return what associations say of each series; `received` holds how many different objects of it are here."""
    query = (
        sa.select(tables.Delivery, tables.Association, tables.Listener.heartbeat_at)
        .join(tables.Association, tables.Association.id == tables.Delivery.association_id)
        .join(tables.Listener, tables.Listener.name == tables.Association.listener)
        .where(tables.Delivery.series_instance_uid.in_(received))
    )
    sent: defaultdict[str, list[_Sent]] = defaultdict(list)
    for delivery, association, heartbeat_at in db.execute(query):
        sent[delivery.series_instance_uid].append(_sent(delivery, association, heartbeat_at, now))
    return {uid: _sum_up(sent[uid], count) for uid, count in received.items()}


def _beat(db: orm.Session, listener: str, now: dt.datetime) -> None:
    flags.insert_missing(db, tables.Listener, [{"name": listener, "heartbeat_at": now}])
    db.execute(sa.update(tables.Listener).where(tables.Listener.name == listener).values(heartbeat_at=now))


def _sent(
    delivery: tables.Delivery, association: tables.Association, heartbeat_at: dt.datetime, now: dt.datetime
) -> _Sent:
    gone = (now - heartbeat_at).total_seconds() > SILENT_SECONDS and association.closed_at is None
    return _Sent(
        images=delivery.images,
        last_image_at=association.last_image_at,
        ended_at=heartbeat_at if gone else association.closed_at,
        aborted=association.aborted or gone,
    )


def _sum_up(sent: Sequence[_Sent], received: int) -> Transfers:
    broken = [one.ended_at for one in sent if one.aborted and one.ended_at is not None]
    whole = [one.ended_at for one in sent if not one.aborted and one.ended_at is not None and one.images >= received]
    return Transfers(
        open_last_images=tuple(one.last_image_at for one in sent if one.ended_at is None),
        aborted=bool(broken) and not any(end > max(broken) for end in whole),
    )
