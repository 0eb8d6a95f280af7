"""The whole algorithm: a volume and three nets in, a finding out."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import numpy as np

from cac import (
    agatston,
    candidates,
    components,
    decision,
    errors,
    explain,
    finding,
    fusion,
    heart,
    lesions,
    reasons,
    sheets,
    slabs,
    sparse,
    suitability,
    views,
    volume,
)

DEFAULT_LIMITS = suitability.Limits()


def find_calcium(
    native: volume.Volume,
    predict: finding.Predict,
    spec: finding.NetSpec,
    *,
    profile: finding.Profile = finding.Profile.DEFAULT,
    limits: suitability.Limits = DEFAULT_LIMITS,
    ignore_suitability: bool = False,
) -> finding.CalciumFinding:
    """Decide whether a volume surely shows no coronary calcium.

    The header is the caller's to check. `ignore_suitability` goes on where an image limit says no, and keeps the
    reasons; neither such a run nor profile `paper` ever ends ABSENT. An answer that is no probability map ends
    INDETERMINATE; whatever else `predict` raises is the caller's to handle.
    """
    seconds: dict[str, float] = {}
    refused = suitability.check_geometry(native, limits)
    if refused and not ignore_suitability:
        return _unsuitable(refused, profile, seconds)
    with _timed(seconds, "slabs"):
        working = slabs.native(native) if profile is finding.Profile.PAPER else slabs.prepare(native)
    with _timed(seconds, "heart"):
        located, image_refused = _locate(working.scan, profile, limits)
    refused = (*refused, *image_refused)
    if located is None:
        return _unsuitable(refused, profile, seconds)
    if refused and not ignore_suitability:
        return _placed(_unsuitable(refused, profile, seconds), working, located)
    with _timed(seconds, "candidates"):
        found, faded = _candidates(native, working, located, profile)
    study_only = (*refused, *_study_only(profile, ignore_suitability))
    try:
        with _timed(seconds, "nets"):
            answers = _ask(working.scan, located, found, predict, (spec, profile))
    except errors.PredictionError:
        outcome, why = decision.decide(0, (reasons.reason(reasons.ReasonCode.NON_FINITE), *located.doubts), study_only)
        ended = finding.CalciumFinding(outcome=outcome, reasons=why, profile=profile, seconds=seconds)
        return _placed(ended, working, located)
    with _timed(seconds, "fusion"):
        fused = fusion.fuse(working.scan, found, answers, spec, profile, faded)
    with _timed(seconds, "scores"):
        decided = decision.decide(fused.lesions.count, (*located.doubts, *fused.doubts), study_only)
        why = explain.each(fused, spec)
        listed = candidates.describe(
            working.scan, found, fused.best, tuple(zip(fused.status, why, strict=True)), working.slab_of
        )
        made = _finding(working, listed, fused, decided, (profile, seconds))
        return _placed(dataclasses.replace(made, answers=answers), working, located)


def _locate(
    scan: volume.Volume, profile: finding.Profile, limits: suitability.Limits
) -> tuple[heart.Heart | None, tuple[reasons.Reason, ...]]:
    """Locate the heart, and say what makes the image unsuitable."""
    located = heart.locate(scan, profile=profile)
    if located is None:
        return None, (reasons.reason(reasons.ReasonCode.HEART_NOT_FOUND),)
    return located, suitability.check_image(scan, located, limits)


def _candidates(
    native: volume.Volume, working: slabs.Slabs, located: heart.Heart, profile: finding.Profile
) -> tuple[components.Components, components.IntArray | None]:
    """Find the candidates, with those that only the native slices show, and what faded; None without slabs.

    The paper knows no envelope: there the whole box is searched. Calcium is >= 130 HU by definition in both.
    """
    if profile is finding.Profile.PAPER:
        return candidates.find(working.scan, views.inside(located.box, working.scan)), None
    found = candidates.find(working.scan, located.envelope)
    hidden = slabs.hidden(native, working, located.envelope)
    return found.joined(hidden.erased), hidden.faded if working.averaged else None


def _ask(
    scan: volume.Volume,
    located: heart.Heart,
    found: components.Components,
    predict: finding.Predict,
    how: tuple[finding.NetSpec, finding.Profile],
) -> dict[finding.Plane, volume.FloatArray]:
    """Ask the three nets for every candidate voxel; without candidates there is nothing to ask."""
    spec, profile = how
    if not found.count:
        return {plane: np.empty(0, dtype=np.float32) for plane in finding.Plane}
    crop = views.crop(scan, views.enclosing(located.box, found, scan, spec), spec, profile)
    if spec.evaluation is finding.Evaluation.SPARSE:
        answers = sparse.probabilities(crop, predict, found, spec)
    else:
        answers = sheets.probabilities(crop, predict, spec)
    return {plane: views.to_source(crop, answer, found) for plane, answer in answers}


def _finding(
    working: slabs.Slabs,
    described: tuple[finding.Candidate, ...],
    fused: fusion.Fusion,
    decided: tuple[finding.Outcome, tuple[reasons.Reason, ...]],
    context: tuple[finding.Profile, dict[str, float]],
) -> finding.CalciumFinding:
    """Put the finding together; only ABSENT and PRESENT carry scores, for 0 beside a doubt would read as a result."""
    (outcome, why), (profile, seconds) = decided, context
    listed = lesions.measure(working.scan, fused.lesions)
    score = sum((lesion.agatston for lesion in listed), 0.0)
    scored = outcome in (finding.Outcome.ABSENT, finding.Outcome.PRESENT)
    return finding.CalciumFinding(
        outcome=outcome,
        reasons=why,
        profile=profile,
        agatston=score if scored else None,
        volume_mm3=sum((lesion.volume_mm3 for lesion in listed), 0.0) if scored else None,
        mass_mg=sum((lesion.mass_mg for lesion in listed), 0.0) if scored else None,
        category=agatston.category(score) if scored else None,
        cac_drs=agatston.cac_drs(score) if scored else None,
        lesions=listed,
        candidates=described,
        mask=fused.lesions.mask(),
        doubt_mask=fused.doubt_mask,
        seconds=seconds,
    )


def _placed(found: finding.CalciumFinding, working: slabs.Slabs, located: heart.Heart) -> finding.CalciumFinding:
    """Say on which grid, and where on it, the heart was looked at: a refused one is shown too."""
    return dataclasses.replace(
        found,
        scored=working.scan,
        slab_of=tuple(working.slab_of.tolist()),
        region=located.box.bounds(working.scan),
    )


def _unsuitable(
    why: tuple[reasons.Reason, ...], profile: finding.Profile, seconds: dict[str, float]
) -> finding.CalciumFinding:
    return finding.CalciumFinding(outcome=finding.Outcome.UNSUITABLE, reasons=why, profile=profile, seconds=seconds)


def _study_only(profile: finding.Profile, ignore_suitability: bool) -> tuple[reasons.Reason, ...]:
    """Name what makes a run one for study, which can lower nothing."""
    codes = reasons.ReasonCode
    named = {
        codes.PROFILE_NOT_DEFAULT: profile is not finding.Profile.DEFAULT,
        codes.SUITABILITY_IGNORED: ignore_suitability,
    }
    return tuple(reasons.reason(code) for code, true in named.items() if true)


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = time.perf_counter() - start
