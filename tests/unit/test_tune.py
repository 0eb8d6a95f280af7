"""The choice of an operating point: what it refuses, and what it writes."""

import dataclasses
import pathlib
import shutil

import pytest

from cac import finding
from tests import judged
from training import evaluate, levels, sets, tune
from triage import manifest

MODELS = pathlib.Path(__file__).parents[2] / "models"
LAD = {"true": True, "what": "LAD"}


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(MODELS / "manifest.json", folder)
    return folder


def _wanted(models, **changes):
    fields = {"models": models, "architectures": ("dilated",), "sensitivity": 0.95, "missed": 0, "jobs": 1}
    return tune.Wanted(**{**fields, "folder": models / "out", **changes})


def _positives(count, probability=0.99999):
    return [judged.positive(name=f"p{n}", spots=(judged.spot(probability, **LAD),)) for n in range(count)]


def _zeros(count, probability=0.2):
    return [judged.row(name=f"z{n}", spots=(judged.spot(probability),), outcome="indeterminate") for n in range(count)]


def test_mimics_below_the_lesions_are_excluded_and_no_positive_is(models):
    chosen = tune.choose([*_positives(72), *_zeros(9)], _wanted(models))
    assert (chosen.positives, chosen.missed, chosen.zeros, chosen.excluded) == (72, (), 9, 9)
    assert chosen.sensitivity_low >= 0.95
    assert 0.2 < chosen.joint.other <= chosen.joint.speck
    assert chosen.joint.accept == chosen.joint.other  # 0.5 would agree with the truth as well, but accept less surely
    assert (chosen.levels.low, chosen.levels.high) == (levels.LOW, levels.HIGH)


def test_specks_that_no_positive_looks_like_are_excluded_though_larger_mimics_as_sure_are_not(models):
    as_sure = [judged.positive(name=f"p{n}", spots=(judged.spot(0.9, **LAD),)) for n in range(72)]
    two = {"probabilities": (0.9, 0.9, 0.01), "voxelwise": ((0.9, 0.9, 0.01),)}  # all three would be a doubt
    specks = [judged.row(name=f"s{n}", spots=(judged.spot(0.9, speck=True, **two),)) for n in range(9)]
    chosen = tune.choose([*as_sure, *specks, *_zeros(9, 0.9)], _wanted(models))
    assert (chosen.zeros, chosen.excluded) == (18, 9)
    assert chosen.joint.other < 0.8 < chosen.joint.speck


ACCEPTED = {"status": "accepted", "doubt": None}


@pytest.mark.parametrize(
    ("false", "accept"),
    [
        (judged.spot(0.99, voxels=60, **ACCEPTED), levels.probability(4.75)),
        (judged.spot(0.99, voxels=60), None),  # flat: no threshold accepts it
        (judged.spot(0.99, voxels=60, voxelwise=((0.999, 0.999, 0.49),), **ACCEPTED), None),  # never all three
    ],
)
def test_what_is_accepted_is_chosen_where_it_agrees_best_with_the_truth(models, false, accept):
    sure = [judged.positive(name=f"p{n}", spots=(judged.spot(0.9999, **LAD, **ACCEPTED),)) for n in range(72)]
    mimics = [judged.row(name=f"m{n}", spots=(false,), outcome="present") for n in range(9)]
    chosen = tune.choose([*sure, *mimics, *_zeros(9)], _wanted(models))
    assert chosen.joint.accept == (accept or chosen.joint.other)


def test_a_bone_larger_than_any_plaque_does_not_decide_alone_what_is_accepted(models):
    faint = judged.spot(0.93, **LAD, **ACCEPTED)
    sure = [judged.positive(name=f"p{n}", spots=(judged.spot(0.9999, **LAD, **ACCEPTED), faint)) for n in range(72)]
    bone = judged.row(name="bone", spots=(judged.spot(0.96, voxels=20_000, **ACCEPTED),), outcome="present")
    chosen = tune.choose([*sure, bone, *_zeros(9)], _wanted(models))
    assert chosen.joint.accept == chosen.joint.other < 0.93


def test_a_small_score_needs_less_of_a_margin(models):
    def positives(score):
        spots = (judged.spot(0.9, **LAD),)
        return [judged.positive(name=f"p{n}", true=score, spots=spots) for n in range(72)]

    mimics = _zeros(9, 0.7)
    excluded = [tune.choose([*positives(score), *mimics], _wanted(models)).excluded for score in (9.9, 10.0)]
    assert excluded == [9, 0]
    beside = tune.choose([*positives(1.0), *_zeros(9, 0.8)], _wanted(models))
    assert beside.excluded == 0  # 0.8 lies within a logit of 0.9


def test_a_sample_too_small_for_the_sensitivity_is_refused_and_told_how_many_are_needed(models):
    with pytest.raises(ValueError, match=r"71 positives.*needs 72 positives"):
        tune.choose([*_positives(71), *_zeros(9)], _wanted(models))


def test_positives_that_are_unsuitable_show_nothing_and_are_not_counted(models):
    unsuitable = [judged.positive(name=f"u{n}", outcome="unsuitable", found=None) for n in range(9)]
    with pytest.raises(ValueError, match="71 positives"):
        tune.choose([*_positives(71), *unsuitable, *_zeros(9)], _wanted(models))


def test_a_positive_that_no_threshold_finds_is_refused_by_name_unless_it_may_be_given_up(models):
    faint = judged.positive(name="faint", spots=(judged.spot(0.001, **LAD),))
    scans = [*_positives(120), faint, *_zeros(9)]
    with pytest.raises(ValueError, match=r"1 positives would be called absent \(faint\)"):
        tune.choose(scans, _wanted(models))
    assert tune.choose(scans, _wanted(models, missed=1)).missed == ("faint",)


def test_giving_one_up_needs_a_larger_sample(models):
    faint = judged.positive(name="faint", spots=(judged.spot(0.001, **LAD),))
    with pytest.raises(ValueError, match="needs 110 positives"):
        tune.choose([*_positives(108), faint, *_zeros(9)], _wanted(models, missed=1))


def test_scans_of_one_patient_count_once(models):
    scans = [dataclasses.replace(row, patient=f"p{number // 2}") for number, row in enumerate(_positives(142))]
    with pytest.raises(ValueError, match=r"71 positives.*needs 72 positives"):
        tune.choose([*scans, *_zeros(9)], _wanted(models))


def test_without_a_zero_scan_nothing_is_chosen(models):
    with pytest.raises(ValueError, match="no calcium there is nothing to choose by"):
        tune.choose(_positives(72), _wanted(models))


@pytest.mark.parametrize(
    "words",
    [
        ["--sensitivity", "0.89"],
        ["--sensitivity", "1"],
        ["--sensitivity", "nan"],
        ["--missed", "-1"],
        ["--profile", "paper"],
    ],
)
def test_a_demand_that_is_none_is_refused_at_once(models, capsys, words):
    asked = ["--tune", "--models", str(models), "--out", str(models / "out"), "--phantoms", "validation"]
    assert evaluate.main([*asked, *words]) == 2
    assert capsys.readouterr().err
    assert not (models / "out").exists()


def test_a_positive_kept_back_by_a_mimic_alone_counts_as_missed(models):
    lucky = judged.positive(name="lucky", spots=(judged.spot(0.99999),))
    with pytest.raises(ValueError, match="lucky"):
        tune.choose([*_positives(120), lucky, *_zeros(9)], _wanted(models))


def test_a_lesion_that_slabs_erased_is_in_doubt_whatever_the_thresholds(models):
    erased = judged.positive(name="thin", spots=(judged.spot(0.001, doubt="erased_by_slabs", **LAD),))
    assert tune.choose([*_positives(72), erased, *_zeros(9)], _wanted(models)).missed == ()


def test_a_zero_scan_that_other_reasons_keep_back_is_never_counted_as_excluded(models):
    cut = judged.row(name="cut", outcome="indeterminate", reasons=("heart_cut_below",))
    unsuitable = judged.row(name="metal", outcome="unsuitable", found=None, reasons=("metal",))
    chosen = tune.choose([*_positives(72), *_zeros(3), cut, unsuitable], _wanted(models))
    assert (chosen.zeros, chosen.excluded) == (5, 3)


def test_a_zero_scan_of_which_planes_accept_different_voxels_is_in_doubt_and_not_counted_as_excluded(models):
    apart = tuple(tuple(0.9989 if place == plane else 0.001 for place in range(3)) for plane in range(3))
    spot = dataclasses.replace(judged.spot(0.9989, what="bone"), voxelwise=apart)
    bone = judged.row(name="bone", spots=(spot,), outcome="indeterminate")
    chosen = tune.choose([*_positives(72), *_zeros(3), bone], _wanted(models))
    assert (chosen.zeros, chosen.excluded) == (4, 3)


def test_the_operating_point_is_written_with_the_data_s_hash_and_the_manifest_stays_valid(models):
    scans = [*_positives(72), *_zeros(9)]
    chosen = tune.choose(scans, _wanted(models))
    path = models / "manifest.json"
    before = manifest.load(path)
    tune.write(path, "dilated", chosen, scans)
    after = manifest.load(path)
    point = after.operating_point["dilated"]
    assert point.tuning_sha256 == tune.digest(list(reversed(scans))) != tune.digest(scans[1:])
    assert (point.positives, point.missed, point.zeros, point.excluded) == (72, 0, 9, 9)
    assert point.sensitivity_low == pytest.approx(0.950, abs=0.001)
    assert point.tuning_set == "internal (81 scans)"
    assert after.model_set("dilated").net_spec().levels == dict.fromkeys(finding.Plane, chosen.levels)
    assert after.model_set("dilated").net_spec().joint == chosen.joint
    assert after.model_set("plain") == before.model_set("plain")
    assert [path.name for path in models.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--phantoms", "internal"], "held-out set: internal"),
        (["--dataset", "scans", "--split", "test"], "test split"),
        (["--dataset", "scans/test", "--split", "."], "test split"),
        (["--phantoms", "validation", "--each", "2"], "needs 72 positives"),
        (["--phantoms", "validation", "--zeros", "101"], "at most 100 phantoms"),
        (["--background", "series", "courses.json", "--copies", "60"], "60 positives"),
        ([], "Name what to run on"),
    ],
)
def test_what_must_not_be_tuned_on_is_refused_before_any_scan_is_made(models, capsys, arguments, said):
    before = (models / "manifest.json").read_bytes()
    assert evaluate.main(["--tune", "--models", str(models), "--out", str(models / "out"), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert (models / "manifest.json").read_bytes() == before
    assert not (models / "out").exists()


@pytest.mark.parametrize("words", [["--each", "0"], ["--zeros", "-1"]])
def test_no_phantom_at_all_is_refused(models, capsys, words):
    assert evaluate.main(["--models", str(models), "--phantoms", "internal", *words]) == 2
    assert "one phantom or more" in capsys.readouterr().err


def test_nets_that_are_not_there_end_the_run_with_a_sentence(models, capsys):
    words = ["--phantoms", "internal", "--each", "1", "--models", str(models), "--out", str(models / "out")]
    assert evaluate.main(words) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_training_validation_and_held_out_seeds_never_meet():
    def seeds(name):
        return {first + n for first in (p.seed for p in sets.phantoms(name, 100)) for n in range(sets.TRIES)}

    blocks = [seeds(name) for name in sets.FIRST]
    assert sum(map(len, blocks)) == len(set.union(*blocks))
    assert all(not 1_000_000 <= seed < 2_000_000 for block in blocks for seed in block)
    assert max(seeds("validation")) < sets.COPIES_FIRST["validation"] < 3_000_000


def test_more_phantoms_without_calcium_are_more_of_the_same_ones_and_of_no_other_group():
    few, more = sets.phantoms("validation", 2), sets.phantoms("validation", 2, zeros=5)
    assert set(few) < set(more)
    assert [p.seed for p in more if not p.may_be_positive] == [2_000_000, 2_000_010, 2_000_020, 2_000_030, 2_000_040]
    assert sum(p.may_be_positive for p in more) == 8


def test_open_thresholds_keep_every_candidate_in_doubt():
    assert finding.Levels(low=1e-9, high=1e-9) == tune.OPEN
