"""An image and a mask in two files on one grid, as NIfTI and orCaScore have them, made one labelled scan."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cac import volume
from training import labelled
from training.readers import checks, grids, site

Load: TypeAlias = Callable[[str, pathlib.Path], tuple[volume.FloatArray, NDArray[np.float64]]]
"""Read a case's file: voxels (i, j, k) and the affine to RAS; RefusedCase."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """Hold a format: its name, how a file is read, what numbers mean, and whether calcium must exceed 130 HU."""

    source: str
    load: Load
    labels: site.Names
    strictly: bool = False


def read(
    name: str, image: pathlib.Path, mask: pathlib.Path | None, said: site.Site, kind: Format
) -> labelled.LabelledScan:
    """Read one pair; without a mask, which the caller has allowed, nothing is calcium. RefusedCase."""
    scan, affine = kind.load(name, image)
    drawn = np.zeros(scan.shape, np.float32)
    if mask is not None:
        drawn, other = kind.load(name, mask)
        grids.same(name, (scan.shape, affine), (drawn.shape, other))
    turned, codes = grids.oriented(name, scan, affine, grids.codes(name, drawn, said, kind.labels), said)
    return labelled.LabelledScan(
        name=name,
        patient=said.patient_of(name),
        source=kind.source,
        volume=turned,
        truth=checks.truth(name, turned, codes, said, strictly=kind.strictly),
    )
