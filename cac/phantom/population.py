"""Who is scanned and how: the ranges a phantom is drawn from."""

import dataclasses
from typing import TypeAlias

Range: TypeAlias = tuple[float, float]
"""Lower and upper end of a uniform draw."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Population:
    """Hold the ranges of anatomy and scanner; the defaults are those of the self-test, the demo and the tests.

    Anatomy: `scale` of the heart, SD in degrees of its `turn` (about z, about x), relative SD of its chambers' `shape`,
    `sac_fat` between heart and pericardium, `crease` by which grooves between chambers are filled; of the chest half
    its `width`, the `gap` between heart and breastbone, `fat` and `muscle` of its wall (all mm), HU of `lung` and
    `blood`, factor on `bone`, SD in HU of the costal cartilage's `mottle`, HU that `septa` and small vessels lift fat
    by, share of chests with `breasts`, share of hard negatives that are `faint`.
    Scanner: SD of `noise` in HU, `spread` (FWHM of the point spread, mm), `grain` (the part of coarse noise that a
    sharper kernel takes away, 0 to 1), `edge` (how much that kernel sharpens), SD in HU of the tissue's `texture`, part
    of the noise that comes again as a `streak`, part of a slice's noise that lingers in the next beyond their overlap.
    Heart beat: SD in mm of the in-plane path over which a plaque is smeared, `motion`, and of the blur in plane that
    the rest of the heart gets, `beat`. Mimics keep `clearance` mm from the coronary arteries. The stack begins `above`
    and ends `below` the heart's middle (mm, times its scale).
    """

    scale: Range = (0.92, 1.12)
    turn: tuple[float, float] = (6.0, 5.0)
    shape: float = 0.03
    sac_fat: Range = (1.5, 4.5)
    crease: Range = (2.5, 2.5)
    width: Range = (122.0, 142.0)
    gap: Range = (8.0, 14.0)
    fat: Range = (8.0, 30.0)
    muscle: Range = (11.0, 20.0)
    lung: Range = (-875.0, -815.0)
    blood: Range = (40.0, 52.0)
    bone: Range = (0.8, 1.2)
    mottle: Range = (0.0, 0.0)
    septa: Range = (0.0, 0.0)
    breasts: float = 0.0
    faint: float = 0.0
    noise: Range = (12.0, 28.0)
    spread: Range = (0.6, 1.0)
    grain: Range = (0.0, 0.0)
    edge: Range = (0.0, 0.0)
    texture: Range = (6.0, 6.0)
    streak: Range = (0.0, 0.0)
    linger: Range = (0.0, 0.0)
    motion: Range = (0.4, 0.4)
    beat: Range = (0.0, 0.0)
    clearance: float = 6.0
    above: Range = (62.0, 78.0)
    below: Range = (60.0, 74.0)


STANDARD = Population()

BROAD = Population(
    scale=(0.86, 1.24),
    turn=(10.0, 9.0),
    shape=0.06,
    sac_fat=(0.5, 6.0),
    crease=(2.5, 26.0),
    width=(112.0, 152.0),
    gap=(-1.0, 13.0),
    fat=(5.0, 42.0),
    muscle=(9.0, 24.0),
    lung=(-910.0, -780.0),
    blood=(30.0, 58.0),
    bone=(0.65, 1.4),
    mottle=(0.0, 36.0),
    septa=(0.0, 30.0),
    breasts=0.45,
    faint=0.5,
    noise=(8.0, 30.0),
    spread=(0.6, 1.6),
    grain=(0.0, 0.6),
    edge=(0.0, 0.25),
    texture=(3.0, 11.0),
    streak=(0.0, 0.7),
    linger=(0.0, 0.5),
    motion=(0.1, 1.1),
    beat=(0.0, 1.0),
    clearance=4.5,
    above=(66.0, 84.0),
    below=(68.0, 86.0),
)
"""Wider than any one site: what the shipped nets learn from."""

EXTERNAL = Population(
    scale=(0.82, 0.98),
    turn=(9.0, 11.0),
    shape=0.05,
    sac_fat=(2.0, 7.0),
    crease=(8.0, 26.0),
    width=(128.0, 154.0),
    gap=(2.0, 14.0),
    fat=(20.0, 44.0),
    muscle=(9.0, 15.0),
    lung=(-905.0, -850.0),
    blood=(34.0, 44.0),
    bone=(0.65, 0.95),
    mottle=(8.0, 32.0),
    septa=(8.0, 30.0),
    breasts=0.6,
    faint=0.6,
    noise=(14.0, 28.0),
    spread=(0.8, 1.3),
    grain=(0.3, 0.6),
    edge=(0.1, 0.25),
    texture=(6.0, 10.0),
    streak=(0.2, 0.7),
    linger=(0.1, 0.5),
    motion=(0.5, 1.0),
    beat=(0.4, 1.0),
    clearance=5.0,
    above=(66.0, 80.0),
    below=(70.0, 84.0),
)
"""Another site for the held-out 'external' set: smaller, fatter, older people on a scanner with another kernel."""
