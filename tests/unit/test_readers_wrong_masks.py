"""Masks and images that look right and are not: each is refused, with the name of its case."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everybody calls it
from labelled_pairs import hu, truth, write_ct, write_nifti

from cac import volume
from training import errors, labelled
from training.readers import checks, dicom, nifti, orcascore, site

SITE = site.Site()


def read(folder, values, drawn, said=SITE):
    write_nifti(folder / "images" / "a.nii.gz", values)
    write_nifti(folder / "masks" / "a.nii.gz", drawn)
    (entry,) = nifti.find(folder / "images", folder / "masks", said)
    return entry.read()


@pytest.mark.parametrize("number", [-1, 1.5])
def test_a_number_beside_1_is_not_taken_for_1(tmp_path, number):
    drawn = (truth() > 0).astype(np.float32)
    drawn[truth() == labelled.Label.RCA] = number
    with pytest.raises(errors.UnknownName, match=rf"^a: the label '{number:g}'"):
        read(tmp_path, hu(), drawn)


def test_a_negative_number_may_be_given_a_meaning_of_its_own(tmp_path):
    drawn = np.where(truth() == labelled.Label.RCA, -1, truth() > 0).astype(np.int16)
    scan = read(tmp_path, hu(), drawn, site.Site(names=site.parse(["-1=IGNORE"])))
    np.testing.assert_array_equal(scan.truth > 0, drawn == 1)


def test_an_affine_that_nobody_gave_is_refused(tmp_path):
    for folder, values in (("images", hu()), ("masks", (truth() > 0).astype(np.uint8))):
        (tmp_path / folder).mkdir()
        nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), tmp_path / folder / "a.nii.gz")
    (entry,) = nifti.find(tmp_path / "images", tmp_path / "masks", SITE)
    with pytest.raises(errors.Misaligned, match=r"^a: .*spacing and place are lost"):
        entry.read()


def test_an_mhd_without_spacing_is_refused(tmp_path):
    for name, values in (("aCTI", hu()), ("aR", np.where(truth() == 1, 1, 0).astype(np.uint8))):
        sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / f"{name}.mhd"))
    (entry,) = orcascore.find(tmp_path, SITE)
    with pytest.raises(errors.Misaligned, match=r"^a: .*spacing and place are lost"):
        entry.read()


def test_a_mask_of_all_that_is_dense_is_refused():
    values = np.full((20, 100, 100), 400, np.float32)
    values[:, :30] = -850
    scan = volume.Volume(hu=values, spacing=(3.0, 0.5, 0.5), thickness=3.0)
    codes = (values > 0).astype(np.uint8)
    with pytest.raises(errors.ImplausibleMask, match=r"^a: 105 ml are marked, .*bones"):
        checks.truth("a", scan, codes, SITE)
    codes[:, 55:] = 0
    assert checks.truth("a", volume.Volume(hu=values, spacing=(1.0, 0.5, 0.5), thickness=1.0), codes, SITE).any()


@pytest.mark.parametrize(("stray", "why"), [("b.nrrd", "no NIfTI file"), ("b/ses-1.nii.gz", "folder of its own")])
def test_an_image_that_is_not_read_is_refused_by_name(tmp_path, stray, why):
    for folder in ("images", "masks"):
        write_nifti(tmp_path / folder / "a.nii.gz", hu())
    path = tmp_path / "images" / stray
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    first, other = nifti.find(tmp_path / "images", tmp_path / "masks", SITE)
    assert first.name == "a"
    with pytest.raises(errors.Unreadable, match=rf"^{stray}: .*{why}"):
        other.read()


def test_dicom_files_without_a_suffix_beside_folders_are_not_lost(tmp_path):
    write_ct(tmp_path / "a", hu())
    next((tmp_path / "a").glob("*.dcm")).rename(tmp_path / "IM0001")
    (tmp_path / "IM0001").rename(tmp_path / "DICOMDIR")
    assert [entry.name for entry in dicom.find(tmp_path, SITE)] == ["a"]
    (tmp_path / "DICOMDIR").rename(tmp_path / "IM0001")
    with pytest.raises(errors.DatasetError, match="give each case a folder of its own"):
        dicom.find(tmp_path, SITE)


def test_masks_in_a_folder_of_the_images_are_not_taken_for_images_passed_over(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", hu())
    write_nifti(tmp_path / "masks" / "a.nii.gz", (truth() > 0).astype(np.uint8))
    (entry,) = nifti.find(tmp_path, tmp_path / "masks", SITE)
    assert entry.read().truth.any()
