"""Both architectures joined into one net a plane."""

import hashlib
import json
import pathlib
import shutil

import numpy as np
import onnxruntime
import pytest

from cac import finding
from triage import manifest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: see locks/train.txt")
pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")

from training import cases, export, join  # noqa: E402 - after the skips

MODELS = pathlib.Path(__file__).parents[2] / "models"


@pytest.fixture
def models(tmp_path):
    return pathlib.Path(shutil.copytree(MODELS, tmp_path / "models"))


def command(monkeypatch, models):
    monkeypatch.setattr("sys.argv", ["join", "--models", str(models)])
    return join.main()


def logits(path, image, core):
    """Return a net's answer before the last sigmoid, which would round what it is sure of."""
    model = onnx.load(path)
    last = model.graph.node[-1]
    model.graph.output[0].name = last.input[0]
    del model.graph.node[-1]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image, "core": np.array(core)})[0]


@pytest.mark.parametrize("plane", list(finding.Plane))
def test_a_joined_net_s_logit_is_the_mean_of_its_parts_in_every_core(plane):
    values = np.random.default_rng(2).normal(60, 80, (3, 40, 64)).astype(np.float32)
    image = np.ascontiguousarray(cases.image(values).swapaxes(0, 1))
    for core in ((0, 0, 40, 64), (0, 0, 8, 12), (12, 24, 16, 32)):
        both, *parts = (logits(MODELS / f"{name}-{plane}.onnx", image, core) for name in (join.JOINED, *join.PARTS))
        assert np.abs(parts[0] - parts[1]).max() > 0.1
        np.testing.assert_allclose(both, sum(parts) / 2, atol=1e-4)


def test_the_shipped_joined_nets_are_made_of_the_shipped_parts(models, monkeypatch):
    before = (models / "manifest.json").read_bytes()
    for path in models.glob("both-*.onnx"):
        path.unlink()
    assert command(monkeypatch, models) == 0
    assert (models / "manifest.json").read_bytes() == before  # the very same files, and so the thresholds stay
    for path in models.glob("*.onnx"):
        assert path.read_bytes() == (MODELS / path.name).read_bytes()


def test_nets_joined_anew_leave_every_candidate_in_doubt_until_they_are_tuned(models, monkeypatch, capsys):
    net = onnx.load(models / "plain-axial.onnx")
    weight = next(each for each in net.graph.initializer if each.name.startswith("net."))
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) * np.float32(1.5)).tobytes()
    content = net.SerializeToString()
    (models / "plain-axial.onnx").write_bytes(content)
    stated = json.loads((models / "manifest.json").read_text())
    entry = next(each for each in stated["nets"] if each["file"] == "plain-axial.onnx")
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    (models / "manifest.json").write_text(json.dumps(stated))
    assert command(monkeypatch, models) == 0
    assert "No thresholds were chosen for them yet" in capsys.readouterr().out
    stated = manifest.load(models / "manifest.json")
    spec = stated.model_set(join.JOINED).net_spec()
    assert stated.default_architecture == join.JOINED
    assert spec.joint == export.UNCALIBRATED_JOINT
    assert spec.levels[finding.Plane.AXIAL] == export.UNCALIBRATED
    assert sorted(stated.operating_point) == ["dilated", "plain"]
    assert stated.model_set("dilated") == manifest.load(MODELS / "manifest.json").model_set("dilated")


def test_what_is_no_net_of_ours_is_not_joined():
    shifted = onnx.load(MODELS / "plain-axial.onnx")
    del shifted.graph.node[-1]
    parts = {"dilated": (MODELS / "dilated-axial.onnx").read_bytes(), "plain": shifted.SerializeToString()}
    with pytest.raises(ValueError, match="the plain axial net is none that"):
        join.join(parts, finding.Plane.AXIAL)


def test_a_part_that_is_missing_is_named_and_nothing_is_written(models, monkeypatch, capsys):
    stated = json.loads((models / "manifest.json").read_text())
    stated["nets"] = [net for net in stated["nets"] if (net["architecture"], net["plane"]) != ("plain", "coronal")]
    (models / "manifest.json").write_text(json.dumps(stated))
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    assert command(monkeypatch, models) == 2
    assert "no coronal net of plain" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


@pytest.mark.parametrize("content", [None, b"", b"not a net"])
def test_a_part_that_cannot_be_read_ends_with_a_sentence(models, monkeypatch, capsys, content):
    path = models / "dilated-sagittal.onnx"
    path.unlink() if content is None else path.write_bytes(content)
    before = (models / "manifest.json").read_bytes()
    assert command(monkeypatch, models) == 2
    assert path.name in capsys.readouterr().err
    assert (models / "manifest.json").read_bytes() == before


def test_a_folder_without_a_manifest_has_no_parts(tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, tmp_path) == 2
    assert "holds no axial net of dilated, plain" in capsys.readouterr().err


def test_an_export_leaves_joined_nets_out_for_they_are_of_other_weights_then():
    nets = json.loads((MODELS / "manifest.json").read_text())["nets"]
    new = [{**each, "sha256": "0"} for each in nets if each["architecture"] == "plain"]
    assert {each["architecture"] for each in export.with_others(new, MODELS)} == set(join.PARTS)
    said = export.of_architectures(MODELS, "joint")
    assert join.JOINED in said
    assert join.JOINED not in export.still_true(said, export.with_others(new, MODELS), MODELS)
