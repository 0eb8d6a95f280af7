"""The paper's way of training (van den Oever et al. 2020, Model Training): whole slices that contain calcium, Dice.

What the paper leaves open and ours fills in: base width, batch, the seed, and Keras's defaults (Glorot's uniform
weights, zero biases), for the paper used Keras.
"""

import math
import pathlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cac import finding
from training import cases, losses

SIZE = {
    finding.Plane.AXIAL: (320, 320),
    finding.Plane.SAGITTAL: (120, 320),
    finding.Plane.CORONAL: (120, 320),
}
"""Height and width of a slice: 320 x 320 pixels around the heart, and stacks filled up to 120 slices."""
AXIS = {finding.Plane.AXIAL: 0, finding.Plane.CORONAL: 1, finding.Plane.SAGITTAL: 2}


class Slices:
    """Draw whole slices of one plane that contain calcium, each once an epoch, in an order the seed gives."""

    layout = torch.contiguous_format  # a tenth faster for single large images

    def __init__(self, folder: pathlib.Path, plane: finding.Plane, knobs: dict[str, Any]) -> None:
        chosen = choose(folder, knobs["cases"], knobs["seed"])
        self.prepared = [cases.load(path) for path in chosen]
        self.seen = cases.contents(chosen)
        self.plane, self.knobs = plane, knobs
        self.slices = [(case, number) for case in self.prepared for number in with_calcium(case, plane)]
        self.epoch = math.ceil(len(self.slices) / knobs["batch"])
        self.steps = self.epoch * knobs["epochs"]
        self.drawn = 0

    def draw(self) -> tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]:
        """Return which slices, their images (n, 2, height, width), and labels (n, height, width)."""
        epoch, batch = divmod(self.drawn, self.epoch)
        order = np.random.default_rng([self.knobs["seed"], AXIS[self.plane], epoch]).permutation(len(self.slices))
        drawn = order[batch * self.knobs["batch"] : (batch + 1) * self.knobs["batch"]]
        self.drawn += 1
        pairs = [cut(*self.slices[number], self.plane) for number in drawn]
        images = np.stack([cases.image(hu) for hu, _ in pairs])
        return drawn, torch.from_numpy(images), torch.from_numpy(np.stack([label for _, label in pairs]))

    def cost(self, logits: torch.Tensor, labels: torch.Tensor) -> losses.Cost:
        """Return the soft Dice loss."""
        return losses.dice(logits, labels)

    def clip(self, net: nn.Module) -> None:
        """Do nothing: the paper names no clipping."""

    def learn(self, drawn: NDArray[np.int64], each: NDArray[np.float32]) -> None:
        """Do nothing: every slice is seen as often as any other."""

    def begin(self, net: nn.Module, start: str) -> None:
        """Set weights and biases to Keras's defaults unless there are some to go on from."""
        for module in net.modules():
            if not start and isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def optimizer(self, net: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return Adam at the paper's rate, which stays as it is."""
        adam = torch.optim.Adam(net.parameters(), self.knobs["learning_rate"])
        return adam, torch.optim.lr_scheduler.ConstantLR(adam, factor=1.0)

    def state(self) -> dict[str, Any]:
        """Return what going on needs."""
        return {"drawn": self.drawn}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.drawn = state["drawn"]


def choose(folder: pathlib.Path, count: int, seed: int) -> list[pathlib.Path]:
    """Choose prepared phantoms with calcium by seed, in order of their names; ValueError where there are too few."""
    held = [p for p in cases.stored_in(folder) if cases.source(p) == cases.PHANTOMS and cases.load(p).calcium.any()]
    if len(held) < count:
        msg = f"{folder} holds {len(held)} phantoms with calcium, the paper's training needs {count}"
        raise ValueError(msg)
    drawn = np.random.default_rng(seed).choice(len(held), count, replace=False)
    return [held[number] for number in sorted(drawn)]


def with_calcium(case: cases.Case, plane: finding.Plane) -> NDArray[np.int64]:
    """Return the numbers of a plane's slices that contain calcium and are cut (see `cut`)."""
    height = SIZE[finding.Plane.SAGITTAL][0]
    others = tuple(axis for axis in range(3) if axis != AXIS[plane])
    return np.flatnonzero((case.label[:height] == cases.CALCIUM).any(others))


def cut(case: cases.Case, number: int, plane: finding.Plane) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return HU and labels of one whole slice at the paper's size, empty slices below, the middle in plane."""
    hu, label = (np.take(whole, number, AXIS[plane]) for whole in (case.hu, case.label))
    free = [axis for axis in range(3) if axis != AXIS[plane]]
    starts = [
        0 if axis == 0 else (length - size) // 2 for axis, length, size in zip(free, hu.shape, SIZE[plane], strict=True)
    ]
    hu, label = cases.cut(hu, starts, SIZE[plane], cases.AIR_HU), cases.cut(label, starts, SIZE[plane], cases.OTHER)
    return hu.astype(np.float32), label
