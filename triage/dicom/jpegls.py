"""JPEG-LS decoding that lets other threads work meanwhile: imagecodecs as a decoder of pydicom.

pydicom's own two hold the interpreter, so that a series decodes on one core whatever the threads.
"""

from typing import Any

import imagecodecs
from pydicom.pixels.decoders import base

NAME = "imagecodecs"


def is_available(uid: str) -> bool:
    """Tell pydicom that there is nothing more to install."""
    del uid
    return True


def _decode_frame(src: bytes, runner: base.DecodeRunner) -> bytearray:
    """Decode one frame (PS3.5 A.4.3); pydicom finds this by its name. ValueError for another shape than stated."""
    decoded: Any = imagecodecs.jpegls_decode(src)
    if decoded.shape[:2] != (runner.rows, runner.columns):
        raise ValueError(f"the stream holds {decoded.shape} pixels, not what its header says")
    if decoded.ndim > 2:  # colour by pixel
        runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 * decoded.dtype.itemsize)
    return bytearray(decoded.tobytes())


DECODER_DEPENDENCIES = {base.JPEGLSLosslessDecoder.UID: ("imagecodecs",)}
base.JPEGLSLosslessDecoder.add_plugin(NAME, (__name__, "_decode_frame"))
