"""A training as a whole: it learns, its seed repeats it, and a kill does not change where it ends."""

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from tests import tiny_training
from training import cases

torch = pytest.importorskip("torch", reason="torch is not installed: see locks/train.txt")

from training import nets, run, train  # noqa: E402 - only with torch


def job(scratch, **knobs):
    config = tiny_training.config(**knobs)
    return run.Job(architecture="plain", plane=tiny_training.PLANE, config=config, scratch=scratch)


def log(weights):
    with weights.with_suffix(".csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def same(one, other):
    first, second = torch.load(one, weights_only=True), torch.load(other, weights_only=True)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Train once without a break; the folder and the weights."""
    scratch = tmp_path_factory.mktemp("finished")
    tiny_training.prepare(scratch)
    return train.train(job(scratch))


def test_a_tiny_run_learns_to_tell_calcium_from_mimics_that_it_has_not_seen(finished):
    net = nets.UNet("plain", **tiny_training.config()["net"]).eval()
    net.load_state_dict(torch.load(finished, weights_only=True))
    unseen = tiny_training.make_case(99)
    images = np.stack([cases.image(hu.astype(np.float32)) for hu in unseen.hu])
    with torch.no_grad():
        answer = torch.sigmoid(net(torch.from_numpy(images))).numpy()
    assert answer[unseen.label == cases.CALCIUM].mean() > 0.9
    assert answer[unseen.label == cases.MIMIC].mean() < 0.1


def test_the_loss_falls_and_is_logged_with_its_parts_the_rate_and_the_time(finished):
    rows = log(finished)
    assert [row["step"] for row in rows] == [100, 180]
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    parts = ("loss_voxels", "loss_patches", "loss_dice")
    assert rows[0]["loss"] == pytest.approx(sum(rows[0][part] for part in parts), abs=1e-4)
    assert {"found", "left", "learning_rate", "seconds"} < rows[0].keys()
    assert finished.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_leaves_no_checkpoint_and_tells_its_recipe(finished):
    names = sorted(path.name for path in finished.parent.iterdir())
    assert names == ["plain-axial.csv", "plain-axial.json", "plain-axial.png", "plain-axial.pt", "train"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_gives_others(tmp_path):
    made = []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        tiny_training.prepare(tmp_path / name)
        made.append(train.train(job(tmp_path / name, seed=seed, steps=12)))
    assert same(made[0], made[1])
    assert not same(made[0], made[2])


def test_a_run_killed_with_sigkill_ends_with_the_weights_of_one_that_was_not(finished, tmp_path):
    tiny_training.prepare(tmp_path)
    wanted = job(tmp_path)
    tiny_training.write_toml(tmp_path / "tiny.toml", wanted.config)
    command = [sys.executable, "-m", "training.train", "--architecture", "plain", "--plane", "axial"]
    command += ["--config", tmp_path / "tiny.toml", "--scratch", tmp_path, "--jobs", "1"]
    checkpoint = wanted.weights.with_suffix(".checkpoint")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        while not checkpoint.exists():
            assert running.poll() is None
            time.sleep(0.005)
        trainers = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGKILL)
    psutil.wait_procs(trainers, timeout=20)
    assert not any(each.is_running() for each in trainers)
    assert checkpoint.exists()
    assert not wanted.weights.exists()
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "goes on from step" in told
    assert same(wanted.weights, finished)
    untimed = [{name: row[name] for name in row if name != "seconds"} for row in log(wanted.weights)]
    assert untimed == [{name: row[name] for name in row if name != "seconds"} for row in log(finished)]


def test_a_checkpoint_of_a_run_with_other_knobs_is_refused(tmp_path):
    tiny_training.prepare(tmp_path)
    begun = run.Run(job(tmp_path))
    begun.begin()
    begun.save()
    with pytest.raises(ValueError, match=r"plain-axial\.checkpoint is of a run with other knobs"):
        train.train(job(tmp_path, learning_rate=1e-4))


def test_a_width_asked_for_is_the_nets_own_and_stands_in_the_recipe(tmp_path, monkeypatch):
    tiny_training.prepare(tmp_path)
    tiny_training.write_toml(tmp_path / "a.toml", tiny_training.config(steps=1))
    words = ["--config", "a.toml", "--scratch", ".", "--architecture", "plain", "--plane", tiny_training.PLANE]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", *words, "--width", "2"])
    train.main()
    (recipe,) = tmp_path.glob("*.json")
    width = json.loads(recipe.read_text())[-1]["config"]["net"]["width"]
    weights = torch.load(recipe.with_suffix(".pt"), weights_only=True)
    assert (width, next(iter(weights.values())).shape[0]) == (2, 2)


def test_a_turn_goes_on_from_the_last_weights_and_tells_both(tmp_path):
    tiny_training.prepare(tmp_path)
    train.train(job(tmp_path, steps=4))
    more = run.Job(
        architecture="plain",
        plane=tiny_training.PLANE,
        config=tiny_training.config(steps=3, screen=8),
        scratch=tmp_path,
        start="scratch",
    )
    told = train.train(more).with_suffix(".json").read_text()
    assert '"steps": 4' in told
    assert '"steps": 3' in told
