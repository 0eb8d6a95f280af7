"""A small scan, answers given as numbers or maps, and what fusion makes of them."""

import dataclasses

import numpy as np

from cac import candidates, finding, fusion, volume

NEVER = finding.Joint(accept=1.0, other=1.0, speck=1.0)


def spec_of(accept: float, low: float, high: float, joint: finding.Joint = NEVER) -> finding.NetSpec:
    """Return thresholds that are the same in each plane; unless named, no joint ones of doubt."""
    levels = finding.Levels(low=low, high=high)
    together = dataclasses.replace(joint, accept=accept)
    return finding.NetSpec(levels=dict.fromkeys(finding.Plane, levels), joint=together)


SPEC = spec_of(0.5, 0.2, 0.8)
SHAPE = (6, 12, 12)
CUBE = (slice(1, 3), slice(2, 4), slice(2, 4))
FLAT = (slice(4, 5), slice(8, 10), slice(8, 10))


def scan_of(*places: tuple[slice, ...], overlap: bool = True, pixel: float = 0.5, hu: float = 300) -> volume.Volume:
    values = np.zeros(SHAPE, dtype=np.float32)
    for place in places:
        values[place] = hu
    return volume.Volume(hu=values, spacing=(1.5 if overlap else 3.0, pixel, pixel), thickness=3.0)


def judge(
    scan: volume.Volume,
    axial: float | np.ndarray,
    sagittal: float | np.ndarray,
    coronal: float | np.ndarray,
    profile: finding.Profile = finding.Profile.DEFAULT,
    spec: finding.NetSpec = SPEC,
    faded: np.ndarray | None = None,
) -> fusion.Fusion:
    """Fuse answers given as one number or as a map of the scan's shape."""
    found = candidates.find(scan, np.ones(SHAPE, dtype=bool))
    maps = zip(finding.Plane, (axial, sagittal, coronal), strict=True)
    answers = {p: np.broadcast_to(np.float32(m), SHAPE).reshape(-1)[found.voxels] for p, m in maps}
    return fusion.fuse(scan, found, answers, spec, profile, faded)
