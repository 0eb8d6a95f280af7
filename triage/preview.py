"""A picture of a result: the slices that decided, the calcium outlined, and a projection. No patient data."""

import dataclasses
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cac import finding, reasons, volume

WINDOW_HU = (-100.0, 400.0)
TILE = 320
COLUMNS = 4
SLICES = 7
BANNER = 48
FIELD_MM = 160.0
ENOUGH_MM3 = 20.0
"""What is larger is no more worth a slice: bone in doubt would crowd out the coronaries else."""
ACCEPTED_RGB = (255, 64, 64)
DOUBT_RGB = (255, 208, 0)
WHITE = (255, 255, 255)

_HEADLINES = {
    finding.Outcome.ABSENT: "no calcium found",
    finding.Outcome.PRESENT: "coronary calcium found",
    finding.Outcome.INDETERMINATE: "undecided: a person must look",
    finding.Outcome.UNSUITABLE: "not suitable for calcium scoring",
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Marked:
    """Hold what is drawn: a volume, what was accepted and what is in doubt on its grid, and the part that is shown."""

    scan: volume.Volume
    accepted: volume.BoolArray
    doubt: volume.BoolArray
    window: tuple[slice, slice, slice]


def render(found: finding.CalciumFinding, scored: volume.Volume) -> bytes:
    """Draw the finding on `scored`, the volume of its masks, as a PNG; the same finding gives the same bytes."""
    nothing = np.zeros(scored.hu.shape, bool)
    accepted = nothing if found.mask is None else found.mask
    doubt = nothing if found.doubt_mask is None else found.doubt_mask
    window = found.region or _middle(scored, accepted if accepted.any() else doubt)
    marked = _Marked(scan=scored, accepted=accepted, doubt=doubt, window=window)
    tiles = [_slice_tile(marked, k) for k in _slices(found, marked)]
    tiles.append(_projection_tile(marked))
    return _sheet(found, tiles)


def _sheet(found: finding.CalciumFinding, tiles: list[Image.Image]) -> bytes:
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (TILE * max(columns, 2), TILE * rows + BANNER), (0, 0, 0))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * TILE, number // columns * TILE + BANNER))
    pen = ImageDraw.Draw(sheet)
    score = "" if found.agatston is None else f", Agatston {found.agatston:.1f}"
    pen.text((6, 4), f"{found.outcome.value.upper()}: {_HEADLINES[found.outcome]}{score}", fill=WHITE, font=_font(16))
    ignored = any(reason.code == reasons.ReasonCode.SUITABILITY_IGNORED for reason in found.reasons)
    end = 6
    for text, colour in (
        ("research only, not for diagnosis" + ("; suitability overridden" if ignored else ""), WHITE),
        ("accepted by all nets", ACCEPTED_RGB),
        ("in doubt", DOUBT_RGB),
    ):
        pen.text((end, 26), text, fill=colour, font=_font(13))
        end += round(pen.textlength(text, font=_font(13))) + 16
    buffer = io.BytesIO()
    # Level 6 takes thrice the time and makes noise no smaller.
    sheet.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _slices(found: finding.CalciumFinding, marked: _Marked) -> list[int]:
    """Return up to `SLICES` slices: those that show most marks, else the likeliest candidates', else even ones."""
    chosen: list[int] = []
    for mask in (marked.accepted, marked.doubt):
        _cover(mask, marked.scan, chosen)
    if chosen:
        _fill(marked.accepted if marked.accepted.any() else marked.doubt, chosen)
        return sorted(chosen)
    scan = marked.scan
    ranked = sorted(found.candidates, key=lambda each: -min(each.probabilities.values(), default=0.0))
    places = (round((scan.origin[2] - each.centre[2]) / scan.spacing[0]) for each in ranked)
    inside = [k for k in dict.fromkeys(places) if 0 <= k < len(scan.hu)]
    if inside:
        return sorted(inside[:SLICES])
    shown = range(len(scan.hu))[marked.window[0]]
    return sorted({shown[int(share * (len(shown) - 1))] for share in np.linspace(0.2, 0.8, SLICES)})


def _cover(mask: volume.BoolArray, scan: volume.Volume, chosen: list[int]) -> None:
    """Add slices until every mark is in one that shows it well; each mark counts once, whatever its size."""
    if not mask.any():
        return
    part = tuple(slice(where.min(), where.max() + 1) for where in map(np.flatnonzero, _profiles(mask)))
    labels, count = ndimage.label(mask[part], np.ones((3, 3, 3)))
    where = np.nonzero(labels)
    areas = np.zeros((count, len(mask)))
    np.add.at(areas, (labels[where] - 1, where[0] + part[0].start), scan.voxel_mm3)
    worth = np.minimum(areas.sum(axis=1), ENOUGH_MM3)
    shares = areas / areas.max(axis=1, keepdims=True)
    seen = shares[:, chosen].max(axis=1, initial=0.0)
    while len(chosen) < SLICES:
        gains = (worth[:, None] * np.maximum(shares - seen[:, None], 0.0)).sum(axis=0)
        best = int(gains.argmax())
        if gains[best] <= 0:
            return
        chosen.append(best)
        seen = np.maximum(seen, shares[:, best])


def _profiles(mask: volume.BoolArray) -> tuple[NDArray[np.bool_], ...]:
    """Return along each axis where anything is marked; the in-plane axes from one flat picture, for speed."""
    flat = _projected(mask)
    return np.asarray(mask.any(axis=(1, 2))), np.asarray(flat.any(axis=1)), np.asarray(flat.any(axis=0))


def _projected(mask: volume.BoolArray) -> volume.BoolArray:
    return np.asarray(np.logical_or.reduce(mask, axis=0))


def _fill(mask: volume.BoolArray, chosen: list[int]) -> None:
    """Add the slices with most marked voxels while there is room."""
    area = mask.sum(axis=(1, 2))
    area[chosen] = 0
    best = np.argsort(-area, kind="stable")[: SLICES - len(chosen)]
    chosen.extend(int(k) for k in best if area[k] > 0)


def _middle(scan: volume.Volume, marks: volume.BoolArray) -> tuple[slice, slice, slice]:
    """Return all slices and a field around the marked voxels, else around the image's middle."""
    _, rows, columns = scan.hu.shape
    centre = np.argwhere(marks.any(axis=0)).mean(axis=0) if marks.any() else np.array([rows / 2, columns / 2])
    spans = [slice(0, len(scan.hu))]
    for middle, size, spacing in zip(centre, (rows, columns), scan.spacing[1:], strict=True):
        half = min(int(FIELD_MM / 2 / spacing), size // 2)
        start = int(np.clip(round(middle) - half, 0, size - 2 * half))
        spans.append(slice(start, start + 2 * half))
    return spans[0], spans[1], spans[2]


def _slice_tile(marked: _Marked, k: int) -> Image.Image:
    # Slabs are not the series' own images: what a viewer finds them by is where they lie.
    z = marked.scan.origin[2] - k * marked.scan.spacing[0]
    return _tile(marked, marked.scan.hu[k], marked.accepted[k], marked.doubt[k], f"z = {z:.1f} mm")


def _projection_tile(marked: _Marked) -> Image.Image:
    part = marked.window[0]
    accepted, doubt = _projected(marked.accepted[part]), _projected(marked.doubt[part])
    return _tile(marked, marked.scan.hu[part].max(axis=0), accepted, doubt, "maximum over the heart")


def _tile(
    marked: _Marked, hu: volume.FloatArray, accepted: volume.BoolArray, doubt: volume.BoolArray, title: str
) -> Image.Image:
    low, high = WINDOW_HU
    part = marked.window[1:]
    grey = (np.clip((hu[part] - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    height, width = _size(grey.shape, marked.scan.spacing[1:])
    pixels = np.array(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR).convert("RGB"))
    for mask, colour in ((doubt, DOUBT_RGB), (accepted, ACCEPTED_RGB)):
        if mask[part].any():
            pixels[_outline(mask[part], (width, height))] = colour
    tile = Image.new("RGB", (TILE, TILE), (0, 0, 0))
    tile.paste(Image.fromarray(pixels), ((TILE - width) // 2, (TILE - height) // 2))
    pen = ImageDraw.Draw(tile)
    for place, text, anchor in (((4, TILE - 4), title, "ls"), ((4, 150), "R", "ls"), ((TILE - 4, 150), "L", "rs")):
        pen.text(place, text, fill=WHITE, anchor=anchor, font=_font(13), stroke_width=1, stroke_fill=(0, 0, 0))
    return tile


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _size(shape: tuple[int, ...], spacing: tuple[float, float]) -> tuple[int, int]:
    """Return (height, width) in pixels that fill the tile and keep millimetres square."""
    height, width = shape[0] * spacing[0], shape[1] * spacing[1]
    scale = TILE / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _outline(mask: volume.BoolArray, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the ring just outside the enlarged mask: calcium itself stays visible."""
    large = np.array(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    outer, inner = (ndimage.maximum_filter(large, width, mode="constant") > 0 for width in (5, 3))
    ring: NDArray[np.bool_] = outer & ~inner
    return ring
