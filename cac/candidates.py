"""Candidates: connected sets of voxels >= 130 HU in the heart envelope, whatever their size."""

from collections.abc import Sequence

import numpy as np

from cac import components, finding, reasons, volume


def calcium(scan: volume.Volume, region: volume.BoolArray) -> volume.BoolArray:
    """Return the voxels of a region (slice, row, column) that reach 130 HU."""
    reached = np.zeros_like(region)
    box = components.bounds(region)
    reached[box] = region[box] & (scan.hu[box] >= volume.CALCIUM_HU)
    return reached


def find(scan: volume.Volume, envelope: volume.BoolArray) -> components.Components:
    """Find every candidate (26-connected).

    Sets are cut at the envelope first: what enters from outside is judged by its part inside (section 5). No size
    rule may drop one.
    """
    return components.find(calcium(scan, envelope))


def describe(
    scan: volume.Volume,
    found: components.Components,
    best: dict[finding.Plane, volume.FloatArray],
    verdicts: Sequence[tuple[finding.CandidateStatus, reasons.Reason]],
    slab_of: components.IntArray,
) -> tuple[finding.Candidate, ...]:
    """Describe each candidate with its place, each plane's best probability, and what was decided and why.

    `slab_of` is the slice of `scan` that stands for each native one (`cac.slabs.Slabs`).
    """
    peaks = found.maxima(scan.hu.reshape(-1)[found.voxels]).tolist()
    centres = found.centres(scan).tolist()
    sizes = found.sizes.tolist()
    shown = _native(_fullest(found), slab_of).tolist()
    probability = {plane: values.tolist() for plane, values in best.items()}
    return tuple(
        finding.Candidate(
            number=number + 1,
            centre=(x, y, z),
            slice_number=shown[number] + 1,
            voxels=sizes[number],
            volume_mm3=sizes[number] * scan.voxel_mm3,
            max_hu=peaks[number],
            probabilities={plane: values[number] for plane, values in probability.items()},
            status=status,
            reason=why,
            doubt=why.code if status is finding.CandidateStatus.DOUBT else None,
        )
        for number, ((x, y, z), (status, why)) in enumerate(zip(centres, verdicts, strict=True))
    )


def _fullest(found: components.Components) -> components.IntArray:
    """Return the slice that holds most voxels of each component, the first of equals."""
    depth = found.shape[0]
    pairs, counts = np.unique(found.numbers * depth + found.coordinates[0], return_counts=True)
    owner = pairs // depth
    order = np.lexsort((pairs, -counts, owner))
    _, first = np.unique(owner[order], return_index=True)
    return np.asarray(pairs[order][first] % depth, dtype=np.int64)


def _native(working: components.IntArray, slab_of: components.IntArray) -> components.IntArray:
    """Return the middle one of the native slices that each working slice stands for."""
    first, after = (np.searchsorted(slab_of, working, side=side) for side in ("left", "right"))
    return np.asarray((first + np.maximum(after, first + 1) - 1) // 2, dtype=np.int64)
