"""Stanford COCA: the right voxels under the right artery, or a refusal that names the case."""

import numpy as np
import pytest
from labelled_pairs import ROI_NAMES, SHAPE, SPOTS, Turn, hu, rois, truth, write_coca

from training import errors, labelled
from training.readers import coca, site

SITE = site.Site()


def read(folder, name="12", said=SITE):
    return coca.read(name, folder, said)


@pytest.mark.parametrize("turn", [Turn(), Turn(rows=True), Turn(columns=True), Turn(rows=True, columns=True)])
def test_every_artery_s_calcium_lies_at_its_voxels_however_the_images_run(tmp_path, turn):
    shown = hu()[:, :: -1 if turn.rows else 1, :: -1 if turn.columns else 1]
    spots = {
        label: (
            slices,
            slice(SHAPE[1] - rows.stop, SHAPE[1] - rows.start) if turn.rows else rows,
            slice(SHAPE[2] - columns.stop, SHAPE[2] - columns.start) if turn.columns else columns,
        )
        for label, (slices, rows, columns) in SPOTS.items()
    }
    write_coca(tmp_path, "12", hu(), rois(shown, spots), turn)
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.volume.hu, hu())
    np.testing.assert_array_equal(scan.truth, truth())
    assert (scan.patient, scan.refused) == ("12", ())


def test_several_rois_of_one_slice_add_up(tmp_path):
    listed = rois(hu())
    assert max(len(image["ROIs"]) for image in listed["Images"]) == 2
    write_coca(tmp_path, "12", hu(), listed)
    assert set(np.unique(read(tmp_path).truth[1])) == {0, labelled.Label.LM, labelled.Label.LAD}


def test_an_empty_roi_is_skipped(tmp_path):
    listed = rois(hu())
    empty = {"Name": "whatever", "Point_px": [], "Max": 0.0, "Mean": 0.0, "Total": 0.0}
    listed["Images"].append({"ImageIndex": 0, "ROIs": [empty]})
    write_coca(tmp_path, "12", hu(), listed)
    np.testing.assert_array_equal(read(tmp_path).truth, truth())


def test_an_unknown_name_is_refused_by_that_name(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu(), names={**ROI_NAMES, labelled.Label.LCX: "Aortic thing"}))
    with pytest.raises(errors.UnknownName, match=r"^12: .*'Aortic thing'"):
        read(tmp_path)


def test_a_site_may_say_what_a_name_means_or_leave_it_out(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu(), names={**ROI_NAMES, labelled.Label.LCX: "Aortic thing"}))
    scan = read(tmp_path, said=site.Site(names=site.parse(["aortic  THING=IGNORE"])))
    np.testing.assert_array_equal(scan.truth, np.where(truth() == labelled.Label.LCX, 0, truth()))


def test_a_missing_list_is_not_annotated_and_never_zero(tmp_path):
    write_coca(tmp_path, "12", hu())
    with pytest.raises(errors.NotAnnotated, match=r"^12: .*not zero"):
        read(tmp_path)


def test_a_missing_list_is_zero_where_the_site_says_so(tmp_path):
    write_coca(tmp_path, "12", hu())
    assert not read(tmp_path, said=site.Site(zeros=frozenset({"12"}))).truth.any()


def test_a_case_called_zero_that_has_calcium_is_refused(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu()))
    with pytest.raises(errors.ImplausibleMask, match=r"--zeros names the case"):
        read(tmp_path, said=site.Site(zeros=frozenset({"12"})))


def test_images_counted_from_the_head_are_refused_and_the_refusal_says_so(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu(), index=lambda number: number))
    with pytest.raises(errors.ImplausibleMask, match=r"^12: .*counted from the head"):
        read(tmp_path)


@pytest.mark.parametrize(("turned", "hint"), [((1,), "rows reversed"), ((2,), "columns reversed"), (None, "exchanged")])
def test_flipped_points_are_refused_and_the_refusal_says_what_would_fit(tmp_path, turned, hint):
    image = hu().swapaxes(1, 2) if turned is None else np.flip(hu(), turned)
    write_coca(tmp_path, "12", image, rois(hu()))
    with pytest.raises(errors.ImplausibleMask, match=rf"^12: .*{hint}"):
        read(tmp_path)


@pytest.mark.parametrize(("key", "what"), [("Max", "HU"), ("Total", "pixels")])
def test_a_roi_that_is_not_as_its_list_says_is_refused(tmp_path, key, what):
    listed = rois(hu())
    listed["Images"][2]["ROIs"][0][key] *= 1.5
    write_coca(tmp_path, "12", hu(), listed)
    with pytest.raises(errors.ImplausibleMask, match=rf"^12: 1 of .*{what}"):
        read(tmp_path)


def test_a_wrong_rescale_is_refused(tmp_path):
    write_coca(tmp_path, "12", hu() - 200, rois(hu()))
    with pytest.raises(errors.ImplausibleMask, match=r"do not match"):
        read(tmp_path)


def test_an_index_beyond_the_stack_is_refused(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu(), index=lambda number: SHAPE[0] + number))
    with pytest.raises(errors.ImplausibleMask, match=r"none of 7 images"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"<plist>", b"no list", b'<?xml version="1.0"?><plist><array/></plist>'])
def test_a_broken_list_is_refused(tmp_path, content):
    write_coca(tmp_path, "12", hu(), rois(hu()))
    (tmp_path / "calcium_xml" / "12.xml").write_bytes(content)
    with pytest.raises(errors.Unreadable, match=r"^12: 12\.xml is no list"):
        read(tmp_path)


def test_what_the_header_says_against_a_scan_is_kept_with_it(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu()))
    for path in tmp_path.rglob("*.dcm"):
        path.unlink()
    from labelled_pairs import write_ct

    write_ct(tmp_path / "patient" / "12" / "one", hu(), ConvolutionKernel="B70f", ContrastBolusAgent="Iomeprol")
    scan = read(tmp_path)
    assert scan.refused == ("kernel_not_listed", "contrast_tag")
    np.testing.assert_array_equal(scan.truth, truth())


def test_file_names_in_capitals_are_read_too(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu()))
    for path in [*tmp_path.rglob("*.dcm"), *tmp_path.rglob("*.xml")]:
        path.rename(path.with_name(f"{path.stem}{path.suffix.upper()}"))
    np.testing.assert_array_equal(read(tmp_path).truth, truth())
    assert [entry.name for entry in coca.find(tmp_path, SITE)] == ["12"]


def test_a_missing_slice_is_refused(tmp_path):
    write_coca(tmp_path, "12", hu(), rois(hu()))
    sorted(tmp_path.rglob("*.dcm"))[1].unlink()
    with pytest.raises(errors.RefusedCase, match=r"^12: "):
        read(tmp_path)


def test_patients_without_images_and_without_lists_are_both_listed(tmp_path):
    write_coca(tmp_path, "2", hu(), rois(hu()))
    write_coca(tmp_path, "10", hu())
    (tmp_path / "calcium_xml" / "7.xml").write_bytes(b"")
    assert [entry.name for entry in coca.find(tmp_path, SITE)] == ["2", "7", "10"]
    with pytest.raises(errors.Unreadable, match=r"^7: 0 folders"):
        coca.find(tmp_path, SITE)[1].read()
