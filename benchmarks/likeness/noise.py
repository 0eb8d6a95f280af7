"""Noise of one scan: its SD, its power by frequency in plane, its correlation along z, and the texture under it."""

import numpy as np

from benchmarks.likeness import tissues
from cac import volume

PATCH_MM = 22.0
BIN = 0.05
"""Width of a bin of radial frequency, in cycles per mm."""
OCTAVES = ((0.06, 0.125), (0.125, 0.25), (0.25, 0.5), (0.5, 1.0))
BAND_MM = (1.27, 4.25)
"""SD of two blurs of 3 and 10 mm full width at half maximum: between them lies the texture that is measured."""
LEAST = 500


def differences(of: tissues.Tissues) -> tuple[volume.FloatArray, volume.BoolArray]:
    """Return differences of slices that share no noise, over the root of two, and where both are blood or muscle."""
    step = of.apart
    difference = (of.hu[step:] - of.hu[:-step]) / np.float32(np.sqrt(2))
    return difference, of.pool[step:] & of.pool[:-step]


def power(of: tissues.Tissues) -> tuple[np.ndarray, np.ndarray]:
    """Return frequency (cycles per mm) and noise power (HU2 mm2), the radial mean over patches of the blood pool.

    Patches are cut from `differences`, so that the anatomy that both slices hold is no noise; each loses its plane.
    """
    difference, inside = differences(of)
    size = [round(PATCH_MM / mm) // 2 * 2 for mm in of.spacing[1:]]
    patches = [
        difference[z, y : y + size[0], x : x + size[1]]
        for z in range(len(difference))
        for y in range(0, difference.shape[1] - size[0], size[0] // 2)
        for x in range(0, difference.shape[2] - size[1], size[1] // 2)
        if inside[z, y : y + size[0], x : x + size[1]].mean() > 0.97
    ]
    if not patches:
        return np.array([]), np.array([])
    flat = _without_plane(np.stack(patches))
    spectrum = (np.abs(np.fft.fft2(flat)) ** 2).mean(axis=0) * of.spacing[1] * of.spacing[2] / (size[0] * size[1])
    frequency = np.hypot(np.fft.fftfreq(size[0], of.spacing[1])[:, None], np.fft.fftfreq(size[1], of.spacing[2]))
    place = (frequency / BIN).astype(int)
    count = np.bincount(place.ravel())
    mean = np.bincount(place.ravel(), spectrum.ravel()) / np.maximum(count, 1)
    middle = (np.arange(len(count)) + 0.5) * BIN
    kept = (count > 0) & (middle < 0.5 / max(of.spacing[1:])) & (np.arange(len(count)) > 0)
    return middle[kept], mean[kept]


def describe(of: tissues.Tissues) -> dict[str, float]:
    """Return SD, peak and mean frequency, SD by octave, correlation along z."""
    difference, inside = differences(of)
    found = {"noise": _sd(difference[inside])}
    frequency, density = power(of)
    if frequency.size:
        found["peak"] = float(frequency[density.argmax()])
        found["mean"] = float((frequency * density).sum() / density.sum())
        for low, high in OCTAVES:
            if high > 0.55 / max(of.spacing[1:]):  # beyond what the grid can hold
                continue
            part = (frequency >= low) & (frequency < high)
            found[f"octave {low:g}-{high:g}"] = float(np.sqrt((density * 2 * np.pi * frequency * BIN)[part].sum()))
    fine = of.hu - _mean(of.hu, of.pool, of.spacing, BAND_MM[1])
    for step in (1, 2):
        both = of.pool[step:] & of.pool[:-step]
        found[f"along z {step}"] = _correlation(fine[step:][both], fine[:-step][both])
    return found


def texture(of: tissues.Tissues, region: volume.BoolArray) -> float:
    """Return the SD in HU at 3-10 mm in a region that noise does not explain; 0 where noise explains all of it.

    Noise is what two slices that share none differ by, through the same band.
    """
    step = of.apart
    both = region[step:] & region[:-step]
    seen = _band(of.hu, region, of.spacing)[region]
    noise = _band((of.hu[step:] - of.hu[:-step]) / np.float32(np.sqrt(2)), both, of.spacing)[both]
    if min(seen.size, noise.size) < LEAST:
        return float("nan")
    return float(np.sqrt(max(0.0, seen.var(dtype=float) - noise.var(dtype=float))))


def _band(hu: volume.FloatArray, region: volume.BoolArray, spacing: tuple[float, float, float]) -> volume.FloatArray:
    fine, coarse = (_mean(hu, region, spacing, mm) for mm in BAND_MM)
    return fine - coarse


def _mean(
    hu: volume.FloatArray, region: volume.BoolArray, spacing: tuple[float, float, float], mm: float
) -> volume.FloatArray:
    """Blur a region by itself: what lies outside does not leak in."""
    weight = tissues.blur(region.astype(np.float32), spacing, mm)
    return tissues.blur(np.where(region, hu, np.float32(0)), spacing, mm) / np.maximum(weight, np.float32(1e-3))


def _without_plane(patches: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: patches.shape[1], : patches.shape[2]]
    plane = np.stack([np.ones(y.size), y.ravel() - y.mean(), x.ravel() - x.mean()], axis=1)
    flat = patches.reshape(len(patches), -1).astype(float)
    return (flat - flat @ np.linalg.pinv(plane).T @ plane.T).reshape(patches.shape)


def _correlation(one: volume.FloatArray, other: volume.FloatArray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.size >= LEAST else float("nan")


def _sd(values: volume.FloatArray) -> float:
    return float(values.std(dtype=float)) if values.size >= LEAST else float("nan")
