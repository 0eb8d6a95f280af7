"""One command from a site's folders to a dataset: each case in one split, a refused one named, all others kept."""

import dataclasses
import json
import pathlib
import sys

import numpy as np
import pytest
from labelled_pairs import SPACING, hu, rois, truth, write_coca, write_nifti

from cac import volume
from cac.phantom import scan
from training import cases, crops, dataset, errors, labelled, prepare, splits
from training.readers import site

STYLE = scan.Style(matrix=128, pixel=1.75, noise=12.0)


def command(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["prepare", *map(str, words), "--jobs", "1"])
    return prepare.main()


def test_a_bad_case_is_named_and_nothing_else_is_lost(tmp_path, monkeypatch, capsys):
    good = [name for name in map(str, range(60)) if splits.split(name, splits.Shares()) != "train"][:3]
    for name in good:
        write_coca(tmp_path / "in", name, hu(), rois(hu()))
    write_coca(tmp_path / "in", "100", hu())
    write_coca(tmp_path / "in", "101", hu()[:, ::-1], rois(hu()))
    write_coca(tmp_path / "in", "102", hu(), {"Images": 7})
    assert command(monkeypatch, "coca", tmp_path / "in", "--out", tmp_path / "out") == 1
    refused = json.loads((tmp_path / "out" / "refused.json").read_text())
    assert set(refused) == {"coca-100", "coca-101", "coca-102"}
    assert "not zero" in refused["coca-100"]
    printed = capsys.readouterr().out
    assert "coca-101: REFUSED: " in printed
    assert "3 prepared" in printed
    kept = [path for part in ("tune", "test") for path in labelled.stored(tmp_path / "out" / part)]
    assert {path.name for path in kept} == {f"coca-{name}" for name in good}
    for path in kept:
        assert path.parent.name == splits.split(path.name.removeprefix("coca-"), splits.Shares())
        np.testing.assert_array_equal(labelled.load(path).truth, truth())


def test_a_case_that_was_mended_is_refused_no_longer_and_others_are_not_read_again(tmp_path, monkeypatch, capsys):
    folders = (tmp_path / "images", tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    write_nifti(folders[0] / "a.nii.gz", hu())
    write_nifti(folders[0] / "b.nii.gz", hu())
    write_nifti(folders[1] / "a.nii.gz", (truth() > 0).astype(np.uint8))
    words = ("nifti", *folders, "--out", tmp_path / "out", "--shares", 0, 0, 1)
    assert command(monkeypatch, *words) == 1
    assert set(json.loads((tmp_path / "out" / "refused.json").read_text())) == {"nifti-b"}
    write_nifti(folders[1] / "b.nii.gz", (truth() > 0).astype(np.uint8))
    assert command(monkeypatch, *words) == 0
    assert json.loads((tmp_path / "out" / "refused.json").read_text()) == {}
    assert "nifti-a: test, already there" in capsys.readouterr().out


def test_a_dataset_is_never_split_in_two_ways(tmp_path, monkeypatch, capsys):
    write_nifti(tmp_path / "images" / "a.nii.gz", hu())
    write_nifti(tmp_path / "masks" / "a.nii.gz", (truth() > 0).astype(np.uint8))
    words = ("nifti", tmp_path / "images", tmp_path / "masks", "--out", tmp_path / "out", "--shares")
    assert command(monkeypatch, *words, 0, 0, 1) == 0
    assert command(monkeypatch, *words, 0, 1, 0) == 2
    assert "was split by" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("coca", "."), ("dicom", "nowhere"), ("nifti", "nowhere", "nowhere")])
def test_a_folder_that_is_none_is_said_plainly(tmp_path, monkeypatch, capsys, words):
    folders = [tmp_path / word for word in words[1:]]
    assert command(monkeypatch, words[0], *folders, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("Nothing was prepared: ")


def test_zeros_are_named_in_a_file(tmp_path, monkeypatch):
    write_coca(tmp_path / "in", "7", hu())
    (tmp_path / "zeros.txt").write_text("7\r\n")
    words = ("coca", tmp_path / "in", "--out", tmp_path / "out", "--shares", 0, 0, 1)
    assert command(monkeypatch, *words, "--zeros", tmp_path / "zeros.txt") == 0
    assert not labelled.load(tmp_path / "out" / "test" / "coca-7").truth.any()


@pytest.fixture
def pair(tmp_path):
    """Return the words that import one NIfTI pair, of sub-03."""
    write_nifti(tmp_path / "images" / "sub-03_ses-1.nii.gz", hu())
    write_nifti(tmp_path / "masks" / "sub-03_ses-1.nii.gz", (truth() > 0).astype(np.uint8))
    return "nifti", tmp_path / "images", tmp_path / "masks", "--out", tmp_path / "out", "--shares", 0, 0, 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--zeros", "nowhere.txt"), "nowhere.txt"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
        (("--config", "training/config/paper.toml"), "no configuration with [data]"),
        (("--patient", "("), "the patient's pattern '(' is none"),
        (("--patient", r"sub-\d+"), "needs a group"),
        (("--thickness", "0"), "thickness of 0 mm is none"),
        (("--thickness", "nan"), "thickness of nan mm is none"),
    ],
)
def test_a_wrong_word_is_answered_with_a_sentence(pair, monkeypatch, capsys, words, said):
    assert command(monkeypatch, *pair, *words) == 2
    told = capsys.readouterr().err
    assert told.startswith("Nothing was prepared: ")
    assert said in told


def test_a_name_in_which_the_pattern_finds_no_patient_is_refused(pair, tmp_path, monkeypatch):
    assert command(monkeypatch, *pair, "--patient", r"pat(\d+)") == 1
    (why,) = json.loads((tmp_path / "out" / "refused.json").read_text()).values()
    assert "finds no patient" in why


def test_a_dataset_tells_patients_in_one_way_only(pair, monkeypatch, capsys):
    assert command(monkeypatch, *pair) == 0
    assert command(monkeypatch, *pair, "--patient", r"ses-(\d+)") == 2
    assert "give the same --patient" in capsys.readouterr().err


def test_zeros_that_name_no_case_are_said(pair, tmp_path, monkeypatch, capsys):
    (tmp_path / "zeros.txt").write_text("sub-04\n\n", encoding="utf-8-sig")
    assert command(monkeypatch, *pair, "--zeros", tmp_path / "zeros.txt") == 0
    assert "names what is no case here: sub-04" in capsys.readouterr().out


def test_zeros_that_are_no_text_are_refused(pair, tmp_path, monkeypatch, capsys):
    (tmp_path / "zeros.txt").write_text("sub-03\n", encoding="utf-16")
    assert command(monkeypatch, *pair, "--zeros", tmp_path / "zeros.txt") == 2
    assert "no text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("first", [9_999, 20_000, 1_999_999, 2_900_000, 3_000_000])
def test_seeds_that_judge_are_never_trained_on(tmp_path, monkeypatch, capsys, first):
    assert command(monkeypatch, "phantoms", "--first", first, "--cases", 2, "--out", tmp_path) == 2
    assert "never trained on" in capsys.readouterr().err


def test_a_background_that_is_not_there_is_said_plainly(tmp_path, monkeypatch, capsys):
    (tmp_path / "courses.json").write_text('{"series": "a", "courses": {}}')
    words = ("background", tmp_path / "nowhere", tmp_path / "courses.json", "--cases", 1, "--out", tmp_path / "out")
    assert command(monkeypatch, *words) == 2
    assert capsys.readouterr().err == "Nothing was prepared: The series has no image.\n"


def test_a_case_whose_writing_was_cut_short_is_not_there(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "replace", full)
    with pytest.raises(OSError, match="space"):
        labelled.save(small(), tmp_path / "a")
    assert labelled.stored(tmp_path) == []


def test_a_defect_met_in_one_case_is_reported_like_a_refusal(tmp_path):
    def read():
        raise ZeroDivisionError

    done = prepare.imported("nifti", site.Entry(name="a", read=read), tmp_path, splits.Shares(), 0.0)
    assert done.line.startswith("nifti-a: REFUSED: unexpected ZeroDivisionError")


def test_names_of_cases_are_safe_for_folders_and_stay_apart():
    names = ["a/b", "a_b", "../..", "Müller, Jürgen", "x" * 300, "x" * 299, "12"]
    made = [dataset.safe("coca", name) for name in names]
    assert len(set(made)) == len(names)
    assert all(pathlib.PurePath(name).name == name and len(name) < 120 and name.isascii() for name in made)
    assert made[-1] == "coca-12"


def small(**changed):
    values = {
        "name": "coca-31",
        "patient": "31",
        "source": "a test",
        "volume": volume.Volume(hu=hu(), spacing=SPACING, thickness=3.0),
        "truth": truth(),
    }
    return labelled.LabelledScan(**{**values, **changed})


def chest_of(increment):
    made = scan.make(agatston=120.0, seed=31, increment=increment, mimics=2, style=STYLE)
    return small(volume=made.volume, truth=made.truth * np.uint8(labelled.Label.CORONARY))


@pytest.fixture(scope="module")
def thick():
    return chest_of(3.0)


@pytest.mark.parametrize("increment", [1.2, 3.0])
def test_a_labelled_scan_trains_as_a_crop_whose_labels_lie_on_its_calcium(tmp_path, thick, increment):
    chest = thick if increment == 3.0 else chest_of(increment)
    said = dataset.put(chest, tmp_path, splits.Shares(train=1, tune=0, test=0), 4.0)
    assert said.startswith("train, ")
    (path,) = cases.stored_in(tmp_path / "train")
    case = cases.load(path)
    calcium = case.label == cases.CALCIUM
    assert case.hu.shape[1:] == (320, 320)
    assert np.median(case.hu[calcium]) > 130
    mm3 = calcium.sum() * 0.25 * (1.5 if chest.volume.spacing[0] < 1.4 else 3.0)
    assert 0.5 < mm3 / ((chest.truth > 0).sum() * chest.volume.voxel_mm3) < 1.6
    on = case.label[tuple(case.points.T)] == cases.CALCIUM
    assert on.any()
    np.testing.assert_array_equal(on, case.calcium)
    assert cases.contents(cases.stored_in(tmp_path / "train")) == {"a test": ["1 scans"]}


def test_the_same_scan_gives_the_same_crop_whatever_its_kernel(thick):
    one = crops.of_labelled(thick, 4.0).case
    other = crops.of_labelled(dataclasses.replace(thick, refused=("kernel_not_listed",)), 4.0).case
    np.testing.assert_array_equal(one.hu, other.hu)
    np.testing.assert_array_equal(one.points, other.points)


def test_a_scan_without_a_heart_is_refused_by_name():
    with pytest.raises(errors.Unusable, match=r"^coca-31: no heart is found"):
        crops.of_labelled(small(), 4.0)


def test_a_scan_whose_header_changes_what_130_hu_means_does_not_train(tmp_path):
    with pytest.raises(errors.Unusable, match=r"^coca-31: not for training.*contrast_tag"):
        crops.of_labelled(small(refused=("kernel_not_listed", "contrast_tag")), 0.0)


def test_an_unsuitable_scan_is_kept_for_judging_with_its_reasons(tmp_path):
    real = small(refused=("contrast_tag",))
    said = dataset.put(real, tmp_path, splits.Shares(train=0, tune=0, test=1), 0.0)
    assert said.endswith("unsuitable by its header: contrast_tag")
    assert labelled.load(tmp_path / "test" / "coca-31").refused == ("contrast_tag",)


def test_a_stored_scan_s_voxels_stay_on_their_side_of_130_hu(tmp_path):
    values = hu() + np.float32(0.7)
    values[0, 0, 0] = 129.9
    labelled.save(small(volume=volume.Volume(hu=values, spacing=SPACING, thickness=3.0)), tmp_path / "a")
    read = labelled.load(tmp_path / "a")
    for step in (130, 200, 300, 400):
        np.testing.assert_array_equal(read.volume.hu >= step, values >= step)
    np.testing.assert_array_equal(read.truth, truth())
