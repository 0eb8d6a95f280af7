"""The paper's two U-Nets (van den Oever et al. 2020, Architecture)."""

import itertools

import torch
from torch import nn

STRIDE = 4
"""Two downsamplings: height and width must be multiples of this."""

DILATION = {"plain": 1, "dilated": 2}
"""Dilation of the first two and the last two 3x3 convolutions; the paper names no rate, 2 is ours."""


class UNet(nn.Module):
    """Map (n, 2, height, width) to logits (n, height, width).

    Two 3x3 convolutions a level, each followed by ReLU and dropout; 'same' zero padding; width doubles per level.
    """

    def __init__(self, architecture: str, *, width: int = 16, dropout: float = 0.5) -> None:
        super().__init__()
        edge = DILATION[architecture]
        self.enter = _level(2, width, dilation=edge, dropout=dropout)
        self.down = _level(width, 2 * width, dilation=1, dropout=dropout)
        self.bottom = _level(2 * width, 4 * width, dilation=1, dropout=dropout)
        self.rise = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.up = _level(4 * width, 2 * width, dilation=1, dropout=dropout)
        self.surface = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.leave = _level(2 * width, width, dilation=edge, dropout=dropout)
        self.head = nn.Conv2d(width, 1, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logit of coronary calcium for each pixel."""
        fine = self.enter(image)
        middle = self.down(self.pool(fine))
        coarse = self.bottom(self.pool(middle))
        middle = self.up(torch.cat([middle, self.rise(coarse)], dim=1))
        fine = self.leave(torch.cat([fine, self.surface(middle)], dim=1))
        return self.head(fine)[:, 0]


class Probability(nn.Module):
    """Wrap a net for export: probabilities instead of logits."""

    def __init__(self, net: UNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the probability of coronary calcium, (n, height, width) in [0, 1]."""
        return torch.sigmoid(self.net(image))


def receptive_field(architecture: str) -> int:
    """Return how many pixels to either side can change an output pixel, at its worst place in the pooling grid.

    In all an output depends on 36 + 8 x dilation pixels (SCIENCE.md section 7), but not evenly to both sides: four
    dilated convolutions, four at half and two at quarter resolution, and up to three pixels of pooling cell.
    """
    return 4 * DILATION[architecture] + 4 * 2 + 2 * 4 + STRIDE - 1


def measured_receptive_field(net: nn.Module, *, size: int = 96) -> int:
    """Measure the same by gradient, over all places in the pooling grid; the test's oracle."""
    widest = 0
    for row, column in itertools.product(range(STRIDE), repeat=2):
        image = torch.rand(1, 2, size, size, requires_grad=True)
        place = (size // 2 + row, size // 2 + column)
        net(image)[0, place[0], place[1]].backward()
        assert image.grad is not None  # noqa: S101 - for the type checker
        touched = image.grad.abs().sum(dim=(0, 1)).nonzero()
        widest = max(widest, int((touched - torch.tensor(place)).abs().max()))
    return widest


def _level(channels: int, width: int, *, dilation: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [nn.Conv2d(inputs, width, 3, padding=dilation, dilation=dilation), nn.ReLU(), nn.Dropout2d(dropout)]
    return nn.Sequential(*layers)
