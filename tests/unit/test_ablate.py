import dataclasses
import pathlib

import numpy as np
import pytest

from cac import candidates, finding, fusion, heart, views, volume
from cac.phantom import scan
from training import ablate
from training.judging import variants

MODELS = pathlib.Path(__file__).parents[2] / "models"
REFERENCE = variants.Variant(name="reference", nets=("", ""))
SHAPE = (6, 16, 16)
CUBE = (slice(1, 3), slice(4, 6), slice(4, 6))
FLAT = (slice(4, 5), slice(9, 11), slice(9, 11))
FAINT = (slice(1, 3), slice(10, 12), slice(4, 6))
BOX = heart.Box(centre=(7.5, 7.5), size_mm=(8.0, 8.0), slices=(0, 6))
EVERYWHERE = np.ones(SHAPE, dtype=bool)


def scan_of(*places: tuple[slice, ...], increment: float = 3.0) -> volume.Volume:
    hu = np.zeros(SHAPE, dtype=np.float32)
    for place in places:
        hu[place] = 300
    return volume.Volume(hu=hu, spacing=(increment, 0.5, 0.5), thickness=3.0)


def answers(**said: tuple[tuple[slice, ...], tuple[float, float, float]]) -> variants.Answers:
    """Answer 0 but in these places, where the three planes say these probabilities."""
    maps = np.zeros((3, *SHAPE), dtype=np.float32)
    for place, values in said.values():
        maps[(slice(None), *place)] = np.array(values)[:, None, None, None]
    return variants.Answers(box=BOX, voxels=np.arange(int(np.prod(SHAPE))), probabilities=maps.reshape(3, -1))


def changed(ct: volume.Volume, said: variants.Answers, **changes: object) -> np.ndarray:
    variant = dataclasses.replace(REFERENCE, **changes)  # type: ignore[arg-type]
    return variants.mask(variant, ct, said, EVERYWHERE)[0]


@pytest.mark.parametrize(
    ("probabilities", "passing"),
    [
        ((0.5, 0.5, 0.5), {"and", "product", "majority"}),
        ((0.9, 0.9, 0.4), {"product", "majority"}),
        ((0.6, 0.6, 0.1), {"majority"}),
        ((1.0, 0.4, 0.4), {"product"}),
        ((0.9, 0.3, 0.1), set()),
    ],
)
def test_each_fusion_accepts_its_own(probabilities: tuple[float, float, float], passing: set[str]) -> None:
    ct, said = scan_of(CUBE), answers(cube=(CUBE, probabilities))
    assert {fuse for fuse in ("and", "product", "majority") if changed(ct, said, fuse=fuse).any()} == passing


def test_one_plane_alone_hears_no_other() -> None:
    ct, said = scan_of(CUBE), answers(cube=(CUBE, (0.1, 0.9, 0.1)))
    heard = {plane for plane in finding.Plane if changed(ct, said, planes=(plane,)).any()}
    assert heard == {finding.Plane.SAGITTAL}


def test_the_gate_keeps_out_what_is_below_130_hu() -> None:
    ct, said = scan_of(CUBE), answers(cube=(CUBE, (1, 1, 1)), faint=(FAINT, (1, 1, 1)))
    assert not changed(ct, said)[FAINT].any()
    assert changed(ct, said, gate=False)[FAINT].all()


def test_the_envelope_keeps_out_what_lies_beyond_it() -> None:
    ct, said = scan_of(CUBE), answers(cube=(CUBE, (1, 1, 1)))
    variant = dataclasses.replace(REFERENCE, envelope=True)
    assert not variants.mask(variant, ct, said, ~EVERYWHERE)[0].any()
    assert variants.mask(variant, ct, said, EVERYWHERE)[0].any()


def test_a_grown_extent_reaches_on_over_dense_voxels_of_enough_mean_and_starts_nothing() -> None:
    beside = (CUBE[0], CUBE[1], slice(6, 8))
    ct = scan_of(CUBE, beside, FAINT)
    said = answers(cube=(CUBE, (1, 1, 1)), beside=(beside, (0.9, 0.1, 0.1)), faint=(FAINT, (0.9, 0.4, 0.4)))
    assert not changed(ct, said)[beside].any()
    kept = changed(ct, said, grown=True)
    assert kept[CUBE].all()
    assert kept[beside].all()
    assert not kept[FAINT].any()


def test_the_rules_differ_on_what_is_one_slice_thick() -> None:
    ct, said = scan_of(CUBE, FLAT), answers(cube=(CUBE, (1, 1, 1)), flat=(FLAT, (1, 1, 1)))
    kept = {rule: bool(changed(ct, said, rule=rule)[FLAT].any()) for rule in ("off", "paper", "spacing-aware")}
    assert kept == {"off": True, "paper": False, "spacing-aware": True}


def test_a_lone_thin_lesion_is_in_doubt_by_the_spacing_aware_rule_and_lost_by_the_papers() -> None:
    ct, said = scan_of(FLAT), answers(flat=(FLAT, (1, 1, 1)))
    doubted = {}
    for rule in ("paper", "spacing-aware"):
        calcium, doubted[rule] = variants.mask(dataclasses.replace(REFERENCE, rule=rule), ct, said, EVERYWHERE)
        assert not calcium.any()
    assert doubted == {"paper": False, "spacing-aware": True}


@pytest.mark.parametrize("increment", [1.5, 3.0])
@pytest.mark.parametrize(
    ("rule", "profile"), [("spacing-aware", finding.Profile.DEFAULT), ("paper", finding.Profile.PAPER)]
)
def test_both_rules_leave_what_the_pipelines_own_fusion_leaves(
    rule: str, profile: finding.Profile, increment: float
) -> None:
    rng = np.random.default_rng(5)
    hu = np.where(rng.random(SHAPE) < 0.15, 300, 0).astype(np.float32)
    ct = volume.Volume(hu=hu, spacing=(increment, 0.5, 0.5), thickness=3.0)
    said = dataclasses.replace(answers(), probabilities=rng.uniform(0.3, 1, (3, hu.size)).astype(np.float32))
    found = candidates.find(ct, views.inside(BOX, ct))
    levels = dict.fromkeys(finding.Plane, finding.Levels(low=0.3, high=0.9))
    own = {plane: said.probabilities[number, found.voxels] for number, plane in enumerate(finding.Plane)}
    fused = fusion.fuse(ct, found, own, finding.NetSpec(levels=levels), profile)
    assert fused.lesions.count
    np.testing.assert_array_equal(changed(ct, said, rule=rule), fused.lesions.mask())


def test_a_scan_is_judged_by_every_variant_and_not_again_after_a_kill(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ablate.planned(MODELS, "plain", {"8": str(MODELS)})
    one_question = [each for each in plan.listed if each.crop == "mm" and each.nets == plan.reference]
    plan = dataclasses.replace(plan, listed=tuple(one_question))
    positive = ablate.phantoms(1, scan.Style(matrix=256, pixel=0.9, noise=12.0))[1]
    tasks = [dataclasses.replace(positive, increment=3.0)]
    assert ablate.run(tasks, plan, tmp_path, jobs=1) == []
    (record,) = ablate.read(tmp_path)
    verdicts = record["rows"]
    assert verdicts["base width: 8"] == verdicts[plan.listed[0].name]
    assert verdicts[ablate.BASELINE]["tp"] > 0
    assert verdicts["2D rule: off"]["tp"] > 0
    assert not verdicts[ablate.NODE]["negative"]
    with (tmp_path / ablate.ROWS).open("a") as file:
        file.write('{"name": "half a li')
    capsys.readouterr()
    assert ablate.run(tasks, plan, tmp_path, jobs=1) == []
    assert "judged" not in capsys.readouterr().err
    assert ablate.read(tmp_path) == [record]
    assert "measure the software" in ablate.write(plan, tmp_path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["16=MODELS"], "its nets are of base width 8"),
        (["8=MODELS", "8=MODELS"], "each width once"),
        (["wide=MODELS"], "say WIDTH=FOLDER"),
    ],
)
def test_a_width_that_is_not_the_nets_own_ends_with_a_sentence(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], asked: list[str], said: str
) -> None:
    words = [each.replace("MODELS", str(MODELS)) for each in asked]
    assert ablate.main(["--out", str(tmp_path / "out"), "--width", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_phantom_at_all_is_no_ablation(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate.main(["--each", "0", "--out", str(tmp_path)]) == 2
    assert "one phantom or more" in capsys.readouterr().err


def test_the_table_tells_zeros_from_positives() -> None:
    def record(positive: bool, negative: bool, *volumes: float) -> ablate.Record:
        tp, fp, fn = volumes
        verdict = variants.Verdict(negative=negative, tp=tp, fp=fp, fn=fn)
        return {"positive": positive, "rows": {"one": dataclasses.asdict(verdict)}}

    records = [
        record(False, True, 0, 0, 0),
        record(False, False, 0, 8, 0),
        record(True, False, 6, 2, 2),
        record(True, True, 0, 0, 2),
    ]
    (line,) = ablate.table(["one"], records).body
    assert line == ("one", "1 of 2", "1 of 2", 4.0, 0.375, pytest.approx(12 / 18))


def test_rows_of_other_variants_are_not_mixed(tmp_path: pathlib.Path) -> None:
    plan = ablate.planned(MODELS, "plain", {})
    (tmp_path / ablate.ROWS).write_text('{"name": "ablation-700000", "digest": "another"}\n')
    with pytest.raises(ValueError, match="other nets or variants"):
        ablate.run([], plan, tmp_path, jobs=1)
