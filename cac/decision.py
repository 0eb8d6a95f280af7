"""The decision: three ways out, and only one of them can lower a priority."""

from cac import finding, reasons


def decide(
    lesions: int, doubts: tuple[reasons.Reason, ...], study_only: tuple[reasons.Reason, ...]
) -> tuple[finding.Outcome, tuple[reasons.Reason, ...]]:
    """Decide from the accepted lesions, the doubts of any kind, and what makes this run one for study only.

    PRESENT wins over doubts, which stay named. Nothing but ABSENT can lower, so a run for study that would end
    ABSENT ends INDETERMINATE.
    """
    rest = doubts + study_only
    if lesions:
        accepted = reasons.reason(reasons.ReasonCode.CALCIUM_ACCEPTED, count=lesions)
        return finding.Outcome.PRESENT, (accepted, *rest)
    if rest:
        return finding.Outcome.INDETERMINATE, rest
    return finding.Outcome.ABSENT, (reasons.reason(reasons.ReasonCode.NO_CALCIUM),)
