"""The nets as shipped: verified, identified, run, tested on a known case."""

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cac import errors as cac_errors
from cac import finding
from triage import errors, manifest, settings
from worker import inference

MODELS = pathlib.Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def stated():
    return manifest.load(MODELS / "manifest.json")


@pytest.fixture(scope="module")
def engine(stated):
    return inference.load(stated, MODELS, threads=1)


@pytest.fixture
def models(tmp_path):
    return pathlib.Path(shutil.copytree(MODELS, tmp_path / "models"))


def test_the_manifest_says_research_only_and_runs_both_architectures_joined_by_default(stated):
    assert stated.use == "research only"
    assert stated.default_architecture == settings.Settings().architecture == "both"


def test_all_shipped_nets_answer_with_probabilities_of_the_image_shape(stated):
    stack = np.random.default_rng(1).random((11, 2, 44, 64), np.float32)
    engines = [inference.load(stated, MODELS, architecture, threads=1) for architecture in stated.architectures]
    for engine, plane in itertools.product(engines, finding.Plane):
        answer = engine.predict(plane, stack, (0, 0, 44, 64))
        assert answer.shape == (11, 44, 64)
        assert answer.dtype == np.float32
        assert answer.min() >= 0
        assert answer.max() <= 1


def test_without_cuda_the_cpu_runs_and_says_so(stated):
    assert inference.load(stated, MODELS, device="cuda", threads=1).provider in {
        "CPUExecutionProvider",
        "CUDAExecutionProvider",
    }
    assert inference.load(stated, MODELS, device="cpu", threads=1).provider == "CPUExecutionProvider"


def test_an_unknown_device_is_refused(stated):
    with pytest.raises(errors.ModelError, match="tpu"):
        inference.load(stated, MODELS, device="tpu")


def test_an_answer_is_the_same_alone_and_in_a_batch(engine):
    stack = np.random.default_rng(2).random((9, 2, 64, 64), np.float32)
    together = engine.predict(finding.Plane.AXIAL, stack, (0, 0, 64, 64))
    alone = engine.predict(finding.Plane.AXIAL, stack[8:], (0, 0, 64, 64))
    np.testing.assert_allclose(together[8:], alone, atol=1e-6)


def test_an_answer_depends_on_nothing_beyond_the_receptive_field(engine):
    plane = finding.Plane.AXIAL
    reach = engine.model_set.nets[plane].receptive_field
    stack = np.random.default_rng(3).random((1, 2, 160, 160), np.float32)
    far = stack.copy()
    far[..., : 80 - reach] = 0
    far[..., 84 + reach :] = 0  # the pooling cell is 80 to 83
    before, after = (engine.predict(plane, seen, (0, 0, 160, 160)) for seen in (stack, far))
    np.testing.assert_allclose(before[..., 80:84], after[..., 80:84], atol=1e-6)


def test_altered_weights_are_refused(stated, models):
    path = models / stated.model_set().nets[finding.Plane.AXIAL].file
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(errors.ModelError, match="differ from the hash"):
        inference.load(stated, models)


def test_a_missing_net_is_refused(stated, models):
    (models / stated.model_set().nets[finding.Plane.CORONAL].file).unlink()
    with pytest.raises(errors.ModelError, match="cannot be read"):
        inference.load(stated, models)


def test_bytes_that_are_no_net_are_refused_even_with_their_own_hash(models):
    (models / "both-axial.onnx").write_bytes(b"not a net")
    hashed = hashlib.sha256(b"not a net").hexdigest()
    document = json.loads((models / "manifest.json").read_text())
    for net in document["nets"]:
        if net["file"] == "both-axial.onnx":
            net["sha256"] = hashed
    (models / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(errors.ModelError, match="do not load"):
        inference.load(manifest.load(models / "manifest.json"), models)


def test_weights_swapped_between_planes_are_refused_although_their_hashes_match(models):
    document = json.loads((models / "manifest.json").read_text())
    swap = {"axial": "sagittal", "sagittal": "axial"}
    for net in document["nets"]:
        net["plane"] = swap.get(net["plane"], net["plane"])
    (models / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(errors.ModelError, match="but the manifest calls it"):
        inference.load(manifest.load(models / "manifest.json"), models)


def test_nets_of_another_architecture_than_stated_are_refused(models):
    document = json.loads((models / "manifest.json").read_text())
    nets = [net for net in document["nets"] if net["architecture"] == "dilated"]
    document["nets"] = [{**net, "architecture": "plain"} for net in nets]
    document["default_architecture"] = "plain"
    document["joint"] = {"plain": document["joint"]["dilated"]}
    del document["operating_point"]
    (models / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(errors.ModelError, match="is the dilated net, but the manifest calls it plain"):
        inference.load(manifest.load(models / "manifest.json"), models)


class _BrokenSession:
    def __init__(self, answer):
        self.answer = answer

    def run(self, names, feed):
        return [self.answer]


@pytest.mark.parametrize("answer", [np.full((1, 8, 8), np.nan, np.float32), np.zeros((1, 4, 4), np.float32)])
def test_an_unusable_answer_is_a_prediction_error(engine, answer):
    broken = dataclasses.replace(engine, sessions=dict.fromkeys(finding.Plane, _BrokenSession(answer)))
    with pytest.raises(cac_errors.PredictionError):
        broken.predict(finding.Plane.AXIAL, np.zeros((1, 2, 8, 8), np.float32), (0, 0, 8, 8))


def test_the_shipped_nets_pass_the_self_test(engine):
    inference.self_test(engine)


def test_nets_that_see_nothing_fail_the_self_test(engine):
    class Blind:
        def run(self, names, feed):
            top, left, bottom, right = feed["core"]
            return [np.zeros((len(feed["image"]), bottom - top, right - left), np.float32)]

    blind = dataclasses.replace(engine, sessions=dict.fromkeys(finding.Plane, Blind()))
    with pytest.raises(errors.ModelError, match="came out absent"):
        inference.self_test(blind)


def test_the_runtime_keeps_no_device_id_and_no_reports(tmp_path):
    program = "import sys; from worker import inference; inference.onnxruntime.InferenceSession(sys.argv[1])"
    unset = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    net = next(MODELS.glob("*.onnx"))
    told = [sys.executable, "-c", program, str(net)]
    subprocess.run(told, env={**kept, "HOME": str(tmp_path)}, cwd=MODELS.parent, check=True)
    assert list(tmp_path.iterdir()) == []
