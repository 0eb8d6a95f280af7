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
    status: Sequence[finding.CandidateStatus],
    doubt: Sequence[reasons.ReasonCode | None],
) -> tuple[finding.Candidate, ...]:
    """Describe each candidate with its place and each plane's best probability."""
    peaks = found.maxima(scan.hu.reshape(-1)[found.voxels]).tolist()
    centres = found.centres(scan).tolist()
    sizes = found.sizes.tolist()
    probability = {plane: values.tolist() for plane, values in best.items()}
    return tuple(
        finding.Candidate(
            number=number + 1,
            centre=(x, y, z),
            voxels=sizes[number],
            max_hu=peaks[number],
            probabilities={plane: values[number] for plane, values in probability.items()},
            status=status[number],
            doubt=doubt[number],
        )
        for number, (x, y, z) in enumerate(centres)
    )
