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
    """Return how many pixels beyond its pooling cell, to either side, can change an output pixel.

    Level by level: two convolutions reach 2 px of the level's own, and each step down ends at a whole pixel. With the
    cell itself that is SCIENCE.md section 7's 36 + 8 x dilation pixels.
    """
    edge = 2 * DILATION[architecture]
    middle = -(-edge // 2) + 2
    coarse = -(-middle // 2) + 2
    return 2 * (2 * coarse + 2) + edge


def measured_receptive_field(net: nn.Module, *, size: int = 96) -> int:
    """Measure the same by gradient, over all places in the pooling grid; the test's oracle."""
    widest = 0
    for row, column in itertools.product(range(STRIDE), repeat=2):
        image = torch.rand(1, 2, size, size, requires_grad=True)
        first = size // 2
        net(image)[0, first + row, first + column].backward()
        assert image.grad is not None  # noqa: S101 - for the type checker
        touched = image.grad.abs().sum(dim=(0, 1)).nonzero()
        widest = max(widest, first - int(touched.min()), int(touched.max()) - (first + STRIDE - 1))
    return widest


def _level(channels: int, width: int, *, dilation: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (channels, width):
        layers += [nn.Conv2d(inputs, width, 3, padding=dilation, dilation=dilation), nn.ReLU(), nn.Dropout2d(dropout)]
    return nn.Sequential(*layers)
