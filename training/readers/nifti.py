"""Pairs of NIfTI files, image and mask, in two folders.

A mask bears its image's name; `_0000` behind an image's name and `_mask`, `_seg` or `_label` behind a mask's do not
count. A mask of 1 is calcium whose artery nobody named; other numbers need a meaning.
"""

import functools
import pathlib
import re
import zlib

import nibabel
import numpy as np
from nibabel import filebasedimages
from numpy.typing import NDArray

from cac import volume
from training import errors, labelled
from training.readers import pairs, site

SOURCE = "NIfTI pairs of the site"
LABELS: site.Names = {"1": labelled.Label.CORONARY}
_OTHER = re.compile(r"\.(nrrd|nhdr|mha|mhd|hdr|img|mgz|mgh|dcm|ima)$", re.IGNORECASE)
_SUFFIX = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)


def find(images: pathlib.Path, masks: pathlib.Path, said: site.Site) -> list[site.Entry]:
    """List the cases: every name that has an image or a mask."""
    shown = _files(images, r"_0000$")
    drawn = _files(masks, r"_(mask|seg|label|labels)$")
    cases = [
        site.Entry(name=name, read=functools.partial(read, name, shown.get(name), drawn.get(name), said))
        for name in sorted(shown.keys() | drawn.keys(), key=site.natural)
    ]
    return [*cases, *_passed_over(images, masks), *(_passed_over(masks, images) if masks != images else [])]


def read(name: str, image: pathlib.Path | None, mask: pathlib.Path | None, said: site.Site) -> labelled.LabelledScan:
    """Read one pair; RefusedCase."""
    if image is None:
        raise errors.Unreadable(name, "there is a mask but no image of that name")
    if mask is None and name not in said.zeros:
        raise errors.NotAnnotated(name, "there is no mask of that name: not annotated, which is not zero")
    kind = pairs.Format(source=SOURCE, load=_load, labels=LABELS)
    return pairs.read(name, image, mask, said, kind)


def _passed_over(folder: pathlib.Path, other: pathlib.Path) -> list[site.Entry]:
    """List what seems to be an image and is not read: it is refused by name, not lost. `other` may lie in `folder`."""

    def refuse(name: str, why: str) -> labelled.LabelledScan:
        raise errors.Unreadable(name, why)

    found = []
    for path in sorted(folder.rglob("*")):
        if path.parent != folder and path.is_relative_to(other) and not folder.is_relative_to(other):
            continue
        name = str(path.relative_to(folder))
        if path.parent != folder and _SUFFIX.search(path.name):
            found.append((name, f"it lies in a folder of its own: put it into {folder.name} itself"))
        elif _OTHER.search(path.name):
            found.append((name, "it is no NIfTI file"))
    return [site.Entry(name=name, read=functools.partial(refuse, name, why)) for name, why in found]


def _load(name: str, path: pathlib.Path) -> tuple[volume.FloatArray, NDArray[np.float64]]:
    """Return voxels (i, j, k) and the affine to RAS."""
    try:
        read = nibabel.load(path)
        voxels, affine = read.get_fdata(dtype=np.float32), read.affine
        stated = int(read.header["sform_code"]) or int(read.header["qform_code"])
    except (filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error) as exc:
        raise errors.Unreadable(name, f"{path.name} cannot be read as NIfTI") from exc
    if voxels.ndim == 4 and voxels.shape[3] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise errors.Unreadable(name, f"{path.name} has {voxels.ndim} axes, not 3")
    if not stated:  # nibabel would guess, and what it guesses has a left and a right
        raise errors.Misaligned(name, f"{path.name} states no orientation (sform and qform are unset)")
    return voxels, np.asarray(affine, np.float64)


def _files(folder: pathlib.Path, ignored: str) -> dict[str, pathlib.Path]:
    """Return a folder's files by the names of their cases; DatasetError where two have one name."""
    if not folder.is_dir():
        msg = f"{folder} is no folder"
        raise errors.DatasetError(msg)
    found: dict[str, pathlib.Path] = {}
    for path in sorted(each for each in folder.iterdir() if _SUFFIX.search(each.name)):
        name = re.sub(ignored, "", _SUFFIX.sub("", path.name))
        if name in found:
            msg = f"{found[name].name} and {path.name} both name the case {name}"
            raise errors.DatasetError(msg)
        found[name] = path
    return found
