"""Why a run ended as it did: its candidates, likeliest calcium first, page by page."""

import collections
import dataclasses
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from cac import finding
from triage import domain, errors
from triage.db import results, session


class Kept(StrEnum):
    """Say what is known of a run's candidates."""

    sentence: str

    def __new__(cls, word: str, sentence: str) -> "Kept":
        """Make a member whose value is the word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        return member

    EXPLAINED = "explained", "Every candidate at or above 130 HU in the heart region is kept, with its reason."
    UNEXPLAINED = "unexplained", "The run was made before reasons were kept: slice, volume and reason are not known."
    NOT_JUDGED = "not_judged", "No candidate was judged: the run's own reasons say why."
    NOT_ENDED = "not_ended", "The run has not ended."


class UnknownCursor(errors.NotFound):
    """Say that no page of this run gave the cursor."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Hold a page of a run's candidates; `next` is None on the last.

    `counts` are of the whole run. They and `items` are None where no candidate was judged: that is not "none found".
    """

    kept: Kept
    counts: Mapping[finding.CandidateStatus, int] | None = None
    items: tuple[Mapping[str, Any], ...] | None = None
    next: str | None = None

    @property
    def about(self) -> str:
        """Return what is known, as a sentence."""
        return self.kept.sentence


def page(
    db: session.Database, run_id: int, wanted: Collection[finding.CandidateStatus], cursor: str | None, limit: int
) -> Page:
    """Return candidates of the wanted statuses (all where none is named), in the order of `finding.reading_place`.

    A run's rows are some hundred and never change once it ended, so they are sorted here. Raises NotFound for an
    unknown run, UnknownCursor for a cursor that no page of this run gave.
    """
    with db.read() as open_session:
        run = open_session.get(results.Run, run_id)
        if run is None:
            raise errors.NotFound("no such run is known")
        rows = results.Candidate.__table__
        asked = sa.select(rows).where(rows.c.run_id == run_id)
        found = [results.candidate_values(row) for row in open_session.execute(asked)]
        kept = _kept(run, found)
    if kept in (Kept.NOT_JUDGED, Kept.NOT_ENDED):
        return Page(kept=kept)
    placed = sorted(found, key=_place)
    counted = collections.Counter(one["status"] for one in found)
    start = _start(placed, cursor)
    left = [one for one in placed[start:] if not wanted or one["status"] in wanted]
    more = len(left) > limit
    return Page(
        kept=kept,
        counts={status: counted[status] for status in finding.CandidateStatus},
        items=tuple(left[:limit]),
        next=str(left[limit - 1]["number"]) if more else None,
    )


def _kept(run: results.Run, found: list[Mapping[str, Any]]) -> Kept:
    """Say what the run's rows tell; rows without a reason are from before revision 0005."""
    if run.phase in (domain.RunPhase.QUEUED, domain.RunPhase.RUNNING):
        return Kept.NOT_ENDED
    if found:
        return Kept.EXPLAINED if all(one["reason"] for one in found) else Kept.UNEXPLAINED
    return Kept.NOT_JUDGED if run.provider in ("", domain.NO_PROVIDER) else Kept.EXPLAINED


def _place(one: Mapping[str, Any]) -> tuple[int, float, int]:
    return finding.reading_place(finding.CandidateStatus(one["status"]), one["probabilities"], one["number"])


def _start(placed: list[Mapping[str, Any]], cursor: str | None) -> int:
    """Return where the page after a cursor begins: behind the candidate of that number."""
    if cursor is None:
        return 0
    for place, one in enumerate(placed):
        if str(one["number"]) == cursor:
            return place + 1
    raise UnknownCursor("no page gave this cursor")
