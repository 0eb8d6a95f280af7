"""Bring the database level with the spool: what lies there is what was received, whatever the database remembers."""

import datetime as dt
import itertools

from triage import errors, logs, rules, spool
from triage.db import arrivals, session
from triage.dicom import headers

_log = logs.get(__name__)
_BATCH = 200


def spool_into_database(db: session.Database, files: spool.Spool, site: rules.Rules, now: dt.datetime) -> int:
    """Note every file of the spool that the database does not know; return how many.

    This is what a crash, or a database restored from before the newest images, needs. Raises StorageError.
    """
    leftovers = files.remove_leftovers()
    walk = files.walk()
    noted = 0
    while batch := list(itertools.islice(walk, _BATCH)):
        known = arrivals.paths_known(db, batch)
        for path in batch:
            if path not in known:
                noted += note_file(db, files, site, path, now)
    _log.info("Spool and database agree.", action="reconciled", noted=noted, leftovers=leftovers)
    return noted


def note_file(db: session.Database, files: spool.Spool, site: rules.Rules, path: str, now: dt.datetime) -> bool:
    """Note one file of the spool; return whether there was an object to note.

    A file whose UID the database gives to another object moves aside first. Raises StorageError.
    """
    try:
        place = spool.place_of(path)
    except errors.InvalidUid:
        _log.warning("A file in the spool has no place there; it is left alone.", action="foreign_file")
        return False
    with files.exclusive(place.sop_uid):
        stored = files.find(path)
        if stored is None:
            return False
        known = arrivals.find(db, place.sop_uid)
        if known is not None and known.sha256 != stored.sha256 and not spool.is_aside(path):
            moved = files.move_aside(path, stored.sha256)
            stored = spool.Stored(path=moved, size=stored.size, sha256=stored.sha256)
        instance = headers.read_instance(files.absolute(stored.path), stored)
        try:
            arrivals.note(db, instance, None, site, now)
        except errors.StorageError:
            # The database may be away, or this header may be more than it can hold. Less of it is still safe:
            # an unreadable object keeps its series from being called absent.
            arrivals.note(db, headers.unreadable(stored), None, site, now)
    return True


def unnoted(db: session.Database, files: spool.Spool, site: rules.Rules, now: dt.datetime) -> int:
    """Note the files that were kept while the database was away; return how many still wait.

    Raises nothing for the database: what cannot be noted waits for the next round.
    """
    waiting = files.unnoted()
    noted = done = 0
    try:
        for path in waiting:
            noted += note_file(db, files, site, path, now)
            files.clear_unnoted(path)
            done += 1
    except errors.StorageError as exc:
        _log.debug("An object kept earlier cannot be noted yet.", action="unnoted", path=path, cause=str(exc))
    if noted:
        _log.info("Objects kept earlier are noted now.", action="caught_up", noted=noted, waiting=len(waiting) - done)
    return len(waiting) - done
