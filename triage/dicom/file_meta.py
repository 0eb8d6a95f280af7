"""The head of a DICOM file: preamble, prefix and file meta information (PS3.10 section 7.1), in plain bytes."""

import struct

import pynetdicom

_PREAMBLE = bytes(128) + b"DICM"
_VERSION = struct.pack("<HH2sHL2s", 0x0002, 0x0001, b"OB", 0, 2, b"\x00\x01")


def encode(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return what stands before the data set in a file kept by us (Explicit VR Little Endian)."""
    group = b"".join(
        (
            _VERSION,
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_instance_uid),
            _element(0x0010, b"UI", transfer_syntax_uid),
            _element(0x0012, b"UI", pynetdicom.PYNETDICOM_IMPLEMENTATION_UID),
            _element(0x0013, b"SH", pynetdicom.PYNETDICOM_IMPLEMENTATION_VERSION),
        )
    )
    return b"".join((_PREAMBLE, struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(group)), group))


def transfer_syntax(head: bytes) -> str:
    """Return the transfer syntax that such a head states; empty where it cannot be read."""
    place = len(_PREAMBLE)
    while place + 8 <= len(head):
        group, element, vr, length = struct.unpack_from("<HH2sH", head, place)
        place += 8
        if vr == b"OB":
            (length,) = struct.unpack_from("<L", head, place)
            place += 4
        if (group, element) == (0x0002, 0x0010):
            return head[place : place + length].rstrip(b"\0 ").decode("ascii", "replace")
        place += length
    return ""


def _element(number: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value
