"""Judging as a command: phantoms in, tables out, with the nets as shipped."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from cac import finding, pipeline, specks
from cac.phantom import scan
from tests import judged, working
from training import evaluate, labelled, sets
from training.judging import measuring, report, rows, running
from triage import manifest

MODELS = pathlib.Path(__file__).parents[2] / "models"
SMALL = scan.Style(matrix=256, pixel=0.9, noise=12.0)
PLAN = running.Plan(models=MODELS, architectures=("dilated",))
ONE = ["--architectures", "dilated", "--jobs", "1"]


def _phantom(seed, wanted):
    return sets.Phantom(set_name="internal", seed=seed, wanted=wanted, increment=3.0, style=SMALL)


@pytest.fixture(scope="module")
def calcified():
    return _phantom(30_000, (20.0, 100.0)).scan()


@pytest.fixture(scope="module")
def clean():
    return _phantom(30_010, (0.0, 0.0)).scan()


@pytest.fixture(scope="module")
def dataset(calcified, clean, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for each in (calcified, clean):
        labelled.save(each, folder / "test" / each.name)
    return folder


def _about(each):
    return measuring.About(set_name="a", synthetic=True, data=measuring.digest(each), making=0.0)


def _accept_all(plane, stack, core):
    del plane
    top, left, bottom, right = core
    return np.ones((len(stack), bottom - top, right - left), np.float32)


SPEC = finding.NetSpec(
    levels=dict.fromkeys(finding.Plane, finding.Levels(low=0.2, high=0.8)),
    joint=finding.Joint(accept=0.5, other=0.5, speck=0.5),
)


def test_a_phantom_s_score_lies_in_the_range_asked_for_and_its_truth_names_arteries(calcified, clean):
    assert not clean.truth.any()
    assert set(np.unique(calcified.truth)) <= {0, *measuring.ARTERIES}
    assert 20 <= measuring.baseline(measuring.survey(calcified), _found(calcified), _about(calcified)).true <= 100


def _found(each):
    return pipeline.find_calcium(each.volume, _accept_all, SPEC)


def test_a_net_that_accepts_all_finds_what_the_plain_rule_finds(calcified):
    ground, answer = measuring.survey(calcified), _found(calcified)
    every = measuring.row(ground, answer, ("all", ""), 1.0, _about(calcified))
    plain = measuring.baseline(ground, answer, _about(calcified))
    assert every.outcome == plain.outcome == "present"
    # On slices without overlap, only 2D objects beside a lesion are left out.
    assert (every.tp, every.fn) == (plain.tp, plain.fn) == (pytest.approx(_truth_mm3(calcified)), 0.0)
    assert every.fp == pytest.approx(plain.fp, rel=0.2)
    assert all(spot.what in {"LM", "LAD", "LCX", "RCA"} for spot in every.spots if spot.true)
    assert {spot.what for spot in every.spots if not spot.true} >= {"bone", "noise"}
    assert every.arteries == plain.arteries
    small = [spot for spot in every.spots if spot.speck]
    assert 0 < len(small) < len(every.spots)
    assert all(spot.voxels <= specks.MOST_VOXELS and spot.max_hu < specks.BELOW_HU for spot in small)


def _truth_mm3(each):
    return float(np.count_nonzero(each.truth) * each.volume.voxel_mm3)


def test_an_unsuitable_header_ends_a_scan_before_any_net_runs(calcified):
    refused = dataclasses.replace(calcified, refused=("contrast_tag",))
    found = running.find(refused, None, finding.Profile.DEFAULT)
    row = measuring.row(measuring.survey(refused), found, ("dilated", ""), 0.0, _about(refused))
    assert (row.outcome, row.reasons, row.found) == ("unsuitable", ("contrast_tag",), None)
    assert (row.tp, row.fn) == (0.0, pytest.approx(_truth_mm3(calcified)))


def test_a_lesion_beyond_the_heart_envelope_is_counted(calcified):
    truth = calcified.truth.copy()
    inside = measuring.survey(calcified).located.envelope
    place = np.argwhere(~inside & (calcified.volume.hu >= 300))[0]
    truth[tuple(place)] = labelled.Label.LAD
    moved = dataclasses.replace(calcified, truth=truth)
    row = measuring.row(measuring.survey(moved), _found(moved), ("all", ""), 1.0, _about(moved))
    assert row.outside + row.cut == 1
    assert row.lesions == measuring.baseline(measuring.survey(calcified), _found(calcified), _about(moved)).lesions + 1


def test_the_truth_of_thin_slices_shows_on_every_slab_that_averages_them():
    thin = scan.volume.Volume(hu=np.full((12, 8, 8), 200, np.float32), spacing=(0.75, 1, 1), thickness=0.75)
    truth = np.zeros((12, 8, 8), np.uint8)
    truth[4, 3, 3] = labelled.Label.RCA
    working = measuring.slabs.prepare(thin)
    carried = measuring._carried(truth, thin, working)
    # Slice 4 spans 3 to 3.75 mm: the slabs from 1.5 and from 3 mm hold it, that which ends at 3 mm does not.
    assert np.flatnonzero(carried[:, 3, 3]).tolist() == [1, 2]


def test_a_stored_row_reads_as_it_was_written(calcified, tmp_path):
    row = measuring.row(measuring.survey(calcified), _found(calcified), ("all", ""), 1.0, _about(calcified))
    rows.append(tmp_path / "rows.jsonl", [row])
    assert rows.read(tmp_path / "rows.jsonl") == [row]


def test_a_data_set_is_judged_and_a_stopped_run_goes_on_where_it_was(dataset, tmp_path, capsys):
    arguments = ["--dataset", str(dataset), "--out", str(tmp_path), *ONE]
    assert evaluate.main(arguments) == 0
    path = tmp_path / running.ROWS
    first = path.read_text().splitlines(keepends=True)
    assert len(first) == 2 * len(PLAN.ways)
    # As a kill leaves it: the first scan is whole, of the second a line and a half are there.
    path.write_text("".join(first[:3]) + first[3][:100])
    capsys.readouterr()
    assert evaluate.main(arguments) == 0
    assert "1/1" in capsys.readouterr().err
    assert path.read_text().splitlines(keepends=True)[:2] == first[:2]
    assert len(rows.read(path)) == len(first)
    assert rows.scans(rows.read(path), PLAN.ways) == {(f"{dataset.name}/test", each) for each in _names(first)}


def test_a_stored_scan_that_was_mended_is_judged_again(dataset, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(dataset, data)
    arguments = ["--dataset", str(data), "--out", str(out), *ONE]
    assert evaluate.main(arguments) == 0
    (mended,) = [path for path in labelled.stored(data / "test") if labelled.load(path).truth.any()]
    np.save(mended / "truth.npy", np.zeros_like(np.load(mended / "truth.npy")))
    capsys.readouterr()
    assert evaluate.main(arguments) == 0
    assert f"1/1 {mended.name}" in capsys.readouterr().err
    assert not any(row.positive for row in rows.read(out / running.ROWS))


def test_rows_of_scans_that_the_data_set_does_not_hold_are_never_mixed(dataset, tmp_path, capsys):
    model = PLAN.digests()["dilated"]
    strange = judged.row(set_name=f"{dataset.name}/test", name="of-another-site", models=model)
    rows.append(tmp_path / running.ROWS, [strange])
    assert evaluate.main(["--dataset", str(dataset), "--out", str(tmp_path), *ONE]) == 2
    assert "of-another-site" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["{}", "[1]", '{"reasons": [], ', "\x00"])
def test_a_line_that_is_no_row_is_named(tmp_path, capsys, line):
    rows.append(tmp_path / running.ROWS, [judged.row()])
    with (tmp_path / running.ROWS).open("a") as file:
        file.write(line + "\n")
    assert evaluate.main(["--tables", str(tmp_path)]) == 2
    assert "line 2, is no row" in capsys.readouterr().err


def _names(lines):
    return {json.loads(line)["name"] for line in lines}


def test_rows_of_other_thresholds_are_never_mixed(dataset, tmp_path, capsys):
    row = dataclasses.asdict(judged.row())
    (tmp_path / running.ROWS).write_text(json.dumps({**row, "models": "0c" * 32}) + "\n")
    assert evaluate.main(["--dataset", str(dataset), "--out", str(tmp_path)]) == 2
    assert "other nets or thresholds" in capsys.readouterr().err


def test_tables_are_made_again_from_rows_alone(tmp_path):
    rows.append(tmp_path / running.ROWS, [judged.row()])
    assert evaluate.main(["--tables", str(tmp_path)]) == 0
    assert (tmp_path / report.REPORT).exists()


def test_a_scan_that_cannot_be_read_is_named_and_the_others_are_judged(dataset, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(dataset, data)
    names = [path.name for path in labelled.stored(data / "test")]
    (data / "test" / names[0] / "truth.npy").write_bytes(b"")
    assert evaluate.main(["--dataset", str(data), "--out", str(out), *ONE]) == 1
    assert f"**Not judged: data/test {names[0]}: " in (out / report.REPORT).read_text()
    assert rows.scans(rows.read(out / running.ROWS), PLAN.ways) == {("data/test", names[1])}


def test_the_digest_of_open_thresholds_is_another_than_that_of_the_manifest():
    opened = dataclasses.replace(PLAN, levels=finding.Levels(low=1e-9, high=1e-9))
    assert opened.digests()["dilated"] != PLAN.digests()["dilated"]
    assert opened.model_set("dilated").joint == finding.DOUBT_ALL
    stated = manifest.load(MODELS / "manifest.json").model_set("dilated")
    assert PLAN.digests()["dilated"] == stated.digest(finding.Profile.DEFAULT)


def test_in_the_paper_s_profile_what_no_net_accepts_is_absent_as_the_paper_counts(clean):
    engine = working.Engine(accepts=False)
    found = running.find(clean, engine, finding.Profile.PAPER)
    row = measuring.row(measuring.survey(clean, finding.Profile.PAPER), found, ("none", ""), 1.0, _about(clean))
    assert (row.outcome, row.found) == ("absent", 0.0)
    assert "profile_not_default" in row.reasons
    assert row.faint
