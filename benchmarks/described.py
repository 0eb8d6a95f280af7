"""Where a person who looked saw calcium in the real series, and what the nets accept elsewhere.

The places are those of each series' SOURCE.txt, read by a non-clinician: no expert's label exists.
`python -m benchmarks.described SERIES_FOLDER` takes a folder with one folder a series, and overrides the gate where it
says no.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import pictures
from cac import components, finding, volume
from triage import errors, manifest
from worker import inference

MARGIN_MM = 8.0
"""In plane, about a place that was noted as a few pixels; along the stack one slice."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Hold a place that was seen: first and last slice (0 is the uppermost), row and column, all inclusive."""

    name: str
    slices: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    def holds(self, found: components.Components, spacing: Sequence[float]) -> volume.BoolArray:
        """Tell of each component whether any of its voxels lies in the place or its margin."""
        spans = (self.slices, self.rows, self.columns)
        beyond = (1.0, MARGIN_MM / spacing[1], MARGIN_MM / spacing[2])
        inside = np.ones(found.voxels.size, bool)
        for at, (low, high), margin in zip(found.coordinates, spans, beyond, strict=True):
            inside &= (at >= low - margin) & (at <= high + margin)
        return np.asarray(found.maxima(inside.astype(np.float32)) > 0)


SEEN: Mapping[str, tuple[Place, ...]] = {
    "lidc_idri_0002_zero": (),
    "acrin_nsclc_042_marked_calcium": (
        Place(name="left main, LAD, LCx", slices=(67, 69), rows=(194, 200), columns=(281, 292)),
        Place(name="mid RCA", slices=(73, 75), rows=(158, 158), columns=(230, 236)),
        # Noted without rows and columns: those are where the picture shows it.
        Place(name="aortic root or proximal RCA", slices=(69, 73), rows=(168, 180), columns=(248, 262)),
    ),
    "nlst_101287_calcium_sharp_kernel": (
        Place(name="LAD", slices=(68, 71), rows=(208, 216), columns=(305, 320)),
        Place(name="left main or aortic root", slices=(63, 71), rows=(222, 222), columns=(255, 262)),
        Place(name="LCx or mitral annulus", slices=(86, 88), rows=(248, 248), columns=(302, 302)),
    ),
    "lung_pet_ct_dx_A0001_5mm": (),
}


def main() -> None:
    """Say of each series what is accepted in each place, and list what is accepted or in doubt elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path, default=pictures.MODELS)
    asked = parser.parse_args()
    lacking = [name for name in SEEN if not any((asked.series / name).glob("*.dcm"))]
    if lacking:
        parser.error(f"{asked.series} holds no DICOM files in {', '.join(lacking)}")
    try:
        stated = manifest.load(asked.models / "manifest.json")
    except errors.ModelError as exc:
        parser.error(str(exc))
    for architecture in stated.architectures:
        engine = inference.load(stated, asked.models, architecture, device="cpu", threads=2)
        for name, places in SEEN.items():
            found, _ = pictures.look(asked.series / name, engine)
            named = ", ".join(reason.code.value for reason in found.reasons)
            print(f"\n{architecture}, {name}: {found.outcome.value} ({named}), Agatston {found.agatston}")
            print("\n".join(f"  {line}" for line in told(found, places)), flush=True)


def told(found: finding.CalciumFinding, places: Sequence[Place]) -> list[str]:
    """Say what of a finding lies in the places, and what does not; voxels >= 130 HU."""
    scan = found.scored
    if scan is None or found.mask is None:
        return ["no heart was looked at"]
    accepted = components.find(found.mask)
    left = np.ones(accepted.count, bool)
    lines = []
    for place in places:
        here = place.holds(accepted, scan.spacing)
        left &= ~here
        lines.append(f"{place.name}: {here.sum()} lesions of {accepted.sizes[here].sum()} voxels accepted")
    lines.append(f"elsewhere: {left.sum()} lesions of {accepted.sizes[left].sum()} voxels accepted")
    for each in np.flatnonzero(left):
        at = [round(float(axis[accepted.numbers == each].mean())) for axis in accepted.coordinates]
        lines.append(f"  slice, row, column {at}: {accepted.sizes[each]} voxels")
    doubts = [each for each in found.candidates if each.status is finding.CandidateStatus.DOUBT]
    lines.append(f"in doubt: {len(doubts)} candidates of {sum(each.voxels for each in doubts)} voxels")
    return lines


if __name__ == "__main__":
    main()
