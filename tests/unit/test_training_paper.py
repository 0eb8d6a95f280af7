"""The paper's own way of training, as it states it (van den Oever et al. 2020, Model Training)."""

import pathlib
import tomllib

import numpy as np
import pytest

from cac import finding
from tests import tiny_training
from training import cases

torch = pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")

from training import losses, nets, paper, run, train  # noqa: E402 - only with torch

CONFIG = tomllib.loads((pathlib.Path(cases.CONFIG).parent / "paper.toml").read_text())


def tiny(scratch, **knobs):
    tiny_training.prepare(scratch, lesions=2)
    config = CONFIG | {"net": CONFIG["net"] | {"width": 4}, "train": CONFIG["train"] | {"cases": 2} | knobs}
    return run.Job(architecture="dilated", plane=finding.Plane.SAGITTAL, config=config, scratch=scratch)


def test_the_numbers_are_the_paper_s():
    knobs = CONFIG["train"]
    assert (knobs["cases"], knobs["epochs"], knobs["learning_rate"]) == (60, 30, 1e-5)
    assert CONFIG["net"]["dropout"] == 0.5


@pytest.mark.parametrize("architecture", ["plain", "dilated"])
def test_the_receptive_field_of_the_configured_net_is_the_stated_one(architecture):
    torch.manual_seed(0)
    net = nets.UNet(architecture, **CONFIG["net"]).eval()
    assert nets.measured_receptive_field(net) == nets.receptive_field(architecture)


def test_adam_keeps_the_paper_s_rate(tmp_path):
    begun = run.Run(tiny(tmp_path))
    assert type(begun.optimizer) is torch.optim.Adam
    for _ in range(20):
        begun.optimizer.step()
        begun.schedule.step()
    assert begun.schedule.get_last_lr() == [1e-5]


def test_an_epoch_shows_every_slice_with_calcium_once_and_no_other(tmp_path):
    source = run.Run(tiny(tmp_path)).source
    with_calcium = sum(int((case.label == cases.CALCIUM).any((0, 1)).sum()) for case in source.prepared)
    assert len(source.slices) == source.epoch == with_calcium
    assert source.steps == 30 * with_calcium
    drawn = [source.draw() for _ in range(source.epoch)]
    assert sorted(int(number) for numbers, _, _ in drawn for number in numbers) == list(range(with_calcium))
    assert all((labels == cases.CALCIUM).any() for _, _, labels in drawn)


@pytest.mark.parametrize("plane", list(finding.Plane))
def test_slices_have_the_paper_s_size_with_empty_slices_below(plane):
    case = tiny_training.make_case(1)
    hu, label = paper.cut(case, 5, plane)
    assert hu.shape == label.shape == ((320, 320) if plane is finding.Plane.AXIAL else (120, 320))
    side = slice(128, 192)  # 64 pixels amid 320
    inner = hu[side, side] if plane is finding.Plane.AXIAL else hu[:20, side]
    axis = {finding.Plane.AXIAL: 0, finding.Plane.CORONAL: 1, finding.Plane.SAGITTAL: 2}[plane]
    assert np.array_equal(inner, case.hu.take(5, axis))
    assert (hu == cases.AIR_HU).sum() == hu.size - inner.size


def test_the_cost_is_one_minus_dice_and_mimics_and_the_blurred_rim_are_background():
    labels = torch.full((1, 8, 8), cases.OTHER, dtype=torch.uint8)
    labels[0, 2, 2:4], labels[0, 5, 5], labels[0, 6, 6] = cases.CALCIUM, cases.MIMIC, cases.UNSURE
    sure = torch.where(labels == cases.OTHER, -50.0, 50.0)  # two right, two wrong
    assert float(losses.dice(sure, labels)[0]) == pytest.approx(1 - (2 * 2 + 1) / (4 + 2 + 1))
    assert float(losses.dice(torch.where(labels == cases.CALCIUM, 50.0, -50.0), labels)[0]) == pytest.approx(0)


def test_cases_are_phantoms_with_calcium_chosen_by_the_seed(tmp_path):
    tiny_training.prepare(tmp_path, range(6))
    tiny_training.prepare(tmp_path, range(6, 9), lesions=0)
    cases.save(tiny_training.make_case(9), tmp_path / "train" / "real9", "somebody's scan")
    chosen = [path.name for path in paper.choose(tmp_path / "train", 5, seed=1)]
    assert set(chosen) < {"1000", "1001", "1002", "1003", "1004", "1005"}
    assert chosen == [path.name for path in paper.choose(tmp_path / "train", 5, seed=1)]
    with pytest.raises(ValueError, match="holds 6 phantoms with calcium"):
        paper.choose(tmp_path / "train", 7, seed=1)


def test_weights_and_a_row_are_kept_each_epoch_so_that_it_can_be_stopped_and_goes_on_to_the_same(tmp_path):
    whole, stopped = (tiny(tmp_path / name, epochs=2, batch=8, save=2) for name in ("whole", "stopped"))
    train.train(whole)

    class StopError(Exception):
        pass

    epochs = []

    def keep(self, usual=run.Run.keep):
        usual(self)
        epochs.append(self.step)
        if len(epochs) == 1:
            raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.Run, "keep", keep)
        with pytest.raises(StopError):
            train.train(stopped)
    assert stopped.weights.exists()
    assert len(stopped.weights.with_suffix(".csv").read_text().splitlines()) == 2
    train.train(stopped)
    first, second = (torch.load(each.weights, weights_only=True) for each in (whole, stopped))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch warns of its own exporter
def test_its_nets_are_exported_to_a_folder_of_their_own_that_the_worker_opens(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: see locks/train.txt")
    from training import export
    from triage import manifest
    from worker import inference

    first = tiny(tmp_path, epochs=1, batch=16)
    for plane in finding.Plane:
        train.train(run.Job(architecture="dilated", plane=plane, config=first.config, scratch=tmp_path))
    models = tmp_path / "models"
    monkeypatch.setattr(
        "sys.argv", ["export", "--method", "paper", "--scratch", str(tmp_path), "--models", str(models)]
    )
    export.main()
    engine = inference.load(manifest.load(models / "manifest.json"), models)
    assert engine.model_set.architecture == "dilated"
    assert {net.recipe["turns"][0]["config"]["method"] for net in engine.model_set.nets.values()} == {"paper"}
