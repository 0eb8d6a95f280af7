"""Split by patient: who trains, who tunes and who judges is a matter of the patient's name alone."""

import dataclasses
import hashlib
import math

from training import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shares:
    """Hold the parts of all patients that train, tune thresholds and judge; DatasetError where they do not make one."""

    train: float = 0.60
    tune: float = 0.15
    test: float = 0.25

    def __post_init__(self) -> None:
        parts = (self.train, self.tune, self.test)
        if not all(part >= 0 for part in parts) or not math.isclose(sum(parts), 1.0, abs_tol=1e-6):
            msg = f"shares must be at least 0 and make 1: {parts}"
            raise errors.DatasetError(msg)


def split(patient: str, shares: Shares) -> str:
    """Return 'train', 'tune' or 'test' for a patient: always the same, whatever other patients there are.

    Case and blanks at the ends of an identity do not matter. Parts are met on average: few patients may fall unevenly.
    """
    digest = hashlib.sha256(patient.strip().casefold().encode()).digest()
    place = int.from_bytes(digest[:6], "big") / 2**48
    if place < shares.train:
        return "train"
    return "tune" if place < shares.train + shares.tune else "test"
