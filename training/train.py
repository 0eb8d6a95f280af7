"""Train the nets on prepared cases: `python -m training.train` makes all six, two at a time.

A run that was killed goes on from its last checkpoint when the same command is given again, to the same weights.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import threading
import tomllib
from typing import Any

import onnx
import onnx.numpy_helper
import torch

from cac import finding
from training import cases, checkpoint, journal, nets, paper, sampling

ARCHITECTURES = ("dilated", "plain")


def train(
    architecture: str, plane: finding.Plane, config: dict[str, Any], scratch: pathlib.Path, start: str = ""
) -> pathlib.Path:
    """Train one net, or go on from weights (see `weights`); return the file of its weights."""
    torch.set_num_threads(1)
    run = Run(architecture, plane, config, scratch, start)
    source, log = run.source, run.log
    run.resume()
    half = torch.cpu._is_avx512_bf16_supported() and not source.epoch  # emulated elsewhere, and ten times slower there
    while run.step < source.steps:
        drawn, images, labels = source.draw()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = run.net(images.contiguous(memory_format=source.layout))
        total, losses, figures = source.cost(logits.float(), labels)
        run.optimizer.zero_grad(set_to_none=True)
        total.backward()
        source.clip(run.net)
        rate = run.schedule.get_last_lr()[0]
        run.optimizer.step()
        run.schedule.step()
        source.learn(drawn, losses.detach().numpy())
        run.step += 1
        log.add(figures)
        if run.step % journal.SAID == 0:
            log.say(run.step)
        if run.step % (source.epoch or journal.SAID) == 0:
            log.row(run.step, rate)
            if source.epoch:
                run.keep()
        if run.step % config["train"].get("save", 500) == 0:
            run.save()
    log.row(run.step, run.schedule.get_last_lr()[0])
    run.keep()
    run.checkpoint.unlink(missing_ok=True)
    return run.path


class Run:
    """Hold all that a training changes as it goes, so that it can be saved and taken up again."""

    def __init__(
        self, architecture: str, plane: finding.Plane, config: dict[str, Any], scratch: pathlib.Path, start: str
    ) -> None:
        torch.manual_seed(config["train"]["seed"])
        folder = home(scratch, config.get("method"))
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{architecture}-{plane}.pt"
        self.checkpoint = self.path.with_suffix(".checkpoint")
        self.source = (paper.Slices if config.get("method") == "paper" else sampling.of_folder)(
            scratch / "train", plane, config["train"]
        )
        self.turn = {"from": start, "config": config, "cases": self.source.seen}
        self.before: list[dict[str, Any]] = []
        net = nets.UNet(architecture, **config["net"])
        self.net = net.to(memory_format=self.source.layout)
        self.optimizer, self.schedule = self.source.optimizer(self.net)
        self.log = journal.Journal(self.path, self.source.steps)
        self.step = 0
        self.start = lambda: weights(start, architecture, plane, folder) if start else None

    def resume(self) -> None:
        """Go on from the checkpoint of the same run, or begin; ValueError where it is another run's."""
        if not self.checkpoint.exists():
            self.begin()
            return
        state = checkpoint.load(self.checkpoint)
        if state["turn"] != self.turn:
            msg = f"{self.checkpoint} is of a run with other knobs, cases or start: finish that, or delete it"
            raise ValueError(msg)
        for name in ("net", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        self.step, self.before = state["step"], state["before"]
        self.source.restore(state["source"])
        self.log.restore(state["log"], self.step)
        print(f"{self.path.stem} goes on from step {self.step}", flush=True)

    def begin(self) -> None:
        """Set the first weights, and remember the turns that made those to go on from."""
        first = self.start()
        if first is not None:
            self.net.load_state_dict(first)
        told = self.path.with_suffix(".json")
        if self.turn["from"] == "scratch" and told.exists():
            self.before = json.loads(told.read_text())
        self.source.begin(self.net, self.turn["from"])

    def save(self) -> None:
        """Write the checkpoint, and draw the curves."""
        state = {name: getattr(self, name).state_dict() for name in ("net", "optimizer", "schedule")}
        state |= {"random": torch.get_rng_state(), "source": self.source.state(), "log": self.log.state()}
        checkpoint.save(self.checkpoint, state | {"step": self.step, "turn": self.turn, "before": self.before})
        self.log.draw()

    def keep(self) -> None:
        """Write the weights as they are, and beside them how they were made, in turns, and the curves."""
        checkpoint.save(self.path, self.net.state_dict())
        turns = [*self.before, self.turn | {"steps": self.step, "steps_wanted": self.source.steps}]
        checkpoint.write(self.path.with_suffix(".json"), (json.dumps(turns, indent=1) + "\n").encode())
        self.log.draw()


def home(scratch: pathlib.Path, method: str | None) -> pathlib.Path:
    """Return the folder of a method's weights; our own method's is the scratch folder itself."""
    return scratch / method if method else scratch


def weights(start: str, architecture: str, plane: finding.Plane, folder: pathlib.Path) -> dict[str, torch.Tensor]:
    """Return the weights to go on from.

    `start` is 'scratch' for this net's own last ones, or the folder of shipped nets, or ARCHITECTURE@FOLDER for
    another architecture's there: the two differ in dilation only.
    """
    if start == "scratch":
        own: dict[str, torch.Tensor] = checkpoint.load(folder / f"{architecture}-{plane}.pt")
        return own
    other, _, shipped = start.rpartition("@")
    stored = onnx.load(pathlib.Path(shipped) / f"{other or architecture}-{plane}.onnx").graph.initializer
    return {
        each.name.removeprefix("net."): torch.from_numpy(onnx.numpy_helper.to_array(each).copy())
        for each in stored
        if each.name.startswith("net.")
    }


def _job(task: tuple[str, finding.Plane, dict[str, Any], pathlib.Path, str]) -> None:
    train(*task)


def _die_with_parent() -> None:
    """End this process when the one that started it is killed: two runs of one net would spoil its checkpoint."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Train what the command line names; all six nets by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=pathlib.Path, default=cases.CONFIG)
    parser.add_argument("--scratch", type=pathlib.Path, default=cases.SCRATCH)
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append")
    parser.add_argument("--plane", choices=list(finding.Plane), type=finding.Plane, action="append")
    parser.add_argument("--jobs", type=int, default=2, help="nets trained at a time, one thread each")
    parser.add_argument("--more", dest="start", default="", metavar="START", help="go on from weights: see `weights`")
    options = parser.parse_args()
    config = tomllib.loads(options.config.read_text())
    tasks = [
        (architecture, plane, config, options.scratch, options.start)
        for architecture in options.architecture or ARCHITECTURES
        for plane in options.plane or finding.Plane
    ]
    # An executor, not a pool: a pool waits for ever for a worker that was killed.
    with concurrent.futures.ProcessPoolExecutor(
        min(options.jobs, len(tasks)), multiprocessing.get_context("spawn"), _die_with_parent
    ) as workers:
        list(workers.map(_job, tasks))


if __name__ == "__main__":
    main()
