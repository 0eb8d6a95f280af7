"""orCaScore: `NAMECTI.mhd`, the scan without contrast, and `NAMER.mhd`, its labels: 1 LAD with LM, 2 LCX, 3 RCA.

`NAME.mhd` with `NAME_label.mhd` does as well. Calcium is above 130 HU, not at it.
"""

import functools
import pathlib

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everybody calls it
from numpy.typing import NDArray

from cac import volume
from training import errors, labelled
from training.readers import pairs, site

SOURCE = "orCaScore (its terms forbid redistribution)"
LABELS: site.Names = {"1": labelled.Label.LAD, "2": labelled.Label.LCX, "3": labelled.Label.RCA}
"""LAD holds the main stem too."""
_MASKS = ("R", "_label")


def find(folder: pathlib.Path, said: site.Site) -> list[site.Entry]:
    """List the cases: every scan without contrast, with labels or not."""
    files: dict[str, pathlib.Path] = {}
    for path in sorted(folder.rglob("*.mhd")):
        if path.stem in files:
            msg = f"{files[path.stem]} and {path} bear one name"
            raise errors.DatasetError(msg)
        files[path.stem] = path
    taken = {f"{name}{mask}" for name in (_bare(stem) for stem in files) for mask in _MASKS}
    images = [stem for stem in files if stem not in taken and not stem.endswith("CTAI")]
    return [
        site.Entry(name=_bare(stem), read=functools.partial(read, _bare(stem), files[stem], _mask(stem, files), said))
        for stem in sorted(images, key=site.natural)
    ]


def read(name: str, image: pathlib.Path, mask: pathlib.Path | None, said: site.Site) -> labelled.LabelledScan:
    """Read one scan; RefusedCase."""
    if mask is None and name not in said.zeros:
        raise errors.NotAnnotated(name, f"there is no {name}R.mhd: not annotated, which is not zero")
    kind = pairs.Format(source=SOURCE, load=_load, labels=LABELS, strictly=True)
    return pairs.read(name, image, mask, said, kind)


def _load(name: str, path: pathlib.Path) -> tuple[volume.FloatArray, NDArray[np.float64]]:
    """Return voxels (i, j, k) and the affine to RAS, as NIfTI has them."""
    try:
        read = sitk.ReadImage(str(path))
    except RuntimeError as exc:
        raise errors.Unreadable(name, f"{path.name} cannot be read as an image") from exc
    if read.GetDimension() != 3:
        raise errors.Unreadable(name, f"{path.name} has {read.GetDimension()} axes, not 3")
    affine = np.eye(4)
    affine[:3, :3] = np.array(read.GetDirection()).reshape(3, 3) * np.array(read.GetSpacing())
    affine[:3, 3] = read.GetOrigin()
    return sitk.GetArrayFromImage(read).T.astype(np.float32), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _bare(stem: str) -> str:
    return stem.removesuffix("CTI")


def _mask(stem: str, files: dict[str, pathlib.Path]) -> pathlib.Path | None:
    return next((files[f"{_bare(stem)}{end}"] for end in _MASKS if f"{_bare(stem)}{end}" in files), None)
