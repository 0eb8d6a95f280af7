"""Why each candidate was accepted, left in doubt or rejected: a code and a sentence with the thresholds in force."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from cac import finding, fusion, reasons

_FLAT = "All three planes accept voxels of it, but what they call calcium is a 2D object (one voxel thick)"
_ACCEPTED_FLAT = f"{_FLAT}: the 2D rule takes it for no lesion, but never drops it without a doubt."
_CLAIM = "; together they come to {most} on one voxel"
_TOGETHER = " Together they come to {most} on its most suspect voxel; {limit} would be a doubt."
_SPECK = " It is a speck such as noise makes, too small to score, so that doubt asks for more."
_DOUBTS = {
    reasons.ReasonCode.ERASED_BY_SLABS: "The thin slices show a dense spot here that vanishes in the 3 mm average: "
    "the nets cannot judge it.",
    reasons.ReasonCode.FADED_BY_SLABS: "The thin slices show a dense spot here that the 3 mm average all but loses: "
    "the nets cannot judge the rest.",
    reasons.ReasonCode.THIN_LESION: f"{_FLAT}: real calcium can look so where slices do not overlap.",
}


def each(fused: fusion.Fusion, spec: finding.NetSpec) -> tuple[reasons.Reason, ...]:
    """Return one reason a candidate, read from what decided in `fusion.fuse`; the decision itself is not made here."""
    agreed, specks, shared = fused.agreed.tolist(), fused.specks.tolist(), fused.shared.tolist()
    stated, joint, accepting, alone = _in_force(spec.levels), spec.joint, fused.accept.tolist(), _single(fused.alone)
    together, limits = fused.together.tolist(), {True: _single(joint.speck), False: _single(joint.other)}
    best = {plane: values.tolist() for plane, values in fused.best.items()}
    why = []
    for number, (status, doubt) in enumerate(zip(fused.status, fused.doubt, strict=True)):
        seen = {plane: values[number] for plane, values in best.items()}
        reach, accept = (together[number], limits[specks[number]]), accepting[number]
        if doubt is not None:
            text = _DOUBTS.get(doubt) or _ACCEPTED_FLAT
            if doubt not in _DOUBTS and not agreed[number]:
                against = _unaccepted(seen, shared[number], accept)
                text = f"{against}; in doubt, for {_cause(seen, stated, reach, alone)}."
            why.append(reasons.Reason(code=doubt, text=text))
        elif status is finding.CandidateStatus.ACCEPTED:
            planes = _against(seen, dict.fromkeys(seen, fusion.EXTENT))
            claim = _CLAIM.format(most=_beside(shared[number], accept)) if accept > fusion.EXTENT else ""
            facts = {"voxels": agreed[number], "planes": planes + claim}
            why.append(reasons.reason(reasons.ReasonCode.ALL_PLANES_ACCEPT, **facts))
        elif agreed[number]:
            why.append(reasons.reason(reasons.ReasonCode.FLAT_OBJECT))
        else:
            rejection = _rejection(seen, stated)
            most, limit = _apart(*reach)
            more = _TOGETHER.format(most=most, limit=limit) + (_SPECK if specks[number] else "")
            why.append(dataclasses.replace(rejection, text=rejection.text + more))
    return tuple(why)


def _rejection(seen: Mapping[finding.Plane, float], levels: Mapping[finding.Plane, finding.Levels]) -> reasons.Reason:
    """Say which planes said no: two that reach their low thresholds on one voxel would be a doubt."""
    low = _of(levels, "low")
    reaching = [plane for plane in seen if seen[plane] >= low[plane]]
    if not reaching:
        return reasons.reason(reasons.ReasonCode.NO_PLANE_SUSPECTS, planes=_against(seen, low))
    if len(reaching) > 1:
        return reasons.reason(reasons.ReasonCode.PLANES_APART, planes=_against(seen, low))
    alone = reaching[0]
    return reasons.reason(
        reasons.ReasonCode.ONE_PLANE_ALONE,
        plane=alone,
        own=_beside(seen[alone], low[alone]),
        high=_beside(seen[alone], levels[alone].high),
        others=_against({plane: value for plane, value in seen.items() if plane is not alone}, low),
    )


def _unaccepted(seen: Mapping[finding.Plane, float], shared: float, accept: float) -> str:
    """Say what keeps a candidate from being accepted.

    `shared` is the most that the planes say together of one voxel that each calls calcium (0 without one), `accept` the
    threshold on that.
    """
    if shared:
        return f"All planes call a voxel of it calcium, too unsurely to accept it (together {_beside(shared, accept)})"
    refusing = {plane: value for plane, value in seen.items() if value < fusion.EXTENT}
    if refusing:
        return f"Not all planes call it calcium ({_against(refusing, dict.fromkeys(seen, fusion.EXTENT))})"
    return "Each plane calls voxels of it calcium, but no voxel is called so by all three"


def _cause(
    seen: Mapping[finding.Plane, float],
    levels: Mapping[finding.Plane, finding.Levels],
    reach: tuple[float, float],
    alone: float,
) -> str:
    """Say what keeps a candidate that is not accepted from being rejected.

    `reach` is the most that they say together of one voxel, and the threshold of doubt on that; `alone` the threshold
    on each plane's own maximum.
    """
    low, high = (_of(levels, name) for name in ("low", "high"))
    sure = {plane: value for plane, value in seen.items() if value >= high[plane]}
    if sure:
        return f"one so high is enough ({_against(sure, high)})"
    if not reach[0] < reach[1]:
        return f"together they come to {_beside(*reach)} on one voxel"
    if min(seen.values()) >= alone:
        return f"each plane is as sure of some voxel as accepting asks ({_against(seen, dict.fromkeys(seen, alone))})"
    return f"two are sure of calcium on one voxel ({_against(seen, low)})"


def _in_force(levels: Mapping[finding.Plane, finding.Levels]) -> dict[finding.Plane, finding.Levels]:
    """Return the thresholds as they were compared: in the probabilities' own single precision."""
    return {plane: finding.Levels(low=_single(each.low), high=_single(each.high)) for plane, each in levels.items()}


def _single(level: float) -> float:
    return float(np.float32(level))


def _of(levels: Mapping[finding.Plane, finding.Levels], name: str) -> dict[finding.Plane, float]:
    return {plane: getattr(each, name) for plane, each in levels.items()}


def _against(seen: Mapping[finding.Plane, float], threshold: Mapping[finding.Plane, float]) -> str:
    """List planes' best probabilities beside a threshold."""
    return ", ".join(f"{plane} {_beside(value, threshold[plane])}" for plane, value in seen.items())


def _beside(value: float, threshold: float) -> str:
    """Write a comparison."""
    told, limit = _apart(value, threshold)
    return f"{told} {'>=' if value >= threshold else '<'} {limit}"


def _apart(value: float, threshold: float) -> tuple[str, str]:
    """Write two probabilities with as many digits as tell them apart and from 1: thresholds lie close to it."""
    for digits in range(3, 10):
        told, limit = f"{value:.{digits}g}", f"{threshold:.{digits}g}"
        if told != limit and (told != "1" or value == 1) and (limit != "1" or threshold == 1):
            return told, limit
    return f"{value:.3g}", f"{threshold:.3g}"
