"""What a series counts for, by its header, and which studies the site lets wait. Pure."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from cac import header as science
from cac import reasons, suitability
from triage import domain

_Code = reasons.ReasonCode
_AXIAL_COSINE = 0.9
_NO_VOTE = frozenset({_Code.NOT_CT, _Code.LOCALIZER, _Code.DERIVED})
_RECONSTRUCTION = frozenset({_Code.KERNEL_NOT_LISTED, _Code.THICK_SLICES, _Code.INCREMENT_GAP})
"""What a second reconstruction of one acquisition may fail by and yet say nothing about the patient."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """Hold what the site's rule reads of a study: texts of the study and of its eligible series."""

    descriptions: tuple[str, ...] = ()
    series_descriptions: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    procedure_codes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Admission:
    """Hold the site's rule: patterns (case does not matter) and procedure codes."""

    admit: str
    admit_not: str
    admit_codes: tuple[str, ...] = ()

    def admits(self, study: Study) -> bool:
        """Tell whether a study may be lowered at all.

        It may when all its procedure codes are admitted ones. Else the first of study description, series
        description and body part that says anything decides, and a word against it outweighs one for it.
        """
        codes = {code for code in study.procedure_codes if code}
        if codes and codes <= set(self.admit_codes):
            return True
        for texts in (study.descriptions, study.series_descriptions, study.body_parts):
            if self._found(self.admit_not, texts):
                return False
            if self._found(self.admit, texts):
                return all(self._found(self.admit, (text,)) for text in texts if text)
        return False

    def _found(self, pattern: str, texts: Sequence[str]) -> bool:
        # An empty pattern matches nothing here: a rule that was blanked must not admit everything.
        return bool(pattern) and any(re.search(pattern, text, re.IGNORECASE) for text in texts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own:
    """Hold what a series is by itself, before it is seen among the others of its study."""

    series_instance_uid: str
    standing: domain.Standing
    reasons: tuple[reasons.Reason, ...]
    frame_of_reference_uid: str
    acquisition: str


def standing(
    headers: Sequence[domain.HeaderFacts], limits: suitability.Limits, *, unreadable: int = 0, aside: int = 0
) -> tuple[domain.Standing, tuple[reasons.Reason, ...]]:
    """Say what a series is by its readable images' headers; without any, by what else of it there is."""
    if not headers:
        return _without_images(unreadable, aside)
    found = [science.check_header(as_header(header), limits) for header in headers]
    why = tuple(dict.fromkeys(reason for each in found for reason in each))
    if not why:
        return domain.Standing.ELIGIBLE, ()
    if (
        not unreadable
        and not aside
        and all(_votes_not(header, each) for header, each in zip(headers, found, strict=True))
    ):
        return domain.Standing.NO_VOTE, why
    return domain.Standing.UNSUITABLE, why


def hopeless(snapshot: domain.SeriesSnapshot, limits: suitability.Limits) -> bool:
    """Tell whether what arrived already rules the series out, so that no quiet time need pass."""
    if snapshot.unreadable or snapshot.aside:
        return False
    own, _ = standing(snapshot.headers, limits)
    return own in (domain.Standing.NO_VOTE, domain.Standing.UNSUITABLE)


def among(series: Sequence[Own]) -> Mapping[str, domain.Standing]:
    """Say what each series of a study counts for: another reconstruction of an eligible one has no vote."""
    scored = {_acquired(one) for one in series if one.standing is domain.Standing.ELIGIBLE} - {None}
    return {
        one.series_instance_uid: domain.Standing.OTHER_RECONSTRUCTION
        if _is_reconstruction(one) and _acquired(one) in scored
        else one.standing
        for one in series
    }


def _without_images(unreadable: int, aside: int) -> tuple[domain.Standing, tuple[reasons.Reason, ...]]:
    why = []
    if unreadable:
        why.append(reasons.reason(_Code.UNREADABLE_IMAGE, count=unreadable))
    if aside:
        why.append(reasons.reason(_Code.CONFLICTING_COPIES, count=aside))
    if why:
        return domain.Standing.UNSUITABLE, tuple(why)
    return domain.Standing.NO_VOTE, (reasons.reason(_Code.NOT_CT, modality="no CT image"),)


def _votes_not(header: domain.HeaderFacts, why: Sequence[reasons.Reason]) -> bool:
    """Tell whether an image is surely no original CT; one that does not say what it is may be one.

    Free text and a missing modality are no proof: of a CT object that is not called DERIVED and SECONDARY, in these
    very words, only a plain statement in ImageType can speak. PRIMARY images, DERIVED or not, may be all there is of
    an acquisition (PS3.3 C.7.6.1.1.2).
    """
    words = [word.strip().upper() for word in header.image_type if word.strip()]
    if header.sop_class_uid == science.CT_IMAGE and words[:2] != ["DERIVED", "SECONDARY"]:
        return not science.is_plain(words) and not (
            _Code.LOCALIZER in {reason.code for reason in why} and _may_be_axial(header)
        )
    return bool(words) and any(reason.code in _NO_VOTE for reason in why)


def _may_be_axial(header: domain.HeaderFacts) -> bool:
    """Tell whether an image may lie across the body, as no localizer does: one that calls itself so may be a scan."""
    turn = header.orientation
    return turn is None or abs(turn[0] * turn[4] - turn[1] * turn[3]) > _AXIAL_COSINE


def as_header(header: domain.HeaderFacts) -> science.Header:
    """Return a header in the words of the science."""
    return science.Header(
        modality=header.modality,
        sop_class_uid=header.sop_class_uid,
        image_type=header.image_type,
        kvp=header.kvp,
        kernel=header.kernel,
        thickness=header.thickness,
        contrast_agent=header.contrast_agent,
        lossy=header.lossy,
        rescale_present=header.rescale_present,
        rescale_type=header.rescale_type,
        description=header.description,
    )


def _is_reconstruction(one: Own) -> bool:
    return one.standing is domain.Standing.UNSUITABLE and {reason.code for reason in one.reasons} <= _RECONSTRUCTION


def _acquired(one: Own) -> tuple[str, str] | None:
    if not one.frame_of_reference_uid or not one.acquisition:
        return None
    return one.frame_of_reference_uid, one.acquisition
