"""Read the header of an ordinary object in one pass over its bytes, as pydicom would: a tenth of the work.

Ordinary is Explicit VR Little Endian with ASCII values that are what their VR promises. Anything else is None here,
and pydicom's to read: whatever this module does return must equal what pydicom makes of it.
"""

import re
import struct
from collections.abc import Callable, Mapping

from pydicom import datadict, tag, uid

Value = str | int | list[str]
"""What of a header is returned: one text or number, or several texts."""

_FIRST, _PIXELS = 0x00080000, 0x7FE00000
_IMAGE_TYPE = 0x00080008  # the one text whose being empty differs from its being missing
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT = frozenset(
    {*(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO"), *(b"LT", b"PN", b"SH", b"SL")}
    | {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_OPEN = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 16
_DECIMAL = re.compile(r" *[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)? *")
_INTEGER = re.compile(r" *[+-]?\d{1,9} *")
_PRINTABLE = re.compile(rb"[\x20-\x7e]*\x00?")  # no escapes of ISO 2022 either
_UID = re.compile(rb"[0-9.]*\x00?")
_DIGITS = re.compile(r"[0-9.]* *")


class _Foreign(Exception):
    """Say that this is not the ordinary."""


def read(body: bytes, syntax: str, keywords: frozenset[str]) -> tuple[Mapping[str, Value], int | None, int] | None:
    """Return the named values of a data set, the length of its pixels as stated, and where they start.

    None where the data set is not of the ordinary kind; its pixels' length is None where it has none.
    """
    if syntax in (uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian, uid.ExplicitVRBigEndian):
        return None
    wanted = _wanted(keywords)
    found: dict[str, Value] = {}
    place, last = 0, _FIRST - 1
    try:
        while place < len(body):
            number, vr, length, start = _element(body, place)
            if number <= last:
                return None  # pydicom has its own way with what stands out of order
            last = number
            if number >= _PIXELS:
                return (found, length, start) if number in (0x7FE00008, 0x7FE00009, 0x7FE00010) else None
            place = _after(body, start, vr, length, 0)
            if number in wanted and (length or number == _IMAGE_TYPE):
                keyword, expected = wanted[number]
                if vr.decode("ascii") != expected or length == _OPEN:
                    return None
                found[keyword] = _READERS[expected](body[start:place])
    except (_Foreign, struct.error, KeyError, ValueError):
        return None
    return found, None, place


_known: dict[frozenset[str], dict[int, tuple[str, str]]] = {}


def _wanted(keywords: frozenset[str]) -> dict[int, tuple[str, str]]:
    """Return tag, keyword and VR of each; looked up once."""
    if keywords not in _known:
        _known[keywords] = {int(tag.Tag(name)): (name, datadict.dictionary_VR(name)) for name in keywords}
    return _known[keywords]


def _element(body: bytes, place: int) -> tuple[int, bytes, int, int]:
    """Return tag, VR, length and start of the value of the element at `place` (PS3.5 section 7.1.2)."""
    group, element, vr, length = struct.unpack_from("<HH2sH", body, place)
    if vr in _SHORT:
        return group << 16 | element, vr, length, place + 8
    if vr not in _LONG:
        raise _Foreign
    (length,) = struct.unpack_from("<L", body, place + 8)
    return group << 16 | element, vr, length, place + 12


def _after(body: bytes, start: int, vr: bytes, length: int, depth: int) -> int:
    """Return where the next element begins; a sequence without a length is walked to its end."""
    if length != _OPEN:
        if start + length > len(body):
            raise _Foreign
        return start + length
    if vr != b"SQ" or depth > _DEEPEST:
        raise _Foreign
    place = start
    while True:
        number, size = _delimiter(body, place)
        place += 8
        if number == _SEQUENCE_END:
            return place
        if number != _ITEM:
            raise _Foreign
        place = place + size if size != _OPEN else _after_item(body, place, depth)


def _after_item(body: bytes, place: int, depth: int) -> int:
    while _delimiter(body, place)[0] != _ITEM_END:
        _, vr, length, start = _element(body, place)
        place = _after(body, start, vr, length, depth + 1)
    return place + 8


def _delimiter(body: bytes, place: int) -> tuple[int, int]:
    group, element, size = struct.unpack_from("<HHL", body, place)
    return group << 16 | element, size


def _texts(raw: bytes) -> Value:
    if not _PRINTABLE.fullmatch(raw):
        raise _Foreign
    parts = raw.decode("ascii").rstrip("\0 ").split("\\")
    return parts[0] if len(parts) == 1 else parts


def _name(raw: bytes) -> Value:
    if b"=" in raw or b"\\" in raw:
        raise _Foreign
    return _texts(raw)


def _code(raw: bytes) -> Value:
    if raw.rstrip(b"\0 "):
        return _texts(raw)
    raise _Foreign


def _uid(raw: bytes) -> Value:
    if not _UID.fullmatch(raw):
        raise _Foreign
    return raw.rstrip(b"\0").decode("ascii")


def _numbers(pattern: re.Pattern[str]) -> Callable[[bytes], Value]:
    def read(raw: bytes) -> Value:
        value = _texts(raw)
        if not all(map(pattern.fullmatch, [value] if isinstance(value, str) else value)):  # type: ignore[arg-type]
            raise _Foreign
        return value

    return read


def _unsigned(raw: bytes) -> Value:
    if len(raw) != 2:
        raise _Foreign
    return int.from_bytes(raw, "little")


_READERS: Mapping[str, Callable[[bytes], Value]] = {
    "CS": _code,
    "LO": _texts,
    "SH": _texts,
    "PN": _name,
    "UI": _uid,
    "US": _unsigned,
    "DS": _numbers(_DECIMAL),
    "IS": _numbers(_INTEGER),
    "DA": _numbers(_DIGITS),
    "TM": _numbers(_DIGITS),
    "DT": _numbers(_DIGITS),
}
