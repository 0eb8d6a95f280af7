"""What a person may get wrong about a training is answered with a sentence that names it."""

import json
import pathlib
import shutil
import sys

import pytest

from tests import tiny_training
from training import cases, errors, knobs

MODELS = pathlib.Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("path", sorted(knobs.FOLDER.glob("*.toml")), ids=lambda path: path.name)
def test_every_configuration_that_comes_with_it_is_read(path):
    assert knobs.read(path)["train"]["seed"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": 4}, r"\[train\] knows no step"),
        ({"steps": "many"}, r"steps = 'many' is not like 4000"),
        ({"steps": 2.5}, r"steps = 2\.5 is not like"),
        ({"patch": [64, 30]}, r"patch = \[64, 30\] are not multiples of 4"),
        ({"mix": [1, 2]}, r"mix = \[1, 2\] is not like"),
        ({"peak_weight": True}, r"peak_weight = True is not like"),
        ({"steps": 0}, r"steps = 0 must be above zero"),
        ({"learning_rate": -1.0}, r"learning_rate = -1\.0 must be above zero"),
        ({"mix": [0, 0, 0]}, r"mix = \[0, 0, 0\] asks for no patch"),
        ({"margin": [12, 4]}, r"margin = \[12, 4\] leaves nothing of patch = \[24, 24\]"),
        ({"margin_z": [0, 4]}, r"margin_z = \[0, 4\] leaves nothing of patch_z = \[16, 24\], or takes no edge off"),
    ],
)
def test_a_knob_that_is_none_is_refused_by_name(tmp_path, changes, said):
    tiny_training.write_toml(
        tmp_path / "a.toml", {**(made := tiny_training.config()), "train": made["train"] | changes}
    )
    with pytest.raises(errors.DatasetError, match=said):
        knobs.read(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"width": 0}, "width = 0 must be above zero"), ({"dropout": 1.0}, r"dropout = 1\.0 must lie in \[0, 1\)")],
)
def test_a_net_that_cannot_be_is_refused_by_the_knob(tmp_path, changes, said):
    tiny_training.write_toml(tmp_path / "a.toml", {**(made := tiny_training.config()), "net": made["net"] | changes})
    with pytest.raises(errors.DatasetError, match=said):
        knobs.read(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "cannot be read as a configuration"),
        ('method = "ours"', "the method 'ours' is none"),
        ("[net]\nwidth = 8", r"\[net\] lacks dropout; \[train\] lacks seed"),
        (tiny_training.PATCHES + "\n[trian]\nseed = 1", r"\[trian\] is no part"),
    ],
)
def test_a_configuration_that_is_none_is_refused(tmp_path, text, said):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(errors.DatasetError, match=said):
        knobs.read(tmp_path / "a.toml")


def command(monkeypatch, module, *words):
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        module.main()
    return str(left.value)


def test_a_folder_without_cases_is_said_plainly(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")
    from training import train

    tiny_training.write_toml(tmp_path / "a.toml", tiny_training.config())
    words = ("--config", tmp_path / "a.toml", "--scratch", tmp_path, "--architecture", "plain", "--plane", "axial")
    assert "holds no prepared case" in command(monkeypatch, train, *words)


def test_a_base_width_that_is_none_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")
    from training import train

    tiny_training.write_toml(tmp_path / "a.toml", tiny_training.config())
    words = ("--config", tmp_path / "a.toml", "--scratch", tmp_path, "--width", 0)
    assert "width = 0 must be above zero" in command(monkeypatch, train, *words)


def test_cases_without_calcium_are_refused_where_the_mix_asks_for_it(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")
    from training import sampling

    cases.save(tiny_training.make_case(1, lesions=0), tmp_path / "1")
    with pytest.raises(errors.DatasetError, match="no coronary calcium, and 'mix' asks for 5"):
        sampling.of_folder(tmp_path, tiny_training.PLANE, tiny_training.config()["train"])


def test_weights_of_another_width_are_refused(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")
    from training import run

    tiny_training.prepare(tmp_path)
    config = tiny_training.config()
    config["net"]["width"] = 4
    job = run.Job(architecture="dilated", plane=tiny_training.PLANE, config=config, scratch=tmp_path, start=str(MODELS))
    with pytest.raises(errors.DatasetError, match="are not those of such a net"):
        run.Run(job).begin()


@pytest.mark.parametrize(("planes", "said"), [([], "holds no weights"), (["axial"], "weights for axial only")])
def test_an_export_of_nothing_or_of_a_part_leaves_the_manifest_as_it_is(tmp_path, monkeypatch, planes, said):
    pytest.importorskip("onnx", reason="onnx is not installed: see locks/train.txt")
    pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")
    from training import export

    models = shutil.copytree(MODELS, tmp_path / "models")
    for plane in planes:
        (tmp_path / f"plain-{plane}.pt").write_bytes(b"")
    assert said in command(monkeypatch, export, "--scratch", tmp_path, "--models", models)
    assert (models / "manifest.json").read_bytes() == (MODELS / "manifest.json").read_bytes()


def test_an_export_keeps_the_other_architecture_s_nets():
    pytest.importorskip("onnx", reason="onnx is not installed: see locks/train.txt")
    pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")
    from training import export

    nets = json.loads((MODELS / "manifest.json").read_text())["nets"]
    new = [{**each, "sha256": "0"} for each in nets if each["architecture"] == "plain"]
    made = export.with_others(new, MODELS)
    assert [each["architecture"] for each in made] == ["dilated"] * 3 + ["plain"] * 3
    assert [each["sha256"] == "0" for each in made] == [False] * 3 + [True] * 3
