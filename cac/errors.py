"""Errors of the science.

CacError
├── GeometryError      the slices do not form one regular axial volume; carries the reason
└── PredictionError    a net answered with something that is no probability map
"""

from cac import reasons


class CacError(Exception):
    """Stand at the root of every error that `cac` raises on purpose."""


class GeometryError(CacError):
    """Say why slices do not form one regular axial volume."""

    def __init__(self, reason: reasons.Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


class PredictionError(CacError):
    """Say that a net's answer has the wrong shape or is not finite."""
