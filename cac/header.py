"""What a series' header must say before its image is looked at (SCIENCE.md 5)."""

import dataclasses
import re
from collections.abc import Sequence

from cac import reasons, suitability

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGES = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
NO_AGENT = frozenset({"", "NONE", "NO", "N", "OFF", "NO CONTRAST", "WITHOUT", "WITHOUT CONTRAST", "NATIVE", "-", "0"})
_LOCALIZER = re.compile(r"LOCALI[SZ]ER|SCOUT|TOPOGRAM|SURVIEW|SCANOGRAM")
_DERIVED = re.compile(
    r"(?<![A-Z])(?:MIP|MINIP|MPR|CPR|VRT|REFORMATTED|RESAMPLED|PROJECTION|AVERAGE|MIXED|SUBTRACTION|IODINE|VNC|VNCA|VMI"
    r"|VIRTUAL|MONO(?![A-DF-Z])|MONO_?E[A-Z]*|MONOCHROMATIC|KEV|SCREEN SAVE|SECONDARY CAPTURE)(?![A-Z])"
)
_DESCRIBED = re.compile(r"(?<![A-Z])(?:MIP|MINIP|MPR|VNC|VMI|IODINE|MONO_?E[A-Z]*|MONO(?![A-Z])|\d+ ?KEV)(?![A-Z])")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """Hold what the headers of one series say; None where they do not.

    `kernel` joins several values by a backslash; `contrast_agent` is the text of any contrast attribute that is not
    empty; `thickness` in mm is the largest; `lossy` says so by attribute or transfer syntax.
    """

    modality: str | None
    sop_class_uid: str | None
    image_type: tuple[str, ...]
    kvp: float | None
    kernel: str | None
    thickness: float | None
    contrast_agent: str | None
    lossy: bool
    rescale_present: bool
    rescale_type: str | None
    description: str | None = None


def check_header(header: Header, limits: suitability.Limits) -> tuple[reasons.Reason, ...]:
    """Return every reason that makes the series unsuitable by its header alone."""
    codes = reasons.ReasonCode
    found = [*_object(header), *_beam(header, limits)]
    if header.lossy:
        found.append(reasons.reason(codes.LOSSY))
    if (header.contrast_agent or "").strip().upper() not in NO_AGENT:
        found.append(reasons.reason(codes.CONTRAST_TAG))
    if not header.rescale_present or (header.rescale_type or "HU").strip().upper() not in ("HU", ""):
        found.append(reasons.reason(codes.RESCALE_ABSENT))
    return tuple(found)


def is_soft(kernel: str, kernels: tuple[str, ...]) -> bool:
    """Tell whether a reconstruction kernel is on the list; every part of a multiple value must be, numbers aside."""
    parts = [part for part in re.split(r"[\\,;\s\[\]'\"]+", kernel) if part and not part.isdigit()]
    return bool(parts) and all(any(_matches(part, pattern) for pattern in kernels) for part in parts)


def _matches(name: str, pattern: str) -> bool:
    """Compare with one name, or with a range of numbered kernels whose trailing letters vary (B35f, Qr36d)."""
    ends = re.fullmatch(r"([A-Z]+)(\d+)[A-Z]?-([A-Z]+)(\d+)[A-Z]?", pattern.strip().upper())
    if ends is None:
        return name.upper() == pattern.strip().upper()
    numbered = re.fullmatch(r"([A-Z]+)(\d+)[A-Z]*", name.upper())
    if numbered is None or not ends[1] == ends[3] == numbered[1]:
        return False
    return int(ends[2]) <= int(numbered[2]) <= int(ends[4])


def _object(header: Header) -> list[reasons.Reason]:
    """Judge what kind of image this is."""
    codes = reasons.ReasonCode
    modality = (header.modality or "").strip().upper()
    if header.sop_class_uid in ENHANCED_CT_IMAGES:
        return [reasons.reason(codes.ENHANCED_CT)]
    if modality != "CT" or header.sop_class_uid != CT_IMAGE:
        named = modality or "modality not stated"
        stated = named if modality != "CT" else f"SOP class {header.sop_class_uid or 'not stated'}"
        return [reasons.reason(codes.NOT_CT, modality=stated)]
    words = [word.strip().upper() for word in header.image_type if word.strip()]
    described = (header.description or "").upper()
    if any(_LOCALIZER.search(word) for word in [*words, described]):
        return [reasons.reason(codes.LOCALIZER)]
    derived = not words or words[0] != "ORIGINAL" or any(_DERIVED.search(word) for word in words)
    if derived or _DESCRIBED.search(described):
        return [reasons.reason(codes.DERIVED, image_type="\\".join(words) or "not stated")]
    return []


def is_plain(words: Sequence[str]) -> bool:
    """Tell whether no word of an ImageType speaks of a localizer or of derived images."""
    return not any(_LOCALIZER.search(word.upper()) or _DERIVED.search(word.upper()) for word in words)


def _beam(header: Header, limits: suitability.Limits) -> list[reasons.Reason]:
    """Judge how it was acquired and reconstructed."""
    codes = reasons.ReasonCode
    found: list[reasons.Reason] = []
    if not header.kvp:
        found.append(reasons.reason(codes.KVP_ABSENT))
    elif not abs(header.kvp - limits.kvp) <= limits.kvp_tolerance:
        found.append(reasons.reason(codes.KVP_NOT_120, kvp=header.kvp))
    if not (header.kernel or "").strip():
        found.append(reasons.reason(codes.KERNEL_ABSENT))
    elif not is_soft(header.kernel or "", limits.kernels):
        found.append(reasons.reason(codes.KERNEL_NOT_LISTED, kernel=header.kernel))
    if header.thickness is None or not header.thickness > 0:
        found.append(reasons.reason(codes.THICKNESS_ABSENT))
    elif header.thickness > limits.max_thickness_mm * suitability.THICKNESS_TOLERANCE:
        facts = {"thickness_mm": header.thickness, "limit_mm": limits.max_thickness_mm}
        found.append(reasons.reason(codes.THICK_SLICES, **facts))
    return found
