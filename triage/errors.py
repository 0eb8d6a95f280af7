"""Errors of the service.

TriageError
├── PermanentError         trying again cannot help
│   ├── InvalidUid         a UID that may not name a file
│   ├── UnreadableImage    bytes that are no DICOM image, or pixels that do not decode
│   ├── ModelError         weights or manifest missing, altered or failing their self-test
│   ├── SettingsError      a value that is unsafe or contradicts another
│   └── NotFound           no such study, series or run
└── RetriableError         the same thing may work later
    ├── StorageError       spool or database out of reach
    ├── StorageFull        no room: refuse before accepting
    └── LeaseLost          another worker owns the run now

`cac.errors` has its own tree; its GeometryError becomes an UNSUITABLE result, never an exception here.
"""


class TriageError(Exception):
    """Stand at the root of every error that the service raises on purpose."""


class PermanentError(TriageError):
    """Say that trying again cannot help."""


class InvalidUid(PermanentError):
    """Refuse a UID that may not name a file (PS3.5 section 9.1)."""


class UnreadableImage(PermanentError):
    """Say that bytes are no DICOM image, or that pixels do not decode."""


class ModelError(PermanentError):
    """Say that weights or manifest are missing, altered, or fail their self-test."""


class SettingsError(PermanentError):
    """Refuse a setting that is unsafe or contradicts another."""


class NotFound(PermanentError):
    """Say that no such study, series or run is known."""


class RetriableError(TriageError):
    """Say that the same thing may work later."""


class StorageError(RetriableError):
    """Say that the spool or the database is out of reach."""


class StorageFull(RetriableError):
    """Say that too little room is left to accept anything."""


class LeaseLost(RetriableError):
    """Say that another worker owns the run now."""
