"""Errors of preparing data.

TrainingError
├── DatasetError           a whole folder cannot be used as it was asked for
└── RefusedCase            one labelled scan cannot be used; names it and says why
    ├── NotAnnotated       nobody said what is in it, which is not zero
    ├── UnknownName        a label whose meaning nobody told, or a name in which no patient is found
    ├── Misaligned         image and mask do not lie on one grid
    ├── ImplausibleMask    the mask does not lie on calcium, or is empty
    ├── Unreadable         files missing, broken, or no regular volume
    └── Unusable           nothing can be learnt from it: no heart, or values that are no HU of calcium
"""


class TrainingError(Exception):
    """Stand at the root of every error that `training` raises on purpose."""


class DatasetError(TrainingError):
    """Say that a whole folder cannot be used as it was asked for."""


class RefusedCase(TrainingError):
    """Name a labelled scan that cannot be used, and say why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # both, so that the error survives the way from a process of the pool
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class NotAnnotated(RefusedCase):
    """Say that nobody annotated a scan: that is not zero."""


class UnknownName(RefusedCase):
    """Say that a label means nothing known, or that a case's name tells no patient."""


class Misaligned(RefusedCase):
    """Say that image and mask do not lie on one grid."""


class ImplausibleMask(RefusedCase):
    """Say that a mask does not lie on calcium, or is empty."""


class Unreadable(RefusedCase):
    """Say that files are missing or broken, or form no regular volume."""


class Unusable(RefusedCase):
    """Say that nothing can be learnt from a scan."""
