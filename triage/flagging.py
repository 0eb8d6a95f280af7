"""What a study's flag says, from what its series say: pure, and the only way to `low`."""

import dataclasses
from collections.abc import Iterable, Sequence

from cac import reasons
from triage import domain

_ENDED = frozenset({domain.SeriesState.DONE, domain.SeriesState.FAILED})
_VOTING = frozenset({domain.Standing.ELIGIBLE, domain.Standing.UNSUITABLE})
_SHOWN_FIRST = (
    domain.Outcome.PRESENT,
    domain.Outcome.FAILED,
    domain.Outcome.INDETERMINATE,
    domain.Outcome.UNSUITABLE,
    domain.Outcome.ABSENT,
)


def decide(
    study: domain.StudyFacts, votes: Sequence[domain.SeriesVote], *, high_from_agatston: float | None = None
) -> domain.Flag:
    """Decide a study's flag from all its series, the most cautious first (SCIENCE.md section 5).

    `high_from_agatston` raises a study with a score from there on; None raises none.
    """
    outcome, why = _outcome(study, votes)
    present = [vote for vote in votes if _counts(vote) and vote.outcome is domain.Outcome.PRESENT]
    largest = max(present, key=lambda vote: vote.agatston or 0.0, default=None)
    if outcome is domain.Outcome.ABSENT:
        largest = next(iter(_eligible(votes)), None)
    shown = outcome in (domain.Outcome.PRESENT, domain.Outcome.ABSENT)
    return domain.Flag(
        priority=_priority(study, votes, outcome, high_from_agatston),
        outcome=outcome,
        reasons=_distinct(why),
        agatston=largest.agatston if shown and largest else None,
        category=largest.category if shown and largest else None,
    )


def may_wait(study: domain.StudyFacts, votes: Sequence[domain.SeriesVote]) -> bool:
    """Tell whether nothing at all speaks against reading the study last: the one door to `low`."""
    eligible = _eligible(votes)
    return (
        len(eligible) >= 1
        and all(vote.state is domain.SeriesState.DONE for vote in eligible)
        and all(vote.outcome is domain.Outcome.ABSENT for vote in eligible)
        and not any(vote.earlier_doubt for vote in votes)
        and all(vote.state is domain.SeriesState.DONE for vote in votes)
        and not any(vote.standing in (domain.Standing.UNKNOWN, domain.Standing.UNSUITABLE) for vote in votes)
        and not study.arriving
        and not study.two_patients
        and not study.shares_series
        and study.admitted
    )


def served(flag: domain.Flag, *, agreed: bool) -> domain.Flag:
    """Return the flag as it may leave the node: never `low` before spool and database were found to agree."""
    if agreed or flag.priority is not domain.Priority.LOW:
        return flag
    why = (*flag.reasons, reasons.reason(reasons.ReasonCode.NODE_NOT_AGREED))
    return dataclasses.replace(flag, priority=domain.Priority.ROUTINE, reasons=why)


def _priority(
    study: domain.StudyFacts,
    votes: Sequence[domain.SeriesVote],
    outcome: domain.Outcome,
    high_from_agatston: float | None,
) -> domain.Priority:
    if outcome is domain.Outcome.ABSENT and may_wait(study, votes):
        return domain.Priority.LOW
    certain = not study.two_patients and not study.shares_series
    if certain and high_from_agatston is not None and any(_reaches(vote, high_from_agatston) for vote in votes):
        return domain.Priority.HIGH
    return domain.Priority.ROUTINE


def _reaches(vote: domain.SeriesVote, agatston: float) -> bool:
    return (
        vote.standing is domain.Standing.ELIGIBLE
        and vote.state is domain.SeriesState.DONE
        and vote.outcome is domain.Outcome.PRESENT
        and vote.agatston is not None
        and vote.agatston >= agatston
    )


def _outcome(
    study: domain.StudyFacts, votes: Sequence[domain.SeriesVote]
) -> tuple[domain.Outcome, list[reasons.Reason]]:
    doubts = _study_doubts(study)
    waiting = _waiting(study, votes)
    if waiting:
        return domain.Outcome.PENDING, [*waiting, *doubts]
    counted = [vote for vote in votes if _counts(vote)]
    why = [reason for vote in counted for reason in vote.reasons]
    outcome = _worst(vote.outcome for vote in counted)
    if not _eligible(votes):
        outcome = domain.Outcome.UNSUITABLE
        why = [reasons.reason(reasons.ReasonCode.NO_ELIGIBLE_SERIES), *(r for vote in votes for r in vote.reasons)]
    if any(vote.earlier_doubt for vote in votes):
        doubts.append(reasons.reason(reasons.ReasonCode.EARLIER_FINDING))
    if doubts:
        outcome = _worst((outcome, domain.Outcome.INDETERMINATE))
        why = [*doubts, *why]
    if study.two_patients or study.shares_series:
        outcome = domain.Outcome.INDETERMINATE
    if outcome is domain.Outcome.ABSENT and not study.admitted:
        why.append(reasons.reason(reasons.ReasonCode.NOT_ADMITTED))
    return outcome, why


def _waiting(study: domain.StudyFacts, votes: Sequence[domain.SeriesVote]) -> list[reasons.Reason]:
    """Return why the study has no answer yet; empty when everything of it has ended."""
    arriving = study.arriving or any(vote.state is domain.SeriesState.RECEIVING for vote in votes)
    unended = any(
        vote.state not in _ENDED
        or vote.standing is domain.Standing.UNKNOWN
        or (vote.standing in _VOTING and vote.outcome is domain.Outcome.PENDING)
        for vote in votes
        if vote.state is not domain.SeriesState.RECEIVING
    )
    why = []
    if arriving:
        why.append(reasons.reason(reasons.ReasonCode.ARRIVING))
    if unended:
        why.append(reasons.reason(reasons.ReasonCode.WAITING))
    return why


def _study_doubts(study: domain.StudyFacts) -> list[reasons.Reason]:
    doubts = []
    if study.two_patients:
        doubts.append(reasons.reason(reasons.ReasonCode.TWO_PATIENTS))
    if study.shares_series:
        doubts.append(reasons.reason(reasons.ReasonCode.SERIES_IN_TWO_STUDIES))
    return doubts


def _worst(outcomes: Iterable[domain.Outcome]) -> domain.Outcome:
    """Return what is shown of several: what no rule knows counts as failed."""
    known = set(outcomes)
    if not known <= set(_SHOWN_FIRST):
        return domain.Outcome.FAILED
    return next((outcome for outcome in _SHOWN_FIRST if outcome in known), domain.Outcome.UNSUITABLE)


def _counts(vote: domain.SeriesVote) -> bool:
    return vote.standing in _VOTING


def _eligible(votes: Sequence[domain.SeriesVote]) -> list[domain.SeriesVote]:
    return [vote for vote in votes if vote.standing is domain.Standing.ELIGIBLE]


def _distinct(why: Iterable[reasons.Reason]) -> tuple[reasons.Reason, ...]:
    return tuple(dict.fromkeys(why))
