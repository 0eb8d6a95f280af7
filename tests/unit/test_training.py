"""The nets' architecture, their export, and the labels they learn from."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from cac import finding
from training import cases

torch = pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")

from training import losses, nets, sampling  # noqa: E402 - only with torch


@pytest.mark.parametrize(("architecture", "reach"), [("plain", 22), ("dilated", 24)])
def test_the_stated_receptive_field_is_the_one_measured_by_gradient(architecture, reach):
    torch.manual_seed(0)
    net = nets.UNet(architecture, width=4, dropout=0.0).eval()
    assert nets.receptive_field(architecture) == reach
    assert nets.measured_receptive_field(net) == reach


@pytest.mark.parametrize("architecture", ["plain", "dilated"])
def test_a_net_has_ten_three_by_three_convolutions_and_dilates_only_the_first_and_last_two(architecture):
    net = nets.UNet(architecture)
    rates = [m.dilation[0] for m in net.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    edge = nets.DILATION[architecture]
    assert rates == [edge, edge, 1, 1, 1, 1, 1, 1, edge, edge]


def test_every_three_by_three_convolution_is_followed_by_relu_and_dropout():
    modules = [m for m in nets.UNet("plain").modules() if not list(m.children())]
    for index, module in enumerate(modules):
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3):
            assert isinstance(modules[index + 1], torch.nn.ReLU)
            assert modules[index + 2].p == 0.5


def test_the_answer_has_the_image_s_height_and_width():
    answer = nets.UNet("dilated", width=4)(torch.zeros(3, 2, 40, 64))
    assert answer.shape == (3, 40, 64)


def test_voxels_below_130_hu_cost_nothing():
    knobs = {"calcium_weight": 1.0, "peak_weight": 1.0}
    labels = torch.full((1, 16, 16), cases.OTHER, dtype=torch.uint8)
    labels[0, 8, 8] = cases.CALCIUM
    logits = torch.zeros(1, 16, 16)
    usual = losses.patches(logits, labels, knobs, (2, 2))[0]
    logits[0, 4, 4] = 9.0
    assert losses.patches(logits, labels, knobs, (2, 2))[0] == usual


def test_a_net_that_answers_right_costs_less_than_one_that_answers_wrong():
    knobs = {"calcium_weight": 1.0, "peak_weight": 1.0}
    labels = torch.full((1, 8, 8), cases.OTHER, dtype=torch.uint8)
    labels[0, 4, 4], labels[0, 2, 2] = cases.CALCIUM, cases.MIMIC
    right = torch.where(labels == cases.CALCIUM, 5.0, -5.0)
    assert losses.patches(right, labels, knobs, (1, 1))[0] < losses.patches(-right, labels, knobs, (1, 1))[0]


def test_the_peak_asks_for_one_sure_voxel_of_the_plaque_in_the_middle():
    knobs = {"calcium_weight": 0.0, "peak_weight": 1.0}
    labels = torch.full((1, 22, 22), cases.OTHER, dtype=torch.uint8)
    labels[0, 10:12, 10:12] = cases.CALCIUM
    labels[0, 3, 3] = cases.CALCIUM

    def cost(row, column):
        logits = torch.full((1, 22, 22), -4.0)
        logits[0, row, column] = 4.0
        return float(losses.patches(logits, labels, knobs, (2, 2))[2]["loss_patches"])

    assert cost(10, 10) == pytest.approx(np.log1p(np.exp(-4.0)), abs=1e-5)
    assert cost(3, 3) == pytest.approx(np.log1p(np.exp(4.0)), abs=1e-5)


def test_patches_of_every_plane_show_the_voxel_they_were_asked_for():
    shape = (20, 60, 70)
    hu = np.arange(np.prod(shape)).reshape(shape).astype(np.int32)
    case = cases.Case(
        hu=hu,
        label=np.zeros(shape, np.uint8),
        points=np.array([[3, 50, 9]], np.int32),
        voxels=np.array([1], np.int32),
        calcium=np.array([True]),
    )
    for plane in finding.Plane:
        image, label = case.patch(plane, case.points[0], (16, 24), np.random.default_rng(0))
        assert image.shape == label.shape == (16, 24)
        assert float(hu[3, 50, 9]) in image


def test_screening_finds_what_a_net_gets_wrong_and_leaves_the_rest_at_the_mean():
    shape = (8, 32, 32)
    hu, label = np.zeros(shape, np.int16), np.full(shape, cases.MIMIC, np.uint8)
    hu[:] = 200
    label[:, :, 16:] = cases.CALCIUM
    points = np.array([[4, 8, 4], [4, 24, 28]] * 20, np.int32)
    case = cases.Case(
        hu=hu, label=label, points=points, voxels=np.full(40, 9, np.int32), calcium=np.array([False, True] * 20)
    )
    knobs = {"screen": 20, "speck_voxels": 6, "calcium_weight": 1.0, "peak_weight": 1.0, "patch": [8, 8]}
    knobs |= {"margin": [1, 1], "steps": 1}
    knobs |= {"hu_scale": 0.0, "hu_shift": 0.0, "hu_noise": 0.0}
    random = np.random.default_rng(0)
    sampler = sampling.Sampler(prepared=[case], plane=finding.Plane.AXIAL, knobs=knobs, random=random)
    sampler.hardness[:] = 99.0

    class Calcium(torch.nn.Module):
        def forward(self, images):
            return torch.full(images[:, 0].shape, 9.0)

    sampling.screen(Calcium(), sampler)
    mimics, calcium = sampler.hardness[::2], sampler.hardness[1::2]
    assert mimics.max() > 1 > 0.1 > calcium.min()
    seen = [value for value in sampler.hardness if value in (mimics.max(), calcium.min())]
    assert len(seen) == 20
    assert np.isclose(np.setdiff1d(sampler.hardness, seen), np.mean(seen)).all()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch warns of its own exporter
def test_the_exported_net_answers_as_the_original(tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: see locks/train.txt")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: see locks/train.txt")
    from training import export

    torch.manual_seed(1)
    net = nets.UNet("dilated", width=4).eval()
    path = tmp_path / "net.onnx"
    export.export(net, finding.Plane.SAGITTAL, "dilated", path)
    assert export.difference(net, path) <= export.TOLERANCE
    inside = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
    assert (inside["plane"], inside["architecture"]) == ("sagittal", "dilated")


def test_thresholds_of_an_older_schema_are_not_taken_over(tmp_path):
    pytest.importorskip("onnx")
    from training import export

    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 1, "nets": []}))
    with pytest.raises(SystemExit, match="schema 1, not 4: export into an empty folder"):
        export.chosen_levels(tmp_path)


@pytest.mark.parametrize("part", ["operating_point", "joint"])
def test_what_was_chosen_for_weights_stays_with_them_only(tmp_path, part):
    pytest.importorskip("onnx", reason="onnx is not installed: see locks/train.txt")
    from training import export

    models = shutil.copytree(pathlib.Path(__file__).parents[2] / "models", tmp_path / "models")
    stated = json.loads((models / "manifest.json").read_text())
    stated[part] = {"dilated": {"positives": 72}}
    (models / "manifest.json").write_text(json.dumps(stated))
    before = export.of_architectures(models, part)
    assert export.still_true(before, stated["nets"], models) == stated[part]
    shutil.copy(models / "plain-axial.onnx", models / "dilated-axial.onnx")
    assert export.still_true(before, stated["nets"], models) == {}


def test_a_net_s_recipe_tells_every_run_of_cases_by_their_source(tmp_path):
    empty = cases.Case(
        hu=np.zeros((1, 1, 1), np.int16),
        label=np.zeros((1, 1, 1), np.uint8),
        points=np.zeros((0, 3), np.int32),
        voxels=np.zeros(0, np.int32),
        calcium=np.zeros(0, bool),
    )
    for name in ("7", "8", "9", "11"):
        cases.save(empty, tmp_path / name)
    for name in ("real3", "real4"):
        cases.save(empty, tmp_path / name, "somebody's scan")
    assert cases.contents(cases.stored_in(tmp_path)) == {
        cases.PHANTOMS: ["11", "7-9"],
        "somebody's scan": ["real3-real4"],
    }
