"""UIDs from the network: checked before they name a file."""

import re

from triage import errors

_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_LONGEST = 64


def check(uid: object) -> str:
    """Return the UID as text if it may name a file: digits in components, at most 64 characters (PS3.5 section 9.1).

    A leading zero in a component breaks the standard, but scanners write it and it endangers no file: let through.
    Raises InvalidUid, whose text does not repeat the value.
    """
    text = str(uid) if uid is not None else ""
    if not text:
        raise errors.InvalidUid("a UID is missing")
    if len(text) > _LONGEST or not _UID.fullmatch(text):
        raise errors.InvalidUid("a UID holds something else than digits and dots, or is longer than 64 characters")
    return text
