"""Take one received object in: spool file, row, and only then its sender's Success."""

import dataclasses
import datetime as dt
from collections.abc import Callable
from enum import IntEnum

from service import noting
from triage import domain, errors, logs, rules, spool
from triage.db import arrivals, session
from triage.dicom import headers

_log = logs.get(__name__)


class Status(IntEnum):
    """Name what a C-STORE can be answered with (PS3.4 table B.2-1)."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    NOT_ITS_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC210
    BAD_UID = 0xC212
    UNEXPECTED = 0xC211


@dataclasses.dataclass(frozen=True, kw_only=True)
class Received:
    """Hold one C-STORE request: what its command said, and the bytes as they came."""

    sop_class_uid: str
    sop_instance_uid: str
    content: spool.Content


class Intake:
    """Keep the order of durability: file and folder synced, row committed, then Success."""

    def __init__(
        self,
        db: session.Database,
        files: spool.Spool,
        site: rules.Rules,
        min_free_bytes: int,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._db = db
        self._spool = files
        self._noter = noting.Noter(db, site, clock)
        self._min_free_bytes = min_free_bytes

    def take(self, received: Received, association: Callable[[], int | None]) -> Status:
        """Keep one object and return the status to answer with; `association` is asked only once it is safe on disk.

        Raises StorageError, StorageFull, UnreadableImage, InvalidUid; then nothing counts as received.
        """
        content = received.content
        if self._spool.free_bytes() - content.size < self._min_free_bytes:
            raise errors.StorageFull("too little room is left in the spool")
        header = headers.Header(content)
        header.check_uids()
        if (header.sop_class_uid, header.sop_instance_uid) != (received.sop_class_uid, received.sop_instance_uid):
            return Status.NOT_ITS_SOP_CLASS
        place = spool.Place(
            study_uid=header.study_instance_uid, series_uid=header.series_instance_uid, sop_uid=header.sop_instance_uid
        )
        with self._spool.exclusive(place.sop_uid), self._noter.expecting() as row:
            stored = self._keep(place, content)
            aside = domain.InstanceKind.ASIDE if spool.is_aside(stored.path) else None
            self._note(row, header.instance(stored, aside), association)
        return Status.SUCCESS

    def _keep(self, place: spool.Place, content: spool.Content) -> spool.Stored:
        """Write the object, unless these very bytes are there; another object's UID sends it aside."""
        known = self._known(place.sop_uid)
        there = self._spool.find(place.path)
        if known is None or known.sha256 == content.sha256:
            if there is None:
                return self._spool.store(place.study_uid, place.series_uid, place.sop_uid, content)
            if there.sha256 == content.sha256:
                self._spool.confirm(there.path)
                return there
        aside = self._spool.find(place.aside(content.sha256))
        if aside is not None:
            self._spool.confirm(aside.path)
            return aside
        return self._spool.store_aside(place.study_uid, place.series_uid, place.sop_uid, content)

    def _known(self, sop_uid: str) -> arrivals.Known | None:
        if self._noter.resting:
            return None
        try:
            return arrivals.find(self._db, sop_uid)
        except errors.StorageError as exc:
            self._noter.let_rest(exc)
            return None

    def _note(self, row: noting.Expected, instance: domain.Instance, association: Callable[[], int | None]) -> None:
        """Write the row; while the database is away or will not have it, leave a marker for the assembler instead."""
        cause = "the database rests"
        if not self._noter.resting:
            try:
                row.note(instance, self._transfer(association))
                return
            except errors.StorageError as exc:
                cause = str(exc)
            except Exception as exc:  # the file is safe: a marker must say that it has no row
                cause = type(exc).__name__
                _log.exception("An object's row could not be made.", action="note_crashed")
        self._spool.mark_unnoted(instance.path)
        _log.warning(
            "An object is kept, but could not be noted yet.",
            action="unnoted",
            cause=cause,
            series=instance.series_instance_uid,
            instance=instance.sop_instance_uid,
        )

    def _transfer(self, association: Callable[[], int | None]) -> int | None:
        try:
            return association()
        except errors.StorageError as exc:
            self._noter.let_rest(exc)
            raise
