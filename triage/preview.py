"""A picture of a result: the slices that decided, the calcium outlined, and a projection. No patient data."""

import dataclasses
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from cac import finding, volume

WINDOW_HU = (-100.0, 400.0)
TILE = 256
TILES = 6
BANNER = 40
FIELD_MM = 160.0
ACCEPTED_RGB = (255, 64, 64)
DOUBT_RGB = (255, 208, 0)

_HEADLINES = {
    finding.Outcome.ABSENT: "no calcium found",
    finding.Outcome.PRESENT: "coronary calcium found",
    finding.Outcome.INDETERMINATE: "undecided: a person must look",
    finding.Outcome.UNSUITABLE: "not suitable for calcium scoring",
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """Hold the part of each slice that is shown: `FIELD_MM` around what matters."""

    rows: slice
    columns: slice


def render(found: finding.CalciumFinding, scored: volume.Volume) -> bytes:
    """Draw the finding on `scored`, the volume of its masks, as a PNG; the same finding gives the same bytes."""
    accepted = found.mask if found.mask is not None else np.zeros(scored.hu.shape, bool)
    doubt = found.doubt_mask if found.doubt_mask is not None else np.zeros(scored.hu.shape, bool)
    shown = _slices(found, scored, accepted, doubt)
    window = _window(scored, accepted if accepted.any() else doubt)
    tiles = [
        _tile(scored.hu[k], accepted[k], doubt[k], window, scored.spacing[1:], f"slice {k + 1}/{len(scored.hu)}")
        for k in shown
    ]
    projected = scored.hu[min(shown) : max(shown) + 1].max(axis=0)
    tiles.append(
        _tile(
            projected, np.any(accepted, axis=0), np.any(doubt, axis=0), window, scored.spacing[1:], "maximum projection"
        )
    )
    sheet = Image.new("RGB", (TILE * len(tiles), TILE + BANNER), (0, 0, 0))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number * TILE, BANNER))
    pen = ImageDraw.Draw(sheet)
    pen.text((6, 4), f"{found.outcome.value.upper()}: {_HEADLINES[found.outcome]}", fill=(255, 255, 255))
    pen.text((6, 20), _small_print(found), fill=(255, 208, 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _small_print(found: finding.CalciumFinding) -> str:
    score = "" if found.agatston is None else f" | Agatston {found.agatston:.1f}"
    return f"research only, not for diagnosis{score}"


def _slices(
    found: finding.CalciumFinding, scored: volume.Volume, accepted: volume.BoolArray, doubt: volume.BoolArray
) -> list[int]:
    """Return up to `TILES` slices: most marked voxels first, else the likeliest candidates', else evenly spread."""
    # Doubt can be large, bone for one: it must not crowd out what was accepted.
    area = (accepted if accepted.any() else doubt).sum(axis=(1, 2))
    if area.any():
        best = np.argsort(-area, kind="stable")[:TILES]
        return sorted(int(k) for k in best if area[k] > 0)
    ranked = sorted(found.candidates, key=lambda each: -min(each.probabilities.values(), default=0.0))
    places = [round((scored.origin[2] - each.centre[2]) / scored.spacing[0]) for each in ranked[:TILES]]
    inside = sorted({k for k in places if 0 <= k < len(scored.hu)})
    if inside:
        return inside
    count = min(TILES, len(scored.hu))
    return sorted({int(k) for k in np.linspace(0.2, 0.8, count) * (len(scored.hu) - 1)})


def _window(scored: volume.Volume, marked: volume.BoolArray) -> _Window:
    """Centre the field on the marked voxels, else on the image."""
    _, rows, columns = scored.hu.shape
    centre = np.array([rows / 2, columns / 2])
    if marked.any():
        centre = np.argwhere(marked.any(axis=0)).mean(axis=0)
    spans = []
    for middle, size, spacing in zip(centre, (rows, columns), scored.spacing[1:], strict=True):
        half = min(int(FIELD_MM / 2 / spacing), size // 2)
        start = int(np.clip(round(middle) - half, 0, size - 2 * half))
        spans.append(slice(start, start + 2 * half))
    return _Window(rows=spans[0], columns=spans[1])


def _tile(
    hu: volume.FloatArray,
    accepted: volume.BoolArray,
    doubt: volume.BoolArray,
    window: _Window,
    spacing: tuple[float, float],
    title: str,
) -> Image.Image:
    low, high = WINDOW_HU
    grey = (np.clip((hu[window.rows, window.columns] - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    height, width = _size(grey.shape, spacing)
    picture = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR).convert("RGB")
    pixels = np.array(picture)
    for mask, colour in ((doubt, DOUBT_RGB), (accepted, ACCEPTED_RGB)):
        pixels[_outline(mask[window.rows, window.columns], (width, height))] = colour
    tile = Image.new("RGB", (TILE, TILE), (0, 0, 0))
    tile.paste(Image.fromarray(pixels), ((TILE - width) // 2, (TILE - height) // 2))
    pen = ImageDraw.Draw(tile)
    pen.rectangle((0, TILE - 16, TILE, TILE), fill=(0, 0, 0))
    pen.text((4, TILE - 14), title, fill=(200, 200, 200))
    return tile


def _size(shape: tuple[int, ...], spacing: tuple[float, float]) -> tuple[int, int]:
    """Return (height, width) in pixels that fill the tile and keep millimetres square."""
    height, width = shape[0] * spacing[0], shape[1] * spacing[1]
    scale = TILE / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _outline(mask: volume.BoolArray, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the ring just outside the enlarged mask: calcium itself stays visible."""
    large = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    outer, inner = (np.array(large.filter(ImageFilter.MaxFilter(width))) > 0 for width in (5, 3))
    ring: NDArray[np.bool_] = outer & ~inner
    return ring
