"""How the scanner sees the anatomy: point spread, kernel, and noise of the kernel's colour (SCIENCE.md 4)."""

import dataclasses

import numpy as np
from scipy import ndimage

from cac import volume
from cac.phantom import canvas, deposits, plaques, population, shapes

STREAK_MM = (0.5, 8.0)
"""SD of the blur that makes streaks of noise: across, and along them."""
GRAIN_MM = 0.8
"""SD of the blur whose result a sharper kernel takes out of the noise."""
HIGHEST_NOISE_MM = 120.0
"""Noise falls off to half its rise this far from the body's middle."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exposure:
    """Hold one scan's noise (SD in HU of soft tissue), spread (FWHM in mm), and what its kernel does.

    `grain`, `edge`, `streak`, `linger`, `motion` and `beat` are as in `population.Population`; `upright` turns the
    streaks from back to front, `bowl` is how much more noise the middle has, relative.
    """

    noise: float
    spread: float
    grain: float = 0.0
    edge: float = 0.0
    bowl: float = 0.0
    streak: float = 0.0
    upright: bool = False
    linger: float = 0.0
    motion: float = 0.4
    beat: float = 0.0


def draw(
    people: population.Population,
    fixed: tuple[float | None, float | None],
    rng: np.random.Generator,
    looks: np.random.Generator,
) -> Exposure:
    """Draw an exposure; `fixed` is spread and noise where they are not to be drawn."""
    spread, noise = fixed
    spread = spread if spread is not None else float(rng.uniform(*people.spread))
    noise = noise if noise is not None else float(rng.uniform(*people.noise))
    drawn = (people.grain, people.edge, people.motion, people.beat, people.streak)
    grain, edge, motion, beat, streak = (float(looks.uniform(*each)) for each in drawn)
    bowl = float(looks.uniform(0, 0.5)) if grain else 0.0
    return Exposure(
        noise=noise,
        spread=spread,
        grain=grain,
        edge=edge,
        bowl=bowl,
        streak=streak,
        upright=bool(streak and looks.random() < 0.5),
        linger=float(looks.uniform(*people.linger)),
        motion=motion,
        beat=beat,
    )


def expose(ground: canvas.Canvas, how: Exposure, rng: np.random.Generator) -> plaques.Scan:
    """Blur the anatomy and add noise of the same kernel, averaged over the slices' overlap."""
    sigma = how.spread / 2.3548 / ground.pixel
    grains = _averaged(ground, rng)
    if how.grain:
        grains[:-1] += np.float32(how.linger) * grains[1:]
        noisy = _blurred(ground.hu, sigma)
        if how.edge:
            noisy = deposits.sharpened(noisy, how.edge, ground.pixel)
        noisy += _coloured(grains, sigma, how, ground, rng)
    else:
        impulse = np.zeros(33)
        impulse[16] = 1
        response = ndimage.gaussian_filter1d(impulse, sigma, truncate=3.0)
        depth = max(round(ground.thickness / ground.increment), 1)
        amount = how.noise / float((response**2).sum()) / np.sqrt(depth)
        noisy = _blurred(ground.hu + grains * np.float32(amount), sigma)
    np.clip(noisy, -1024, 3071, out=noisy)
    return plaques.Scan(ground=ground, noisy=noisy, sigma=sigma, edge=how.edge, motion=how.motion)


def beat(
    ground: canvas.Canvas, sac: volume.BoolArray, box: shapes.Box, how: Exposure, rng: np.random.Generator
) -> None:
    """Blur the beating heart (bool, on the canvas; it lies in `box`) and what it moves against, along one axis."""
    axis = int(rng.integers(1, 3))
    where = ground.region(*box)
    near = ndimage.maximum_filter1d(sac[where], 2 * round(2 * how.beat / ground.pixel) + 1, axis=axis)
    part = ground.hu[where]
    moved = ndimage.gaussian_filter1d(part, how.beat / ground.pixel, axis=axis, truncate=3.0)
    part[near] = moved[near]


def _averaged(ground: canvas.Canvas, rng: np.random.Generator) -> volume.FloatArray:
    """Draw white noise that neighbouring slices share as far as they overlap."""
    deep = max(round(ground.thickness / ground.increment), 1)
    count, high, wide = ground.hu.shape
    grains = rng.standard_normal((count + deep - 1, high, wide), dtype=np.float32)
    return sum((grains[i : i + count] for i in range(1, deep)), start=grains[:count])


def _coloured(
    grains: volume.FloatArray, sigma: float, how: Exposure, ground: canvas.Canvas, rng: np.random.Generator
) -> volume.FloatArray:
    """Filter noise as the kernel does, take its coarse part away, add streaks, and let the body's middle have more."""
    fine = _blurred(grains, sigma)
    fine -= np.float32(how.grain) * _blurred(fine, GRAIN_MM / ground.pixel)
    fine /= fine[:: max(1, len(fine) // 8)].std()
    if how.streak:
        across, along = (mm / ground.pixel for mm in STREAK_MM)
        drawn = rng.standard_normal(fine.shape, np.float32)
        blur = (0, along, across) if how.upright else (0, across, along)
        lines = ndimage.gaussian_filter(drawn, blur, truncate=2.5)
        fine += lines * np.float32(how.streak / lines[:: max(1, len(lines) // 8)].std())
        fine /= np.float32(np.hypot(1.0, how.streak))
    fine *= np.float32(how.noise)
    away = (ground.y[:, None] / HIGHEST_NOISE_MM) ** 2 + (ground.x / HIGHEST_NOISE_MM) ** 2
    fine *= (1 + np.float32(how.bowl) * (np.exp(-away * np.log(2)) - 0.5)).astype(np.float32)
    return fine


def _blurred(hu: volume.FloatArray, sigma: float) -> volume.FloatArray:
    """Blur slices in plane by an SD in px."""
    blurred = np.empty_like(hu)
    ndimage.gaussian_filter1d(hu, sigma, axis=1, truncate=3.0, output=blurred)
    ndimage.gaussian_filter1d(blurred, sigma, axis=2, truncate=3.0, output=blurred)
    return blurred
