"""Hold a finding against a labelled scan's truth, on the grids that the node itself uses."""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cac import agatston, candidates, components, finding, heart, reasons, slabs, specks, views, volume
from training import labelled, levels
from training.judging import rows

FAINT = 1e-3
"""False candidates that every net calls calcium less surely than this are counted only."""
BONE_MM3 = 2000.0
"""Where nobody names hard negatives, a candidate that belongs to so much at or above 130 HU is bone."""
ARTERIES = (labelled.Label.LM, labelled.Label.LAD, labelled.Label.LCX, labelled.Label.RCA)

Codes = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """Hold a labelled scan as the pipeline sees it, made once for all ways of judging.

    `label` carries the truth to the working grid: slabs show a lesion wherever a slice that they average does.
    `located` is None where no heart is found; `found` are then no candidates, and `what` names each of them.
    """

    scan: labelled.LabelledScan
    working: slabs.Slabs
    located: heart.Heart | None
    label: Codes
    found: components.Components
    what: tuple[str, ...]
    true: volume.BoolArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class About:
    """Hold what a row says of how it came about; see `rows.Row`."""

    set_name: str
    synthetic: bool
    data: str
    making: float


def survey(scan: labelled.LabelledScan, profile: finding.Profile = finding.Profile.DEFAULT) -> Ground:
    """Locate the heart and find the candidates as the pipeline does, and name each by the truth."""
    working = slabs.native(scan.volume) if profile is finding.Profile.PAPER else slabs.prepare(scan.volume)
    located = heart.locate(working.scan, profile=profile)
    label = _carried(scan.truth, scan.volume, working)
    if located is None:
        found = components.find(np.zeros(label.shape, bool))
    elif profile is finding.Profile.PAPER:
        found = candidates.find(working.scan, views.inside(located.box, working.scan))
    else:
        found = candidates.find(working.scan, located.envelope)
        found = found.joined(slabs.hidden(scan.volume, working, located.envelope).erased)
    codes = label.reshape(-1)[found.voxels]
    true = found.maxima((codes > 0).astype(np.float32)) > 0
    origins = _origins(scan, working, found)
    arteries = [str(labelled.Label(code).name) for code in _commonest(found, codes)]
    what = [artery if is_true else origin for artery, origin, is_true in zip(arteries, origins, true, strict=True)]
    return Ground(
        scan=scan, working=working, located=located, label=label, found=found, what=tuple(what), true=np.asarray(true)
    )


def digest(scan: labelled.LabelledScan) -> str:
    """Return the SHA-256 (hex) of a scan's voxels and truth."""
    held = hashlib.sha256(np.rint(scan.volume.hu).astype("<i2").tobytes())
    held.update(np.ascontiguousarray(scan.truth).tobytes())
    held.update(repr((scan.volume.spacing, scan.volume.thickness)).encode())
    return held.hexdigest()


def row(ground: Ground, answer: finding.CalciumFinding, way: tuple[str, str], seconds: float, about: About) -> rows.Row:
    """Judge a finding; `way` is the architecture and the digest of its nets and thresholds."""
    suitable = answer.outcome is not finding.Outcome.UNSUITABLE
    kept, faint = _spots(ground, answer)
    nothing = np.zeros(ground.label.shape, bool)
    mask = nothing if answer.mask is None else answer.mask
    return rows.Row(
        **_common(ground, way, about, mask),
        outcome=answer.outcome.value,
        reasons=tuple(reason.code.value for reason in answer.reasons),
        found=sum((lesion.agatston for lesion in answer.lesions), 0.0) if suitable else None,
        arteries=_arteries(ground, mask, nothing if answer.doubt_mask is None else answer.doubt_mask),
        spots=kept,
        faint=faint,
        seconds=seconds,
    )


def baseline(ground: Ground, answer: finding.CalciumFinding, about: About) -> rows.Row:
    """Judge the rule that every voxel >= 130 HU in the heart envelope is calcium; unsuitable as the pipeline says."""
    located = ground.located if answer.outcome is not finding.Outcome.UNSUITABLE else None
    mask = np.zeros(ground.label.shape, bool)
    if located is not None:
        mask = candidates.calcium(ground.working.scan, located.envelope)
    outcome = finding.Outcome.PRESENT if mask.any() else finding.Outcome.ABSENT
    return rows.Row(
        **_common(ground, (rows.THRESHOLD, ""), about, mask),
        outcome=(outcome if located else finding.Outcome.UNSUITABLE).value,
        reasons=() if located else tuple(reason.code.value for reason in answer.reasons),
        found=agatston.score(ground.working.scan, mask) if located else None,
        arteries=_arteries(ground, mask, np.zeros_like(mask)),
        spots=(),
        faint={},
        seconds=0.0,
    )


def _common(ground: Ground, way: tuple[str, str], about: About, mask: volume.BoolArray) -> dict[str, Any]:
    """Fill in what a row says of the scan, and of the calcium mask on its own grid."""
    scan, native = ground.scan, ground.scan.volume
    truth = scan.truth > 0
    # Thin slices: each takes the mask of the slab nearest to it, and counts where it reaches 130 HU itself.
    answer = mask[ground.working.slab_of] & (native.hu >= volume.CALCIUM_HU)
    tp, fp, fn = (
        float(np.count_nonzero(part) * native.voxel_mm3) for part in (truth & answer, answer & ~truth, truth & ~answer)
    )
    lesions, outside, cut = _outside(ground)
    return {
        **dataclasses.asdict(about),
        "name": scan.name,
        "patient": scan.patient,
        "source": scan.source,
        "way": way[0],
        "models": way[1],
        "positive": bool(truth.any()),
        "true": agatston.score(ground.working.scan, ground.label > 0),
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "lesions": lesions,
        "outside": outside,
        "cut": cut,
        "averaged": ground.working.averaged,
    }


def _carried(codes: Codes, native: volume.Volume, working: slabs.Slabs) -> Codes:
    """Carry codes to the working grid: a slab shows what any slice that it averages shows."""
    if not working.averaged:
        return codes
    carried = np.zeros(working.scan.hu.shape, np.uint8)
    increment = native.spacing[0]
    for number in np.flatnonzero(codes.any(axis=(1, 2))):
        low, high = number * increment, (number + 1) * increment
        first = max(int(np.floor((low - slabs.SLAB_MM) / slabs.STEP_MM + 1e-6)) + 1, 0)
        for slab in range(first, min(int(np.ceil(high / slabs.STEP_MM - 1e-6)), len(carried))):
            np.maximum(carried[slab], codes[number], out=carried[slab])
    return carried


def _commonest(found: components.Components, codes: Codes) -> NDArray[np.intp]:
    """Return each component's commonest code other than 0, and 0 where it has none; codes one a voxel."""
    counts = np.zeros((found.count, 256), np.int64)
    np.add.at(counts, (found.numbers, codes), 1)
    counts[:, 0] = 0
    return counts.argmax(axis=1)


def _origins(scan: labelled.LabelledScan, working: slabs.Slabs, found: components.Components) -> list[str]:
    """Name each candidate's class of hard negative: what is named, else noise; else what can be told without names."""
    if scan.origins is not None:
        codes = _carried(scan.origins, scan.volume, working).reshape(-1)[found.voxels]
        names = ("noise", *scan.classes)
        return [names[code] for code in _commonest(found, codes)]
    dense = components.find(working.scan.hu >= volume.CALCIUM_HU)
    large = dense.kept(dense.sizes * working.scan.voxel_mm3 >= BONE_MM3).mask().reshape(-1)[found.voxels]
    bony = found.maxima(large.astype(np.float32)) > 0
    return ["bone" if each else "unnamed" for each in bony.tolist()]


def _spots(ground: Ground, answer: finding.CalciumFinding) -> tuple[tuple[rows.Spot, ...], Mapping[str, int]]:
    """Describe the candidates, and count those that are faint."""
    if len(answer.candidates) not in (0, ground.found.count):
        raise RuntimeError(f"{ground.scan.name}: {len(answer.candidates)} candidates, not {ground.found.count}")
    kept, faint = [], collections.Counter[str]()
    own = _own(answer)
    small = specks.which(ground.working.scan, ground.found, averaged=ground.working.averaged).tolist()
    told = zip(answer.candidates, ground.what, ground.true.tolist(), small, own, strict=False)
    for each, what, true, speck, said in told:
        by_nets = each.doubt in (None, reasons.ReasonCode.CANDIDATE_IN_DOUBT)
        if by_nets and not true and max(each.probabilities.values()) < FAINT:
            faint[what] += 1
            continue
        kept.append(
            rows.Spot(
                probabilities=_told([each.probabilities[plane] for plane in finding.Plane]),
                voxelwise=tuple(map(_told, levels.unexceeded(said).tolist())),
                status=each.status.value,
                doubt=None if each.doubt is None else each.doubt.value,
                voxels=each.voxels,
                max_hu=each.max_hu,
                speck=speck,
                true=true,
                what=what,
            )
        )
    return tuple(kept), dict(faint)


def _own(answer: finding.CalciumFinding) -> list[NDArray[np.float32]]:
    """Return each candidate's probabilities, shape (voxel, plane)."""
    if not answer.candidates:
        return []
    said = np.stack([answer.answers[plane] for plane in finding.Plane], axis=1)
    return np.split(said, np.cumsum([each.voxels for each in answer.candidates])[:-1])


def _told(probabilities: Sequence[float]) -> rows.Triple:
    axial, sagittal, coronal = (float(f"{each:.9g}") for each in probabilities)
    return axial, sagittal, coronal


def _arteries(ground: Ground, mask: volume.BoolArray, doubted: volume.BoolArray) -> dict[str, rows.Artery]:
    """Score each artery that the truth names, and what of it was found."""
    named = {}
    for artery in ARTERIES:
        own = ground.label == artery
        if own.any():
            named[artery.name] = rows.Artery(
                true=agatston.score(ground.working.scan, own),
                found=agatston.score(ground.working.scan, own & mask),
                accepted=bool((own & mask).any()),
                doubted=bool((own & doubted).any()),
            )
    return named


def _outside(ground: Ground) -> tuple[int, int, int]:
    """Count the lesions, those wholly outside the heart envelope, and those partly so."""
    lesions = components.find(candidates.calcium(ground.working.scan, ground.label > 0))
    if ground.located is None:
        return lesions.count, lesions.count, 0
    inside = ground.located.envelope.reshape(-1)[lesions.voxels].astype(np.float32)
    share = lesions.totals(inside) / np.maximum(lesions.sizes, 1)
    return lesions.count, int((share == 0).sum()), int(((share > 0) & (share < 1)).sum())
