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


def cut(model):
    del model.graph.node[-1]


def newer(model):
    model.opset_import[0].version = 20


def turned(model):
    onnx.helper.set_model_props(model, {"plane": "coronal", "architecture": "plain"})


def other(model):
    onnx.helper.set_model_props(model, {"plane": "axial", "architecture": "dilated"})


@pytest.mark.parametrize("change", [cut, newer, turned, other])
def test_what_is_not_the_net_that_it_is_said_to_be_is_not_joined(change):
    swapped = onnx.load(MODELS / "plain-axial.onnx")
    change(swapped)
    parts = {"dilated": (MODELS / "dilated-axial.onnx").read_bytes(), "plain": swapped.SerializeToString()}
    with pytest.raises(ValueError, match="what is called the plain axial net is none that"):
        join.join(parts, finding.Plane.AXIAL)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": [-100.0, 700.0]}, "not read the same input"),
        ({"sha256": "0a" * 32}, "is not the file that the manifest tells of"),
        ({"file": "gone.onnx"}, "gone.onnx"),
    ],
)
def test_parts_that_do_not_fit_end_with_a_sentence(models, monkeypatch, capsys, change, said):
    stated = json.loads((models / "manifest.json").read_text())
    for net in stated["nets"]:
        if net["architecture"] == "plain" and (net["plane"] == "axial" or "window" in change):
            net.update(change)
    (models / "manifest.json").write_text(json.dumps(stated))
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    assert command(monkeypatch, models) == 2
    assert said in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"schema": 3}'])
def test_a_manifest_that_is_none_ends_with_a_sentence(models, monkeypatch, capsys, content):
    (models / "manifest.json").write_bytes(content)
    assert command(monkeypatch, models) == 2
    assert "manifest" in capsys.readouterr().err
    assert (models / "manifest.json").read_bytes() == content


def test_a_manifest_without_operating_points_is_joined(models, monkeypatch):
    stated = json.loads((models / "manifest.json").read_text())
    del stated["operating_point"]
    stated["nets"] = [net for net in stated["nets"] if net["architecture"] != join.JOINED]
    stated["default_architecture"] = "plain"
    del stated["joint"][join.JOINED]
    (models / "manifest.json").write_text(json.dumps(stated))
    assert command(monkeypatch, models) == 0
    after = manifest.load(models / "manifest.json")
    assert (after.default_architecture, after.operating_point) == (join.JOINED, {})


def test_a_disk_that_is_full_leaves_all_as_it_was(models, monkeypatch, capsys):
    before = {path.name: path.read_bytes() for path in models.iterdir()}

    def full(path, content):
        if path.name == "new-manifest.json":
            raise OSError(28, "No space left on device")
        return write(path, content)

    write = pathlib.Path.write_bytes
    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    assert command(monkeypatch, models) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


def test_a_part_that_is_missing_is_named_and_nothing_is_written(models, monkeypatch, capsys):
    stated = json.loads((models / "manifest.json").read_text())
    stated["nets"] = [net for net in stated["nets"] if net["architecture"] != "plain"]
    for part in ("joint", "operating_point"):
        del stated[part]["plain"]
    (models / "manifest.json").write_text(json.dumps(stated))
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    assert command(monkeypatch, models) == 2
    assert "no axial net of plain" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before


def test_a_folder_without_a_manifest_has_no_parts(tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, tmp_path) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_an_export_leaves_joined_nets_out_for_they_are_of_other_weights_then():
    nets = json.loads((MODELS / "manifest.json").read_text())["nets"]
    new = [{**each, "sha256": "0"} for each in nets if each["architecture"] == "plain"]
    assert {each["architecture"] for each in export.with_others(new, MODELS)} == set(join.PARTS)
    said = export.of_architectures(MODELS, "joint")
    assert join.JOINED in said
    assert join.JOINED not in export.still_true(said, export.with_others(new, MODELS), MODELS)
