"""The manifest of the nets: what it demands, and what it answers."""

import json

import pytest

from cac import finding, joint
from triage import errors, manifest


def _net(plane, architecture="dilated"):
    return {
        "plane": plane,
        "architecture": architecture,
        "file": f"{architecture}-{plane}.onnx",
        "sha256": "0a" * 32,
        "input_shape": [None, 2, None, None],
        "channels": ["hu", "calcium"],
        "window": [-200, 800],
        "spacing": [1.5, 0.5, 0.5],
        "stride": 4,
        "depth": 120,
        "receptive_field": 24,
        "levels": {"low": 0.1, "high": 0.3},
        "recipe": {"command": "python -m training.train"},
    }


def _document(**changes):
    document = {
        "schema": manifest.SCHEMA,
        "name": "test nets",
        "version": "1",
        "use": "research only",
        "training_data": "none",
        "default_architecture": "dilated",
        "self_test": {"agatston": 12, "seed": 1, "increment": 3, "matrix": 256, "pixel": 0.9, "noise": 12},
        "nets": [_net(plane) for plane in finding.Plane],
        "joint": {"dilated": {"accept": 0.9, "other": 0.6, "speck": 0.9}},
    }
    return {**document, **changes}


def _load(tmp_path, document):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(document))
    return manifest.load(path)


def test_a_valid_manifest_gives_the_science_its_specification(tmp_path):
    spec = _load(tmp_path, _document()).model_set().net_spec()
    assert spec.levels[finding.Plane.CORONAL] == finding.Levels(low=0.1, high=0.3)
    assert spec.joint == finding.Joint(accept=0.9, other=0.6, speck=0.9)
    assert (spec.window, spec.spacing, spec.stride, spec.depth) == ((-200.0, 800.0), (1.5, 0.5, 0.5), 4, 120)


def test_a_missing_manifest_is_a_model_error(tmp_path):
    with pytest.raises(errors.ModelError, match="cannot be read"):
        manifest.load(tmp_path / "manifest.json")


def test_text_that_is_no_json_is_a_model_error(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(errors.ModelError, match="not valid"):
        manifest.load(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plane": "oblique"}, "plane"),
        ({"file": "../weights.onnx"}, "plain .onnx file name"),
        ({"sha256": "abc"}, "sha256"),
        ({"channels": ["calcium", "hu"]}, "channels"),
        ({"input_shape": [None, 3, None, None]}, "input shape"),
        ({"window": [800, -200]}, "window"),
        ({"stride": 0}, "above zero"),
        ({"stride": 8}, "same input"),
        ({"levels": {"low": 0.3, "high": 0.2}}, "must not lie above"),
        ({"levels": {"low": 0.1, "high": 1.5}}, r"\(0, 1\]"),
        ({"levels": {"low": 0.0, "high": 0.3}}, r"\(0, 1\]"),
        ({"levels": {"low": "NaN", "high": 0.3}}, "low"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_net_stated_wrongly_is_refused(tmp_path, changes, said):
    nets = [{**_net("axial"), **changes}, _net("sagittal"), _net("coronal")]
    with pytest.raises(errors.ModelError, match=said):
        _load(tmp_path, _document(nets=nets))


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({}, "dilated: no thresholds on what its nets say together"),
        ({"dilated": {"accept": 0.9, "other": 0.9, "speck": 0.8}}, "must not lie below"),
        ({"dilated": {"accept": 0.59, "other": 0.6, "speck": 0.8}}, "what is accepted must not lie below"),
        ({"dilated": {"accept": 0.9934, "other": 0.6, "speck": 0.8}}, "nothing comes to more than 0.9933"),
        ({"dilated": {"other": 0.6, "speck": 0.8}}, "joint.dilated.accept"),
        ({"dilated": {"accept": 0.9, "other": 0.85, "speck": 0.9}}, "must not lie above 0.8411"),
        ({"dilated": {"accept": 0.9, "other": 0.6, "speck": 0.98}}, "must not lie above"),
        ({"dilated": {"accept": 0.9, "other": 0.0, "speck": 0.8}}, r"\(0, 1\]"),
        ({"dilated": {"accept": 0.9, "other": 0.5, "speck": 1.5}}, r"\(0, 1\]"),
        ({"dilated": {"accept": 0.9, "other": "NaN", "speck": 0.8}}, "joint.dilated.other"),
        ({"dilated": {"accept": 0.9, "other": 0.5}}, "joint.dilated.speck"),
        ({name: {"accept": 0.9, "other": 0.5, "speck": 0.8} for name in ("dilated", "plain")}, "no nets for plain"),
    ],
)
def test_joint_thresholds_stated_wrongly_or_not_at_all_are_refused(tmp_path, stated, said):
    with pytest.raises(errors.ModelError, match=said):
        _load(tmp_path, _document(joint=stated))


@pytest.mark.parametrize("accept", [0.6, joint.SUREST])
def test_what_is_accepted_may_lie_where_doubt_begins_and_as_high_as_the_planes_can_come(tmp_path, accept):
    together = {"accept": accept, "other": 0.6, "speck": 0.9}
    assert _load(tmp_path, _document(joint={"dilated": together})).joint["dilated"].accept == accept


def test_two_nets_for_one_plane_are_refused(tmp_path):
    nets = [_net(plane) for plane in finding.Plane] + [_net("axial")]
    with pytest.raises(errors.ModelError, match="more than one net for dilated axial"):
        _load(tmp_path, _document(nets=nets))


POINT = {
    "tuning_sha256": "0c" * 32,
    "tuning_set": "validation (90 scans)",
    "positives": 72,
    "missed": 0,
    "zeros": 18,
    "excluded": 16,
    "sensitivity_low": 0.95,
    "date": "2026-11-26",
}


def test_a_manifest_tells_where_an_architecture_s_thresholds_are_from(tmp_path):
    assert _load(tmp_path, _document(operating_point={"dilated": POINT})).operating_point["dilated"].positives == 72


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ({"plain": POINT}, "no nets for plain"),
        ({"dilated": {**POINT, "tuning_sha256": "abc"}}, "tuning_sha256"),
        ({"dilated": {**POINT, "missed": 72}}, "fewer positives"),
        ({"dilated": {**POINT, "excluded": 19}}, "no more zero scans"),
        ({"dilated": {**POINT, "surprise": 1}}, "surprise"),
    ],
)
def test_an_operating_point_stated_wrongly_is_refused(tmp_path, points, said):
    with pytest.raises(errors.ModelError, match=said):
        _load(tmp_path, _document(operating_point=points))


def test_an_architecture_that_lacks_a_plane_is_refused(tmp_path):
    with pytest.raises(errors.ModelError, match="no net for coronal, sagittal"):
        _load(tmp_path, _document(nets=[_net("axial")]))


def test_a_default_without_nets_is_refused(tmp_path):
    with pytest.raises(errors.ModelError, match="plain"):
        _load(tmp_path, _document(default_architecture="plain"))


def test_an_unknown_architecture_is_a_model_error(tmp_path):
    with pytest.raises(errors.ModelError, match="no 'plain' nets"):
        _load(tmp_path, _document()).model_set("plain")


@pytest.mark.parametrize("other", [1, 2, 3, 5])
def test_another_schema_is_refused(tmp_path, other):
    with pytest.raises(errors.ModelError, match=f"schema {other}.*choose them anew"):
        _load(tmp_path, _document(schema=other))


def test_the_digest_changes_with_weights_thresholds_and_profile_but_not_with_the_recipe(tmp_path):
    def digest(profile=finding.Profile.DEFAULT, speck=0.8, accept=0.9, **changes):
        nets = [{**_net("axial"), **changes}, _net("sagittal"), _net("coronal")]
        together = {"dilated": {"accept": accept, "other": 0.6, "speck": speck}}
        return _load(tmp_path, _document(nets=nets, joint=together)).model_set().digest(profile)

    usual = digest()
    assert digest(recipe={"command": "another"}) == usual
    others = {
        digest(finding.Profile.PAPER),
        digest(sha256="0b" * 32),
        digest(speck=0.81),
        digest(accept=0.91),
        digest(levels={"low": 0.11, "high": 0.3}),
    }
    assert len(others | {usual}) == 6
