"""NIfTI pairs and orCaScore: the right voxels in the body's axes, or a refusal that names the case."""

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_pairs import ORIGIN, SHAPE, SPACING, SPOTS, affine, hu, truth, write_mhd, write_nifti

from training import errors, labelled
from training.readers import grids, nifti, orcascore, site

SITE = site.Site()
ARTERIES = site.Site(names=site.parse(["2=LM", "3=LAD", "4=LCX", "5=RCA"]))
AXES = ["".join(turned) for order in itertools.permutations(("LR", "PA", "IS")) for turned in itertools.product(*order)]


def pair(folder, values=None, drawn=None, said=SITE, name="sub-03_ses-1", **mask):
    write_nifti(folder / "images" / f"{name}.nii.gz", hu() if values is None else values)
    if drawn is not None:
        write_nifti(folder / "masks" / f"{name}.nii.gz", drawn.astype(np.uint8), **mask)
    (folder / "masks").mkdir(exist_ok=True)
    (entry,) = nifti.find(folder / "images", folder / "masks", said)
    return entry.read()


@settings(max_examples=20, deadline=None)
@given(axes=st.sampled_from(AXES))
def test_any_of_the_48_orientations_gives_the_body_s_axes(axes):
    matrix = affine()
    image = nibabel.Nifti1Image(np.ascontiguousarray(hu().T), matrix)
    drawn = nibabel.Nifti1Image(np.ascontiguousarray(truth().T), matrix)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(matrix), nibabel.orientations.axcodes2ornt(tuple(axes))
    )
    image, drawn = image.as_reoriented(turn), drawn.as_reoriented(turn)
    voxels, codes = np.asarray(image.dataobj), np.asarray(drawn.dataobj)
    scan, told = grids.oriented("a", voxels, image.affine, codes, SITE)
    np.testing.assert_array_equal(scan.hu, hu())
    np.testing.assert_array_equal(told, truth())
    np.testing.assert_allclose(scan.spacing, SPACING)
    np.testing.assert_allclose(scan.origin, ORIGIN)


@pytest.mark.parametrize("axes", ["LPI", "RAS", "PSR"])
def test_a_pair_s_calcium_lies_at_its_voxels(tmp_path, axes):
    write_nifti(tmp_path / "images" / "a_0000.nii.gz", hu(), axes)
    write_nifti(tmp_path / "masks" / "a.nii", truth(), axes)
    (entry,) = nifti.find(tmp_path / "images", tmp_path / "masks", ARTERIES)
    scan = entry.read()
    np.testing.assert_array_equal(scan.volume.hu, hu())
    np.testing.assert_array_equal(scan.truth, truth())


def test_a_mask_of_ones_is_calcium_of_no_named_artery(tmp_path):
    scan = pair(tmp_path, drawn=truth() > 0)
    np.testing.assert_array_equal(scan.truth, (truth() > 0) * np.uint8(labelled.Label.CORONARY))
    assert (scan.patient, scan.volume.thickness) == ("sub-03", 3.0)


def test_a_number_that_nobody_explained_is_refused(tmp_path):
    with pytest.raises(errors.UnknownName, match=r"^sub-03_ses-1: the label '2'"):
        pair(tmp_path, drawn=truth())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flipped_mask_is_refused_and_the_refusal_says_how_it_would_fit(tmp_path, axis):
    what = ("slices", "rows", "columns")[axis]
    with pytest.raises(errors.ImplausibleMask, match=rf"^sub-03_ses-1: .*130 HU.*fits with its {what} reversed"):
        pair(tmp_path, drawn=np.flip(truth() > 0, axis))


def test_an_exchange_of_rows_and_columns_is_refused(tmp_path):
    with pytest.raises(errors.ImplausibleMask, match=r"rows and columns exchanged"):
        pair(tmp_path, drawn=(truth() > 0).swapaxes(1, 2))


@pytest.mark.parametrize(
    ("wrong", "refusal", "why"),
    [
        (lambda good: good + 1024, errors.Unusable, "is the rescale lost"),
        (lambda good: good - 1024, errors.ImplausibleMask, "1024 added"),
        (lambda good: np.where(good > 0, good / 3, good), errors.ImplausibleMask, "130 HU"),
    ],
)
def test_a_lost_or_wrong_rescale_is_refused(tmp_path, wrong, refusal, why):
    made = wrong(hu())
    with pytest.raises(refusal, match=rf"^sub-03_ses-1: .*{why}"):
        pair(tmp_path, values=made.astype(np.float32), drawn=truth() > 0)


@pytest.mark.parametrize("moved", [0.01, 0.5])
def test_another_affine_is_refused(tmp_path, moved):
    with pytest.raises(errors.Misaligned, match=r"^sub-03_ses-1: the affines"):
        pair(tmp_path, drawn=truth() > 0, moved=moved)


def test_a_rounded_affine_is_the_same(tmp_path):
    assert pair(tmp_path, drawn=truth() > 0, moved=0.0005).truth.any()


def test_another_shape_is_refused(tmp_path):
    with pytest.raises(errors.Misaligned, match=r"^sub-03_ses-1: the mask has shape"):
        pair(tmp_path, drawn=truth()[:, :-1] > 0)


def test_a_file_without_orientation_is_refused(tmp_path):
    image = nibabel.Nifti1Image(hu().T, None)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        image.to_filename(tmp_path / folder / "a.nii")
    with pytest.raises(errors.Misaligned, match=r"^a: .*no orientation"):
        nifti.find(tmp_path / "images", tmp_path / "masks", SITE)[0].read()


def test_oblique_slices_are_refused():
    turn = np.deg2rad(10)
    oblique = np.eye(4)
    oblique[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    with pytest.raises(errors.Misaligned, match=r"^a: .*oblique"):
        grids.oriented("a", hu().T, oblique @ affine(), truth().T, SITE)


def test_a_voxel_of_the_mask_below_130_hu_is_no_truth(tmp_path):
    values, drawn = hu(), truth() > 0
    slices, rows, columns = SPOTS[labelled.Label.RCA]
    values[slices.start, rows.start, columns.start] = 129
    scan = pair(tmp_path, values=values, drawn=drawn)
    assert drawn.sum() - (scan.truth > 0).sum() == 1
    assert scan.truth[slices.start, rows.start, columns.start] == 0


def test_an_empty_mask_is_no_zero_unless_said_so(tmp_path):
    with pytest.raises(errors.ImplausibleMask, match=r"^sub-03_ses-1: the mask is empty"):
        pair(tmp_path, drawn=truth() > 9)
    assert not pair(tmp_path, drawn=truth() > 9, said=site.Site(empty_is_zero=True)).truth.any()


def test_an_image_without_mask_and_a_mask_without_image_are_both_refused(tmp_path):
    with pytest.raises(errors.NotAnnotated, match=r"^sub-03_ses-1: .*not zero"):
        pair(tmp_path)
    write_nifti(tmp_path / "masks" / "b.nii.gz", truth())
    entry = next(e for e in nifti.find(tmp_path / "images", tmp_path / "masks", SITE) if e.name == "b")
    with pytest.raises(errors.Unreadable, match=r"^b: "):
        entry.read()


def test_a_broken_file_is_refused(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.nii.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(errors.Unreadable, match=r"^a: "):
        nifti.find(tmp_path / "images", tmp_path / "masks", SITE)[0].read()


ORCA = {labelled.Label.LAD: 1, labelled.Label.LCX: 2, labelled.Label.RCA: 3}


def orca(folder, values=None, drawn=None, said=SITE, **mask):
    numbers = np.zeros(SHAPE, np.uint8)
    for label, number in ORCA.items():
        numbers[truth() == label] = number
    write_mhd(folder / "TRV1P1CTI.mhd", hu().astype(np.int16) if values is None else values)
    write_mhd(folder / "TRV1P1CTAI.mhd", hu().astype(np.int16))
    write_mhd(folder / "TRV1P1R.mhd", numbers if drawn is None else drawn, **mask)
    (entry,) = orcascore.find(folder, said)
    return entry.read()


def test_orcascore_s_numbers_are_arteries_at_their_voxels(tmp_path):
    scan = orca(tmp_path)
    np.testing.assert_array_equal(scan.volume.hu, hu())
    np.testing.assert_array_equal(scan.truth, np.where(np.isin(truth(), list(ORCA)), truth(), 0))
    assert scan.name == scan.patient == "TRV1P1"
    np.testing.assert_allclose(scan.volume.origin, ORIGIN)


def test_orcascore_s_calcium_lies_above_130_hu_not_at_it(tmp_path):
    values = hu().astype(np.int16)
    slices, rows, columns = SPOTS[labelled.Label.RCA]
    values[slices.start, rows.start, columns.start : columns.start + 2] = 130, 131
    scan = orca(tmp_path, values=values)
    assert scan.truth[slices.start, rows.start, columns.start] == 0
    assert scan.truth[slices.start, rows.start, columns.start + 1] == labelled.Label.RCA


def test_another_number_of_orcascore_is_refused(tmp_path):
    with pytest.raises(errors.UnknownName, match=r"^TRV1P1: the label '4'"):
        orca(tmp_path, drawn=truth())


def test_labels_of_another_grid_are_refused(tmp_path):
    with pytest.raises(errors.Misaligned, match=r"^TRV1P1: the affines"):
        orca(tmp_path, moved=1.0)


def test_a_scan_without_labels_is_not_annotated(tmp_path):
    write_mhd(tmp_path / "TRV1P2CTI.mhd", hu())
    with pytest.raises(errors.NotAnnotated, match=r"^TRV1P2: "):
        orcascore.find(tmp_path, SITE)[0].read()


def test_a_scan_whose_voxels_are_gone_is_refused(tmp_path):
    write_mhd(tmp_path / "TRV1P2CTI.mhd", hu())
    write_mhd(tmp_path / "TRV1P2R.mhd", truth())
    (tmp_path / "TRV1P2CTI.raw").unlink()
    with pytest.raises(errors.Unreadable, match=r"^TRV1P2: "):
        orcascore.find(tmp_path, SITE)[0].read()
