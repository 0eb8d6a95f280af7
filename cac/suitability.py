"""What may be judged at all: limits on header, geometry and image (SCIENCE.md 5). Every rule that fails is named."""

import dataclasses
import math

import numpy as np
from scipy import ndimage

from cac import components, heart, reasons, thorax, volume

SOFT_KERNELS = (
    *("B30-B36", "Qr32-Qr40", "I26-I36", "Br32-Br40", "STANDARD", "SOFT", "FC01-FC13"),
    *("A", "B", "CA", "CB", "XCA", "XCB"),
)
GAP_TOLERANCE = 1.02
THICKNESS_TOLERANCE = 1.001
PATCH_MM = 7.0
PATCH_APART_MM = 1.5
PATCH_DEPTH_MM = 8.0
BLOOD_PERCENTILE = 70.0
SLICES_MEASURED = 9
BONE_ML = 1.0
FAT_ML = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Hold what a series must keep to; kernels are names, or ranges such as B30-B36 with any trailing letters."""

    kvp: float = 120.0
    kvp_tolerance: float = 0.5
    kernels: tuple[str, ...] = SOFT_KERNELS
    max_thickness_mm: float = 3.5
    noise_sd_hu: float = 40.0
    contrast_hu: float = 90.0
    metal_hu: float = 2500.0
    lung_hu: tuple[float, float] = (-950.0, -700.0)
    fat_hu: tuple[float, float] = (-130.0, -50.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blood:
    """Hold the blood pool's mean and its noise, in HU; NaN where the heart is too small to measure."""

    mean: float
    noise: float


def check_geometry(native: volume.Volume, limits: Limits) -> tuple[reasons.Reason, ...]:
    """Say whether slices are thin enough and leave no gap. Thickness NaN or 0 means the header does not state it."""
    codes = reasons.ReasonCode
    if not native.thickness > 0:
        return (reasons.reason(codes.THICKNESS_ABSENT),)
    found: list[reasons.Reason] = []
    facts = {"thickness_mm": native.thickness, "increment_mm": native.spacing[0]}
    if native.thickness > limits.max_thickness_mm * THICKNESS_TOLERANCE:
        found.append(reasons.reason(codes.THICK_SLICES, limit_mm=limits.max_thickness_mm, **facts))
    if not native.spacing[0] <= native.thickness * GAP_TOLERANCE:
        found.append(reasons.reason(codes.INCREMENT_GAP, **facts))
    return tuple(found)


def check_image(native: volume.Volume, located: heart.Heart, limits: Limits) -> tuple[reasons.Reason, ...]:
    """Say whether the image shows contrast, too much noise, metal, or values that are no HU.

    Contrast medium is named alone: where it mixes with blood it looks like noise, and undiluted like metal.
    """
    codes = reasons.ReasonCode
    found = [reasons.reason(codes.RESCALE_IMPLAUSIBLE, what=what) for what in _implausible(native, limits)]
    blood = measure_blood(native, located)
    if blood.mean > limits.contrast_hu:
        return (*found, reasons.reason(codes.CONTRAST_IMAGE, mean_hu=blood.mean))
    if not (math.isfinite(blood.mean) and math.isfinite(blood.noise)):
        found.append(reasons.reason(codes.BLOOD_NOT_MEASURED))
    elif blood.noise > limits.noise_sd_hu:
        found.append(reasons.reason(codes.NOISY, sd_hu=blood.noise, limit_hu=limits.noise_sd_hu))
    low, high = located.box.slices
    if bool(((native.hu[low:high] > limits.metal_hu) & located.envelope[low:high]).any()):
        found.append(reasons.reason(codes.METAL, limit_hu=limits.metal_hu))
    return tuple(found)


def measure_blood(native: volume.Volume, located: heart.Heart) -> Blood:
    """Measure the blood pool in small patches deep in the heart.

    The noise is the patches' median SD, so that anatomy does not count as noise. The mean is a high percentile of the
    patches' means: contrast that fills only some chambers must be seen.
    """
    slices = np.flatnonzero(located.core.any(axis=(1, 2)))
    if slices.size == 0:
        return Blood(mean=math.nan, noise=math.nan)
    middle = slices[round(0.2 * slices.size) : max(round(0.8 * slices.size), 1)]
    wanted = np.unique(np.linspace(0, middle.size - 1, SLICES_MEASURED).astype(int))
    means: list[np.ndarray] = []
    noises: list[np.ndarray] = []
    size = [max(3, round(PATCH_MM / mm)) for mm in native.spacing[1:]]
    _, rows, columns = (
        slice(max(side.start - max(size), 0), side.stop + max(size)) for side in components.bounds(located.core)
    )
    # Patches overlap: those a pixel or two apart say the same.
    steps = [max(1, round(PATCH_APART_MM / mm)) for mm in native.spacing[1:]]
    thin = tuple(slice(step // 2, None, step) for step in steps)
    apart = [step * mm for step, mm in zip(steps, native.spacing[1:], strict=True)]
    for z in middle[wanted]:
        deep = ndimage.distance_transform_edt(located.core[z, rows, columns][thin], sampling=apart)
        # float64: squares of HU lose the small SD in float32 sums
        hu = native.hu[z, rows, columns].astype(np.float64)
        mean = ndimage.uniform_filter(hu, size)[thin]
        variance = ndimage.uniform_filter(hu * hu, size)[thin] - mean * mean
        chosen = (deep > PATCH_DEPTH_MM) & (mean > 0)
        means.append(mean[chosen])
        noises.append(np.sqrt(np.maximum(variance[chosen], 0)))
    pooled, noise = np.concatenate(means), np.concatenate(noises)
    if pooled.size == 0:
        return Blood(mean=math.nan, noise=math.nan)
    return Blood(mean=float(np.percentile(pooled, BLOOD_PERCENTILE)), noise=float(np.median(noise)))


def _implausible(native: volume.Volume, limits: Limits) -> list[str]:
    """Name what no body measures in HU: lung, fat or bone elsewhere than they lie at 120 kVp."""
    if not np.isfinite(native.hu).all():
        return ["values that are no numbers"]
    grid = thorax.coarsen(native)
    ml = float(np.prod(grid.spacing)) / 1000.0
    found: list[str] = []
    lungs = grid.hu[thorax.find_lungs(grid)]
    lung = float(np.median(lungs)) if lungs.size else math.nan
    if not limits.lung_hu[0] <= lung <= limits.lung_hu[1]:
        found.append(f"lung at {lung:.0f} HU")
    counts, edges = np.histogram(grid.hu, bins=np.arange(-200.0, -19.0, 5.0))
    smooth = ndimage.uniform_filter1d(counts.astype(np.float64), 3)
    peak = float(edges[int(smooth.argmax())] + 2.5)
    if counts.sum() * ml < FAT_ML or not limits.fat_hu[0] <= peak <= limits.fat_hu[1]:
        found.append(f"fat at {peak:.0f} HU")
    if float((grid.hu >= volume.CALCIUM_HU).sum()) * ml < BONE_ML:
        found.append("no bone at or above 130 HU")
    return found
