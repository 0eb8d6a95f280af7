"""One net's training as it stands: saved, taken up again, and kept when it is done."""

import dataclasses
import json
import pathlib
from typing import Any

import onnx
import onnx.numpy_helper
import torch

from cac import finding
from training import checkpoint, errors, journal, nets, paper, sampling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """Name one net to train: its architecture, plane and knobs, the folder of the cases, and what it goes on from.

    `start` is empty, or see `weights`.
    """

    architecture: str
    plane: finding.Plane
    config: dict[str, Any]
    scratch: pathlib.Path
    start: str = ""

    @property
    def weights(self) -> pathlib.Path:
        """Return the file of the net's weights."""
        return home(self.scratch, self.config.get("method")) / f"{self.architecture}-{self.plane}.pt"


class Run:
    """Hold all that a training changes as it goes.

    `source` draws images and judges answers: patches (`sampling.Sampler`), or whole slices (`paper.Slices`).
    """

    def __init__(self, job: Job) -> None:
        torch.manual_seed(job.config["train"]["seed"])
        self.job, self.path = job, job.weights
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.checkpoint = self.path.with_suffix(".checkpoint")
        make = paper.Slices if job.config.get("method") == "paper" else sampling.of_folder
        self.source = make(job.scratch / "train", job.plane, job.config["train"])
        self.turn = {"from": job.start, "config": job.config, "cases": self.source.seen}
        self.before: list[dict[str, Any]] = []
        net = nets.UNet(job.architecture, **job.config["net"])
        self.net = net.to(memory_format=self.source.layout)
        self.optimizer, self.schedule = self.source.optimizer(self.net)
        self.log = journal.Journal(self.path, self.source.steps)
        self.step = 0

    def begin(self) -> None:
        """Set the first weights, and remember the turns that made those to go on from."""
        if self.job.start:
            try:
                self.net.load_state_dict(weights(self.job))
            except RuntimeError as exc:  # torch's answer to other names or shapes
                msg = f"the weights of '{self.job.start}' are not those of such a net: is [net] another?"
                raise errors.DatasetError(msg) from exc
        told = self.path.with_suffix(".json")
        if self.job.start == "scratch" and told.exists():
            self.before = json.loads(told.read_text())
        self.source.begin(self.net, self.job.start)

    def resume(self) -> None:
        """Go on from the checkpoint; ValueError where it is another run's."""
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

    def save(self) -> None:
        """Write the checkpoint, and draw the curves."""
        state = {name: getattr(self, name).state_dict() for name in ("net", "optimizer", "schedule")}
        state |= {"random": torch.get_rng_state(), "source": self.source.state(), "log": self.log.state()}
        checkpoint.save(self.checkpoint, state | {"step": self.step, "turn": self.turn, "before": self.before})
        self.log.draw()

    def keep(self) -> None:
        """Write the weights as they are, beside them how they were made, in turns, and the curves."""
        checkpoint.save(self.path, self.net.state_dict())
        turns = [*self.before, self.turn | {"steps": self.step, "steps_wanted": self.source.steps}]
        checkpoint.write(self.path.with_suffix(".json"), (json.dumps(turns, indent=1) + "\n").encode())
        self.log.draw()


def home(scratch: pathlib.Path, method: str | None) -> pathlib.Path:
    """Return the folder of a method's weights; our own method's is the scratch folder itself."""
    return scratch / method if method else scratch


def weights(job: Job) -> dict[str, torch.Tensor]:
    """Return the weights to go on from.

    `start` is 'scratch' for this net's own last ones, or the folder of shipped nets, or ARCHITECTURE@FOLDER for
    another architecture's there: the two differ in dilation only.
    """
    if job.start == "scratch":
        return checkpoint.load(job.weights)
    other, _, folder = job.start.rpartition("@")
    stored = onnx.load(pathlib.Path(folder) / f"{other or job.architecture}-{job.plane}.onnx").graph.initializer
    return {
        each.name.removeprefix("net."): torch.from_numpy(onnx.numpy_helper.to_array(each).copy())
        for each in stored
        if each.name.startswith("net.")
    }
