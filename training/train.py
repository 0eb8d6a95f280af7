"""Train the nets on prepared phantoms: `python -m training.train` makes all six, two at a time."""

import argparse
import dataclasses
import json
import multiprocessing
import pathlib
import time
import tomllib
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from cac import finding
from training import cases, nets

ARCHITECTURES = ("dilated", "plain")
EDGE_PX = 1.4
"""SD of the blur that `hu_edge` adds or takes away: 0.7 mm in plane."""


@dataclasses.dataclass(kw_only=True)
class Sampler:
    """Draw patches centred on candidates, those the net gets wrong more often.

    `hardness` holds, per point, mostly the last loss seen there; it starts high, so that every point is seen early.
    """

    prepared: list[cases.Case]
    plane: finding.Plane
    knobs: dict[str, Any]
    random: np.random.Generator

    def __post_init__(self) -> None:
        points = [(index, point) for index, case in enumerate(self.prepared) for point in range(len(case.points))]
        self.owners = np.array(points, np.int64)
        calcium = np.concatenate([case.calcium for case in self.prepared])
        specks = np.concatenate([case.voxels for case in self.prepared]) <= self.knobs["speck_voxels"]
        masks = (~calcium & specks, ~calcium & ~specks, calcium)
        self.groups = [np.flatnonzero(mask) for mask in masks]
        self.hardness = np.ones(len(points), np.float32)

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

    def learn(self, drawn: NDArray[np.int64], losses: NDArray[np.float32]) -> None:
        """Note how badly the net did on each patch drawn."""
        self.hardness[drawn] = 0.3 * self.hardness[drawn] + 0.7 * np.clip(losses, 0.03, 2.0)

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


def train(
    architecture: str, plane: finding.Plane, config: dict[str, Any], scratch: pathlib.Path, start: str = ""
) -> pathlib.Path:
    """Train one net, or go on from weights (see `weights`); return the file of its weights."""
    torch.set_num_threads(1)
    knobs = config["train"]
    torch.manual_seed(knobs["seed"])
    random = np.random.default_rng([knobs["seed"], list(finding.Plane).index(plane)])
    sampler = Sampler(prepared=cases.load_all(scratch / "train"), plane=plane, knobs=knobs, random=random)
    path = scratch / f"{architecture}-{plane}.pt"
    net = nets.UNet(architecture, **config["net"])
    if start:
        net.load_state_dict(weights(start, architecture, plane, scratch))
    net = net.to(memory_format=torch.channels_last)
    margin = knobs["margin" if plane is finding.Plane.AXIAL else "margin_z"]
    if start and knobs.get("screen"):
        screen(net, sampler, knobs, margin)
    optimizer = torch.optim.AdamW(net.parameters(), knobs["learning_rate"], weight_decay=knobs["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, knobs["learning_rate"], total_steps=knobs["steps"], pct_start=0.1
    )
    began, running = time.monotonic(), np.zeros(3)
    half = torch.cpu._is_avx512_bf16_supported()  # emulated elsewhere, and ten times slower there
    for step in range(1, knobs["steps"] + 1):
        drawn, images, labels = sampler.draw()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = net(images.contiguous(memory_format=torch.channels_last))
        total, losses, figures = loss(logits.float(), labels, knobs, margin)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        sampler.learn(drawn, losses.detach().numpy())
        running += np.array(figures) / 100
        if step % 100 == 0:
            said = "loss {:.3f}  calcium found {:.3f}  mimics left {:.3f}".format(*running)
            print(f"{architecture} {plane} {step:5d} {time.monotonic() - began:5.0f} s  {said}", flush=True)
            running[:] = 0
    torch.save(net.state_dict(), path)
    _tell(path, config, start, cases.contents(scratch / "train"))
    return path


def _tell(path: pathlib.Path, config: dict[str, Any], start: str, seen: dict[str, list[str]]) -> None:
    """Write beside a net's weights how they were made: each turn's knobs, cases and what it went on from."""
    told = path.with_suffix(".json")
    turns = json.loads(told.read_text()) if start == "scratch" and told.exists() else []
    told.write_text(json.dumps([*turns, {"from": start, "config": config, "cases": seen}], indent=1) + "\n")


def screen(net: nets.UNet, sampler: Sampler, knobs: dict[str, Any], margin: tuple[int, int]) -> None:
    """Look at some points before going on from weights: most are easy, and the few hard ones are wanted soon."""
    everyone = len(sampler.hardness)
    seen = sampler.random.permutation(everyone)[: knobs["screen"]]
    with torch.no_grad():
        for drawn in np.array_split(seen, max(1, len(seen) // 64)):
            images, labels = sampler.patches(drawn)
            logits = net(images.contiguous(memory_format=torch.channels_last))
            sampler.hardness[drawn] = 0  # what it begins with says nothing
            sampler.learn(drawn, loss(logits, labels, knobs, margin)[1].numpy())
    unseen = np.setdiff1d(np.arange(everyone), seen)
    sampler.hardness[unseen] = sampler.hardness[seen].mean()


def weights(start: str, architecture: str, plane: finding.Plane, scratch: pathlib.Path) -> dict[str, torch.Tensor]:
    """Return the weights to go on from.

    `start` is 'scratch' for this net's own last ones, or the folder of shipped nets, or ARCHITECTURE@FOLDER for
    another architecture's there: the two differ in dilation only.
    """
    if start == "scratch":
        own: dict[str, torch.Tensor] = torch.load(scratch / f"{architecture}-{plane}.pt", weights_only=True)
        return own
    other, _, folder = start.rpartition("@")
    stored = onnx.load(pathlib.Path(folder) / f"{other or architecture}-{plane}.onnx").graph.initializer
    return {
        each.name.removeprefix("net."): torch.from_numpy(onnx.numpy_helper.to_array(each).copy())
        for each in stored
        if each.name.startswith("net.")
    }


def loss(
    logits: torch.Tensor, labels: torch.Tensor, knobs: dict[str, Any], margin: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, tuple[float, float, float]]:
    """Return the loss, its part per patch, and (loss, part of calcium >= 0.5, part of mimics >= 0.5).

    `margin` is what each edge of a patch, along its first and its second axis, is context only.
    Only candidate voxels count: what lies below 130 HU can decide nothing, so the nets may say anything there. The
    decision asks for a candidate's largest probability, so the largest of each patch count once more.
    """
    top, side = margin
    logits, labels = logits[:, top:-top, side:-side], labels[:, top:-top, side:-side]
    calcium, mimic = (labels == cases.CALCIUM).float(), (labels == cases.MIMIC).float()
    weight = knobs["calcium_weight"] * calcium + mimic
    entropy = functional.binary_cross_entropy_with_logits(logits, calcium, reduction="none") * weight
    each = entropy.sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    probability = torch.sigmoid(logits) * (calcium + mimic)
    dice = 1 - (2 * (probability * calcium).sum() + 1) / (probability.sum() + calcium.sum() + 1)
    each = each + knobs["peak_weight"] * (_peak(-logits, calcium, least=True) + _peak(logits, mimic))
    total = entropy.sum() / weight.sum().clamp(min=1) + each.mean() + dice
    passed = probability.detach() >= 0.5
    found = float((passed * calcium).sum() / calcium.sum().clamp(min=1))
    left = float((passed * mimic).sum() / mimic.sum().clamp(min=1))
    return total, each, (float(total.detach()), found, left)


def _peak(logits: torch.Tensor, mask: torch.Tensor, *, least: bool = False) -> torch.Tensor:
    """Return each patch's cost of its largest logit in a mask (of its smallest with `least`), 0 where it is empty."""
    far = torch.full_like(logits, torch.inf if least else -torch.inf)
    held = torch.where(mask > 0, logits, far).flatten(1)
    extreme = held.amin(1) if least else held.amax(1)
    return torch.where(mask.flatten(1).any(1), functional.softplus(extreme.nan_to_num(0, 0, 0)), torch.zeros(()))


def _job(task: tuple[str, finding.Plane, dict[str, Any], pathlib.Path, str]) -> None:
    train(*task)


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
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        pool.map(_job, tasks, chunksize=1)


if __name__ == "__main__":
    main()
