"""Fusion: what the three planes accept together, what stays in doubt, and what is rejected."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from cac import components, finding, joint, reasons, specks, volume

EXTENT = 0.5
"""The paper's threshold, at which the planes must agree on a voxel. `Joint.accept`, which tells calcium from mimics by
a candidate's most convincing voxel, may be far above it, and would cut lesions short."""
GROWN = 0.3
"""Mean of the planes' probabilities down to which a lesion reaches from where they agree. A reader takes the whole
plaque; each plane misses parts of its own, so that the intersection alone holds as little as a third of one."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Votes:
    """Hold what the planes say of each candidate, and the thresholds on it.

    `best` is each plane's maximum over a candidate's voxels, `together` that of what the planes say together
    (`cac.joint`), and `shared` the same of voxels that each plane calls calcium (0 without any): `accept` is each
    candidate's threshold on that. `alone` is the one at which the planes' own maxima are a doubt, wherever they lie.
    `specks` tells which candidates are some (`cac.specks`).
    """

    best: dict[finding.Plane, volume.FloatArray]
    together: volume.FloatArray
    shared: volume.FloatArray
    accept: volume.FloatArray
    alone: float
    specks: volume.BoolArray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fusion(Votes):
    """Hold what became of each candidate.

    `agreed` is how many of its voxels were accepted before the clean-up; `status` and `doubt` run over the candidates;
    `lesions` are the connected accepted voxels after the clean-up; `doubt_mask` shows the candidates in doubt and the
    pieces the 2D rule put in doubt.
    """

    agreed: components.IntArray
    status: tuple[finding.CandidateStatus, ...]
    doubt: tuple[reasons.ReasonCode | None, ...]
    lesions: components.Components
    doubt_mask: volume.BoolArray

    @property
    def doubts(self) -> tuple[reasons.Reason, ...]:
        """Return one reason for each kind of doubt that any candidate is in."""
        codes = sorted({code for code in self.doubt if code is not None})
        return tuple(reasons.reason(code, count=self.doubt.count(code)) for code in codes)


def fuse(
    scan: volume.Volume,
    found: components.Components,
    answers: Mapping[finding.Plane, volume.FloatArray],
    spec: finding.NetSpec,
    profile: finding.Profile,
    faded: components.IntArray | None = None,
) -> Fusion:
    """Judge candidates from the planes' probabilities, one a candidate voxel, by the thresholds of `spec`.

    Voxels that reach 130 HU (a candidate the slabs erased has none) and that all three planes call calcium at all
    (`EXTENT`) are accepted in a candidate where one of them passes the joint threshold for that (in a speck, which
    scores nothing, its threshold of doubt too), and with them what lies around and keeps a mean of `GROWN` (the paper's
    own profile stops at the intersection, and asks for no more). A candidate is accepted if voxels are left after the
    2D rule; else it is in doubt where one of its voxels passes two planes' low thresholds, one plane's high one, or the
    joint one (a speck has its own), and where each plane passes the threshold to accept on whatever voxels. `faded`
    (None for native slices) says that `scan` is slabs of thin ones, which overlap, but 130 HU can leave something real
    in one of them only; and which of its voxels (flat) are all that is left of more: a candidate with one is in doubt,
    for the nets never saw what it was.
    """
    paper = profile is finding.Profile.PAPER
    dense = scan.hu.reshape(-1)[found.voxels] >= volume.CALCIUM_HU
    agreeing = dense & _all(answers, EXTENT)
    votes = _votes(found, answers, agreeing, specks.which(scan, found, averaged=faded is not None), spec.joint, paper)
    claimed = votes.shared >= votes.accept
    agreed = agreeing & claimed[found.numbers]
    gapless = paper or (scan.overlapping and faded is None)
    lesions, lone = _cleaned(found, agreed if paper else _grown(found, agreed, dense, answers), gapless)

    survives = _any(found, lesions.mask().reshape(-1)[found.voxels])
    flattened = claimed & ~survives
    # Only the paper drops in silence what all its planes accept: a flat true plaque would end in an absence. Whatever
    # the thresholds of doubt, what each plane is so sure of is in doubt at least.
    settled = survives | (flattened & paper)
    suspected = claimed | _all(votes.best, votes.alone) | _reached(votes.together, votes.specks, spec.joint)
    suspected |= _any(found, _suspected(answers, spec.levels))
    pale = _any(found, np.isin(found.voxels, [] if faded is None else faded)) & ~survives
    doubt = _causes(~_any(found, dense), flattened & (not gapless), suspected & ~settled, pale)
    doubted = found.kept(np.array([code is not None for code in doubt], dtype=bool)).mask()
    return Fusion(
        **vars(votes),
        agreed=found.totals(agreed.astype(np.int64)).astype(np.int64),
        status=tuple(map(_status, survives.tolist(), doubt)),
        doubt=doubt,
        lesions=lesions,
        doubt_mask=doubted if gapless else doubted | lone.mask(),
    )


def _votes(
    found: components.Components,
    answers: Mapping[finding.Plane, volume.FloatArray],
    agreeing: volume.BoolArray,
    small: volume.BoolArray,
    levels: finding.Joint,
    paper: bool,
) -> Votes:
    """Gather what the planes say of each candidate; `agreeing` are the voxels that each of them calls calcium."""
    said = joint.probability(answers)
    alone = EXTENT if paper else levels.accept
    accept = np.full(small.shape, alone, dtype=np.float32)
    if not paper:
        accept[small] = max(alone, levels.speck)
    return Votes(
        best={plane: found.maxima(answers[plane]) for plane in finding.Plane},
        together=found.maxima(said),
        shared=found.maxima(np.where(agreeing, said, np.float32(0))),
        accept=accept,
        alone=alone,
        specks=small,
    )


def _all(answers: Mapping[finding.Plane, volume.FloatArray], level: float) -> volume.BoolArray:
    """Tell what passes a threshold in each plane."""
    return np.asarray(np.logical_and.reduce([answers[plane] >= level for plane in finding.Plane]))


def _grown(
    found: components.Components,
    agreed: volume.BoolArray,
    dense: volume.BoolArray,
    answers: Mapping[finding.Plane, volume.FloatArray],
) -> volume.BoolArray:
    """Return the voxels on which the planes agree with those around them that they together still call calcium."""
    mean = sum((answers[plane] for plane in finding.Plane), np.float32(0)) / np.float32(len(finding.Plane))
    near = dense & (mean >= GROWN) & _any(found, agreed)[found.numbers]
    return np.asarray(grown(_mask(found, agreed), _mask(found, near)).reshape(-1)[found.voxels])


def grown(seeds: volume.BoolArray, near: volume.BoolArray) -> volume.BoolArray:
    """Return seeds and what is near and connected to one through others; masks of the whole volume."""
    pieces = components.find(seeds | near)
    return pieces.kept(_any(pieces, seeds.reshape(-1)[pieces.voxels])).mask()


def _cleaned(
    found: components.Components, taken: volume.BoolArray, gapless: bool
) -> tuple[components.Components, components.Components]:
    """Return the lesions, and the 2D objects that the clean-up took out of them."""
    pieces = components.find(_mask(found, taken))
    flat = np.asarray((pieces.extents() == 1).any(axis=1))
    if not gapless and not flat.all():
        flat = np.zeros_like(flat)  # only a lone 2D object is in doubt; beside a lesion it is calcium
    return pieces.kept(~flat), pieces.kept(flat)


def _mask(found: components.Components, voxels: volume.BoolArray) -> volume.BoolArray:
    """Return some of the candidates' voxels as a mask of the whole volume."""
    mask = np.zeros(found.shape, dtype=bool)
    mask.reshape(-1)[found.voxels[voxels]] = True
    return mask


def _any(found: components.Components, voxels: volume.BoolArray) -> volume.BoolArray:
    return np.asarray(found.maxima(voxels.astype(np.float32)) > 0)


def _suspected(
    answers: Mapping[finding.Plane, volume.FloatArray], levels: Mapping[finding.Plane, finding.Levels]
) -> volume.BoolArray:
    """Tell which voxels pass the low threshold in two planes, or the high one in any."""
    low = sum((answers[plane] >= levels[plane].low).astype(np.int64) for plane in finding.Plane)
    high = np.logical_or.reduce([answers[plane] >= levels[plane].high for plane in finding.Plane])
    return np.asarray((low >= 2) | high)


def _reached(together: volume.FloatArray, small: volume.BoolArray, levels: finding.Joint) -> volume.BoolArray:
    """Tell which candidates pass the joint threshold of doubt; what is no number does."""
    # Both in the probabilities' own precision, as a single threshold is compared.
    return ~(together < np.where(small, np.float32(levels.speck), np.float32(levels.other)))


def _causes(
    erased: volume.BoolArray, thin: volume.BoolArray, uncertain: volume.BoolArray, pale: volume.BoolArray
) -> tuple[reasons.ReasonCode | None, ...]:
    codes = reasons.ReasonCode
    causes = (
        (erased, codes.ERASED_BY_SLABS),
        (thin, codes.THIN_LESION),
        (uncertain, codes.CANDIDATE_IN_DOUBT),
        (pale, codes.FADED_BY_SLABS),
    )
    return tuple(next((code for true, code in causes if true[n]), None) for n in range(erased.size))


def _status(accepted: bool, doubt: reasons.ReasonCode | None) -> finding.CandidateStatus:
    if accepted:
        return finding.CandidateStatus.ACCEPTED
    return finding.CandidateStatus.REJECTED if doubt is None else finding.CandidateStatus.DOUBT
