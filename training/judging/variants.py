"""Variants of the pipeline on the same nets' answers: what each step is worth (the ablation table)."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cac import candidates, components, finding, fusion, heart, sheets, views, volume
from triage import manifest

LEVEL = fusion.EXTENT
"""The paper's threshold, in every variant."""
ALL = tuple(finding.Plane)
NEVER = 2.0
_SPEC = finding.NetSpec(
    levels=dict.fromkeys(ALL, finding.Levels(low=NEVER, high=NEVER)),
    joint=finding.Joint(accept=LEVEL, other=NEVER, speck=NEVER),
)

Nets: TypeAlias = tuple[str, str]
"""A folder of models and an architecture in it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """Hold one way through the pipeline; the defaults are the reference, as near to the paper as the nets allow.

    `crop` 'mm': the node's box at the nets' spacing; 'px': a box of 320 x 320 native pixels at the nets' spacing;
    'native': the same pixels shown as they are. `fuse` 'and': every plane reaches 0.5; 'product': the probabilities'
    product reaches 0.5 to the power of the number of planes; 'majority': two planes or more reach 0.5. `grown` lets
    lesions reach on as `cac.fusion` does.
    `rule` for 2D objects 'off', 'paper' (dropped) or 'spacing-aware' (`cac.fusion`, whose lone thin lesion on slices
    that do not overlap is in doubt). `gate` demands 130 HU, `envelope` the heart envelope besides the box.
    """

    name: str
    nets: Nets
    crop: str = "mm"
    planes: tuple[finding.Plane, ...] = ALL
    fuse: str = "and"
    grown: bool = False
    rule: str = "paper"
    gate: bool = True
    envelope: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Hold what the nets answer in a box: at each voxel >= 130 HU, and wherever any plane reaches 0.5.

    `voxels` are flat indices into the scan, rising; `probabilities` has shape (plane, voxel), planes in `ALL`'s order.
    """

    box: heart.Box
    voxels: components.IntArray
    probabilities: volume.FloatArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Hold what a scan came to: called negative or not, and mm3 of its calcium mask against the truth."""

    negative: bool
    tp: float
    fp: float
    fn: float


def listed(reference: Nets, architectures: tuple[str, ...], widths: Mapping[str, str]) -> tuple[Variant, ...]:
    """List the reference and each single change of it; `widths` names folders of other base widths."""
    folder, architecture = reference
    made = [
        Variant(
            name=f"reference: {architecture}, box in mm, AND of three at 0.5, >= 130 HU, paper's 2D rule, no envelope",
            nets=reference,
        ),
        Variant(name="crop: 320 native px, resampled", nets=reference, crop="px"),
        Variant(name="crop: 320 native px, as they are", nets=reference, crop="native"),
        Variant(name="2D rule: off", nets=reference, rule="off"),
        Variant(name="2D rule and extent: the node's (spacing-aware, grown)", nets=reference, rule="spacing-aware"),
        Variant(name="extent: grown down to a mean of 0.3", nets=reference, grown=True),
        Variant(name="fusion: product of probabilities >= 0.125", nets=reference, fuse="product"),
        Variant(name="fusion: majority (two of three)", nets=reference, fuse="majority"),
        *(Variant(name=f"one plane: {plane}", nets=reference, planes=(plane,)) for plane in ALL),
        Variant(name="HU gate: off", nets=reference, gate=False),
        Variant(name="heart envelope: on", nets=reference, envelope=True),
    ]
    others = (other for other in architectures if other != architecture)
    made += [Variant(name=f"architecture: {other}", nets=(folder, other)) for other in others]
    made += [Variant(name=f"base width: {width}", nets=(where, architecture)) for width, where in widths.items()]
    return tuple(made)


def widths(asked: Sequence[str]) -> dict[str, str]:
    """Read WIDTH=FOLDER; ValueError, ModelError where a folder's nets are of another width."""
    told = {}
    for each in asked:
        width, _, folder = each.partition("=")
        if not width.isdigit() or not folder or width in told:
            raise ValueError(f"--width {each}: say WIDTH=FOLDER, such as 16=build/width16, each width once")
        stated = manifest.load(pathlib.Path(folder) / "manifest.json")
        if own := {_base_width(net) for net in stated.nets if "joined" not in net.recipe} - {width}:
            raise ValueError(f"--width {each}: its nets are of base width {', '.join(sorted(own))}")
        told[width] = folder
    return told


def _base_width(net: manifest.Net) -> str:
    turns = net.recipe.get("turns") or [{}]
    return str(turns[-1].get("config", {}).get("net", {}).get("width", "unknown"))


def ask(
    scan: volume.Volume, box: heart.Box, predict: finding.Predict, spec: finding.NetSpec, crop: str = "mm"
) -> Answers:
    """Ask the three nets about the whole box, once for all variants of one crop."""
    if crop != "mm":
        box = dataclasses.replace(
            box, size_mm=(heart.PAPER_BOX_PX * scan.spacing[1], heart.PAPER_BOX_PX * scan.spacing[2])
        )
    if crop == "native":
        spec = dataclasses.replace(spec, spacing=(spec.spacing[0], *scan.spacing[1:]))
    shown = views.crop(scan, box, spec)
    answers = dict(sheets.probabilities(shown, predict, spec))
    region = views.inside(box, scan)
    places, values = [], []
    for number in np.flatnonzero(region.any(axis=(1, 2))):  # slice by slice: the box holds millions of voxels
        own = np.flatnonzero(region[number]) + int(number) * region[0].size
        part = components.Components(shape=scan.hu.shape, voxels=own, sizes=np.array([own.size]))
        said = np.stack([views.to_source(shown, answers[plane], part) for plane in ALL])
        worth = (scan.hu.reshape(-1)[own] >= volume.CALCIUM_HU) | (said >= LEVEL).any(axis=0)
        places.append(own[worth])
        values.append(said[:, worth])
    return Answers(box=box, voxels=np.concatenate(places), probabilities=np.concatenate(values, axis=1))


def accepted(variant: Variant, probabilities: volume.FloatArray) -> volume.BoolArray:
    """Tell which voxels a variant's planes call calcium together; `probabilities` as in `Answers`."""
    chosen = probabilities[[ALL.index(plane) for plane in variant.planes]]
    if variant.fuse == "product":
        return np.asarray(chosen.prod(axis=0, dtype=np.float64) >= LEVEL ** len(chosen))
    needed = 2 if variant.fuse == "majority" else len(chosen)
    return np.asarray((chosen >= LEVEL).sum(axis=0) >= needed)


def mask(
    variant: Variant, scan: volume.Volume, answers: Answers, envelope: volume.BoolArray
) -> tuple[volume.BoolArray, bool]:
    """Return a variant's calcium (slice, row, column), and whether anything is in doubt beside it."""
    if variant.rule == "spacing-aware":
        return _spacing_aware(variant, scan, answers, envelope)
    kept = accepted(variant, answers.probabilities)
    if variant.gate:
        kept &= scan.hu.reshape(-1)[answers.voxels] >= volume.CALCIUM_HU
    if variant.envelope:
        kept &= envelope.reshape(-1)[answers.voxels]
    made = _mask(scan, answers.voxels[kept])
    if variant.grown:
        dense = scan.hu.reshape(-1)[answers.voxels] >= volume.CALCIUM_HU
        near = dense & (answers.probabilities.mean(axis=0) >= fusion.GROWN)
        made = fusion.grown(made, _mask(scan, answers.voxels[near]))
    if variant.rule == "paper":
        pieces = components.find(made)
        made = pieces.kept(np.asarray((pieces.extents() > 1).all(axis=1))).mask()
    return made, False


def _mask(scan: volume.Volume, voxels: components.IntArray) -> volume.BoolArray:
    made = np.zeros(scan.hu.shape, dtype=bool)
    made.reshape(-1)[voxels] = True
    return made


def _spacing_aware(
    variant: Variant, scan: volume.Volume, answers: Answers, envelope: volume.BoolArray
) -> tuple[volume.BoolArray, bool]:
    """Let `cac.fusion` apply the node's rule.

    What can be in doubt at these levels is an accepted 2D object, or what each plane accepts on other voxels.
    """
    if variant.planes != ALL or variant.fuse != "and" or not variant.gate:
        raise ValueError(f"{variant.name}: the spacing-aware rule is the node's, with its own fusion")
    region = views.inside(answers.box, scan)
    found = candidates.find(scan, region & envelope if variant.envelope else region)
    place = np.searchsorted(answers.voxels, found.voxels)
    said = {plane: answers.probabilities[number, place] for number, plane in enumerate(ALL)}
    fused = fusion.fuse(scan, found, said, _SPEC, finding.Profile.DEFAULT)
    return fused.lesions.mask(), bool(fused.doubts)


def judge(scan: volume.Volume, truth: NDArray[np.bool_], calcium: volume.BoolArray, negative: bool) -> Verdict:
    """Hold a mask against the truth, both on the scan's grid."""
    parts = (truth & calcium, calcium & ~truth, truth & ~calcium)
    tp, fp, fn = (float(np.count_nonzero(part) * scan.voxel_mm3) for part in parts)
    return Verdict(negative=negative, tp=tp, fp=fp, fn=fn)
