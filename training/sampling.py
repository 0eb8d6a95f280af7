"""Patches centred on candidates, those that the net gets wrong more often."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from cac import finding
from training import cases, errors, losses

GROUPS = ("speck", "larger mimic or bone", "coronary calcium")
EDGE_PX = 1.4
"""SD of the blur that `hu_edge` adds or takes away: 0.7 mm in plane."""


def of_folder(folder: pathlib.Path, plane: finding.Plane, knobs: dict[str, Any]) -> "Sampler":
    """Return the sampler of all prepared cases in a folder; DatasetError where there is nothing to draw."""
    found = cases.stored_in(folder)
    if not found:
        msg = f"{folder} holds no prepared case: make some with training.prepare"
        raise errors.DatasetError(msg)
    made = Sampler(
        prepared=[cases.load(path) for path in found],
        plane=plane,
        knobs=knobs,
        random=np.random.default_rng([knobs["seed"], list(finding.Plane).index(plane)]),
        seen=cases.contents(found),
    )
    for group, wanted, what in zip(made.groups, knobs["mix"], GROUPS, strict=True):
        if wanted and not len(group):
            msg = f"the cases of {folder} hold no {what}, and 'mix' asks for {wanted} a batch"
            raise errors.DatasetError(msg)
    return made


@dataclasses.dataclass(kw_only=True)
class Sampler:
    """Draw patches centred on candidates, those the net gets wrong more often.

    `hardness` holds, per point, mostly the last loss seen there; it starts high, so that every point is seen early.
    """

    prepared: list[cases.Case]
    plane: finding.Plane
    knobs: dict[str, Any]
    random: np.random.Generator
    seen: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    epoch: None = None
    layout: torch.memory_format = torch.channels_last

    def __post_init__(self) -> None:
        points = [(index, point) for index, case in enumerate(self.prepared) for point in range(len(case.points))]
        self.owners = np.array(points, np.int64)
        calcium = np.concatenate([case.calcium for case in self.prepared])
        specks = np.concatenate([case.voxels for case in self.prepared]) <= self.knobs["speck_voxels"]
        masks = (~calcium & specks, ~calcium & ~specks, calcium)
        self.groups = [np.flatnonzero(mask) for mask in masks]
        self.hardness = np.ones(len(points), np.float32)
        self.margin = self.knobs["margin" if self.plane is finding.Plane.AXIAL else "margin_z"]
        self.steps = self.knobs["steps"]

    def draw(self) -> tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]:
        """Return the points drawn, and `patches` of them."""
        drawn = np.concatenate([self._choose(g, n) for g, n in zip(self.groups, self.knobs["mix"], strict=True)])
        return drawn, *self.patches(drawn)

    def patches(self, drawn: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (n, 2, height, width) around points, and labels (n, height, width)."""
        size = self.knobs["patch" if self.plane is finding.Plane.AXIAL else "patch_z"]
        images, labels = [], []
        for number in drawn:
            owner, point = self.owners[number]
            case = self.prepared[owner]
            hu, label = case.patch(self.plane, case.points[point], size, self.random)
            image, label = self._vary(hu, label)
            images.append(image)
            labels.append(label)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))

    def cost(self, logits: torch.Tensor, labels: torch.Tensor) -> losses.Cost:
        """Return what the answers to patches cost."""
        return losses.patches(logits, labels, self.knobs, self.margin)

    def clip(self, net: nn.Module) -> None:
        """Keep one strange patch from throwing the net off."""
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)

    def learn(self, drawn: NDArray[np.int64], losses: NDArray[np.float32]) -> None:
        """Note how badly the net did on each patch drawn."""
        self.hardness[drawn] = 0.3 * self.hardness[drawn] + 0.7 * np.clip(losses, 0.03, 2.0)

    def begin(self, net: nn.Module, start: str) -> None:
        """Look at some points before going on from weights: see `screen`."""
        if start and self.knobs.get("screen"):
            screen(net, self)

    def optimizer(self, net: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return AdamW with one cycle of the learning rate."""
        rate = self.knobs["learning_rate"]
        adam = torch.optim.AdamW(net.parameters(), rate, weight_decay=self.knobs["weight_decay"])
        return adam, torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=self.steps, pct_start=0.1)

    def state(self) -> dict[str, Any]:
        """Return what going on needs: the random state, and what was learned of each point."""
        return {"random": self.random.bit_generator.state, "hardness": torch.from_numpy(self.hardness)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; ValueError where it is of other points."""
        if len(state["hardness"]) != len(self.hardness):
            msg = f"the checkpoint knows {len(state['hardness'])} points, there are {len(self.hardness)}"
            raise ValueError(msg)
        self.random.bit_generator.state = state["random"]
        self.hardness = state["hardness"].numpy().copy()

    def _choose(self, group: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        weights = self.hardness[group].astype(np.float64)
        cumulated = np.cumsum(weights)
        return group[np.searchsorted(cumulated, self.random.random(n) * cumulated[-1])]

    def _vary(self, hu: NDArray[np.float32], label: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Change HU a little, and keep the labels true to the changed image."""
        scale = 1 + self.knobs["hu_scale"] * self.random.uniform(-1, 1)
        shift = self.knobs["hu_shift"] * self.random.uniform(-1, 1)
        noise = self.knobs["hu_noise"] * self.random.random()
        edge = self.knobs.get("hu_edge", 0.0) * self.random.uniform(-1, 1)
        if edge:  # a softer kernel where it is negative, a sharper one where it is positive
            hu = hu + np.float32(edge) * (hu - ndimage.gaussian_filter(hu, EDGE_PX, truncate=2.5))
        hu = hu * np.float32(scale) + np.float32(shift)
        hu += np.float32(noise) * self.random.standard_normal(hu.shape, np.float32)
        label = np.where((label == cases.OTHER) & (hu >= cases.CALCIUM_HU), cases.MIMIC, label)
        label = np.where((label == cases.CALCIUM) & (hu < cases.CALCIUM_HU), cases.UNSURE, label).astype(np.uint8)
        return cases.image(hu), label


def screen(net: nn.Module, sampler: Sampler) -> None:
    """Look at some points before going on from weights: most are easy, and the few hard ones are wanted soon."""
    everyone = len(sampler.hardness)
    seen = sampler.random.permutation(everyone)[: sampler.knobs["screen"]]
    with torch.no_grad():
        for drawn in np.array_split(seen, max(1, len(seen) // 64)):
            images, labels = sampler.patches(drawn)
            logits = net(images.contiguous(memory_format=torch.channels_last))
            sampler.hardness[drawn] = 0  # what it begins with says nothing
            sampler.learn(drawn, sampler.cost(logits, labels)[1].numpy())
    unseen = np.setdiff1d(np.arange(everyone), seen)
    sampler.hardness[unseen] = sampler.hardness[seen].mean()
