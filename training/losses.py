"""What a net's answers cost: on patches around candidates, and on the paper's whole slices."""

from typing import Any, TypeAlias

import torch
from torch.nn import functional

from training import cases

Cost: TypeAlias = tuple[torch.Tensor, torch.Tensor, dict[str, float]]
"""The loss, its part per image, and figures for the log."""


def dice(logits: torch.Tensor, labels: torch.Tensor) -> Cost:
    """Return one minus the soft Dice coefficient of a batch of whole slices (paper, Model Training).

    Every pixel counts, and calcium alone is right: the blurred rim is background.
    """
    calcium = (labels == cases.CALCIUM).float()
    probability = torch.sigmoid(logits)
    cost = 1 - overlap(probability, calcium)
    return cost, cost.detach().expand(len(labels)), {"loss": float(cost.detach())} | told(probability, calcium, labels)


def patches(logits: torch.Tensor, labels: torch.Tensor, knobs: dict[str, Any], margin: tuple[int, int]) -> Cost:
    """Return what patches around candidates cost: entropy of all voxels, of each patch and its peaks, and Dice.

    `margin` is what each edge of a patch, along its first and its second axis, is context only.
    Only candidate voxels count: what lies below 130 HU can decide nothing, so the nets may say anything there. The
    decision asks for a candidate's largest probability, so that counts once more: of all mimics in the patch, and of
    the calcium in its central third, where the plaque lies that it is centred on.
    """
    top, side = margin
    logits, labels = logits[:, top:-top, side:-side], labels[:, top:-top, side:-side]
    calcium, mimic = (labels == cases.CALCIUM).float(), (labels == cases.MIMIC).float()
    weight = knobs["calcium_weight"] * calcium + mimic
    entropy = functional.binary_cross_entropy_with_logits(logits, calcium, reduction="none") * weight
    each = entropy.sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    probability = torch.sigmoid(logits)
    apart = 1 - overlap(probability * (calcium + mimic), calcium)
    each = each + knobs["peak_weight"] * (_peak(logits, _central(calcium), sign=-1) + _peak(logits, mimic, sign=1))
    voxels = entropy.sum() / weight.sum().clamp(min=1)
    total = voxels + each.mean() + apart
    parts = {"loss": total, "loss_voxels": voxels, "loss_patches": each.mean(), "loss_dice": apart}
    return (
        total,
        each,
        {name: float(part.detach()) for name, part in parts.items()} | told(probability, calcium, labels),
    )


def overlap(probability: torch.Tensor, calcium: torch.Tensor) -> torch.Tensor:
    """Return the soft Dice coefficient, smoothed by one so that nothing against nothing is right."""
    return (2 * (probability * calcium).sum() + 1) / (probability.sum() + calcium.sum() + 1)


def told(probability: torch.Tensor, calcium: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Return the parts of calcium found and of mimics left at a threshold of 0.5."""
    passed, mimic = probability.detach() >= 0.5, (labels == cases.MIMIC).float()
    found = float((passed * calcium).sum() / calcium.sum().clamp(min=1))
    left = float((passed * mimic).sum() / mimic.sum().clamp(min=1))
    return {"found": found, "left": left}


def _peak(logits: torch.Tensor, mask: torch.Tensor, *, sign: int) -> torch.Tensor:
    """Return what each patch's largest logit in a mask costs, 0 where that is empty; `sign` -1 if it should be high."""
    held = torch.where(mask > 0, logits, torch.full_like(logits, -torch.inf)).flatten(1)
    cost = functional.softplus(sign * held.amax(1).nan_to_num(0, 0, 0))
    return torch.where(mask.flatten(1).any(1), cost, torch.zeros(()))


def _central(mask: torch.Tensor) -> torch.Tensor:
    """Return a mask (n, height, width) without what lies outside its central third."""
    inside = tuple(slice(size // 3, size - size // 3) for size in mask.shape[1:])
    kept = torch.zeros_like(mask)
    kept[:, *inside] = mask[:, *inside]
    return kept
