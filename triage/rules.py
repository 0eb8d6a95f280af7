"""The site's rules in one value, so that storage and services need no settings."""

import dataclasses

from cac import suitability
from triage import eligibility, settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """Hold the limits a header must keep to, which studies may be lowered, and the score that raises one."""

    limits: suitability.Limits = dataclasses.field(default_factory=suitability.Limits)
    admission: eligibility.Admission = dataclasses.field(
        default_factory=lambda: eligibility.Admission(
            admit=settings.ADMITTED, admit_not=settings.NOT_ADMITTED, admit_codes=("426005005",)
        )
    )
    high_from_agatston: float | None = None


def from_settings(values: settings.Settings) -> Rules:
    """Build the rules from the settings."""
    return Rules(
        limits=values.limits,
        admission=eligibility.Admission(admit=values.admit, admit_not=values.admit_not, admit_codes=values.admit_codes),
        high_from_agatston=values.high_from_agatston,
    )
