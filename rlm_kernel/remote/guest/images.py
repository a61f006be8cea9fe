"""Pictures for sub-LMs that see: made of what a cell has, measured, and held to their bounds.

The host measures them again by the same rules. Neither end decodes one that it did not make; a
library that can (PIL) makes those smaller that are too large, where the cells have it.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from typing import Any, Optional

from .errors import CallRefused

MOST = 16
"""Pictures of one prompt."""
LONGEST_SIDE = 2048
"""Pixels."""
MOST_BYTES = 5 << 20
"""The most bytes of one picture."""
CALL_BYTES = 64 << 20
"""The most bytes of all pictures of a call."""
KINDS = "PNG, JPEG, GIF or WebP"


def measured(data: bytes) -> Optional[tuple[str, int, int]]:
    """Return the MIME type, width and height of a picture by its first bytes; None for none."""
    found: Optional[tuple[str, int, int]] = None
    with contextlib.suppress(struct.error, IndexError):  # it ends too early
        found = _measured(data)
    return found


def _measured(data: bytes) -> Any:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
        return ("image/png", *struct.unpack_from(">II", data, 16))
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return ("image/gif", *struct.unpack_from("<HH", data, 6))
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    return None


def _jpeg(data):
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return "image/jpeg", width, height
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data):
    kind = data[12:16]
    if kind == b"VP8X":
        low, high, below, above = struct.unpack_from("<HBHB", data, 24)
        width, height = (low | high << 16) + 1, (below | above << 16) + 1
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return None
    return "image/webp", width, height


def wrong_with(data: bytes) -> Optional[str]:
    """Return what is wrong with a picture, in words; None where it can be sent."""
    about = measured(data)
    if about is None:
        return "it is no %s" % KINDS
    _, width, height = about
    if not 0 < max(width, height) <= LONGEST_SIDE:
        return "it has %d × %d pixels, and %s a side is the most" % (
            width,
            height,
            format(LONGEST_SIDE, ","),
        )
    if len(data) > MOST_BYTES:
        return "it has %s bytes, and %s is the most" % (
            format(len(data), ","),
            format(MOST_BYTES, ","),
        )
    return None


def pictures(values, where="images"):
    """Return the bytes of each picture of a prompt. ``values`` are bytes, paths, figures, arrays of
    uint8, pictures of PIL or IPython. Raises ``CallRefused`` and ``TypeError``."""
    if values is None:
        return []
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    if len(values) > MOST:
        raise CallRefused("%s: %d pictures; a prompt takes %d at most" % (where, len(values), MOST))
    return [_picture(value, "%s[%d]" % (where, i)) for i, value in enumerate(values)]


def _picture(value, where):
    data = _bytes_of(value, where)
    wrong = wrong_with(data)
    if wrong is not None and measured(data) is not None:
        data = _smaller(data) or data
        wrong = wrong_with(data)
    if wrong is not None:
        raise CallRefused("%s: %s" % (where, wrong))
    return data


def _bytes_of(value, where):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (str, os.PathLike)):
        with open(value, "rb") as file:
            return file.read()
    if isinstance(getattr(value, "data", None), bytes) and hasattr(value, "_repr_mimebundle_"):
        return value.data  # IPython.display.Image
    if hasattr(value, "get_fignums") and not value.get_fignums():
        raise CallRefused(
            "%s: no figure is open, since one that was shown is closed: give the figure itself, "
            "kept by fig = plt.gcf() before it is shown" % where
        )
    figure: Any = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    if hasattr(figure, "savefig"):
        return _saved(figure.savefig, format="png")
    if hasattr(value, "save") and hasattr(value, "mode"):
        return _saved(_plain(value).save, format="PNG")
    if hasattr(value, "__array_interface__"):
        return _png_of(value, where)
    raise TypeError(
        "%s: a %s is no picture: give the bytes or the path of a %s, a figure, a PIL image or an "
        "array of uint8" % (where, type(value).__name__, KINDS)
    )


def _saved(save, **options):
    file = io.BytesIO()
    save(file, **options)
    return file.getvalue()


def _plain(image):
    """Return a picture of PIL in a mode that PNG has."""
    return image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else image.convert("RGB")


def _png_of(array, where):
    about = array.__array_interface__
    shape = about["shape"]
    if about["typestr"] not in ("|u1", "<u1", ">u1") or not (
        len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    ):
        raise TypeError(
            "%s: an array of shape %s and type %s: give uint8 of height × width, or with 3 or 4 "
            "colours" % (where, shape, about["typestr"])
        )
    height, width = shape[:2]
    colours = shape[2] if len(shape) == 3 else 1
    data, line = array.tobytes(), width * colours
    rows = b"".join(b"\0" + data[at : at + line] for at in range(0, len(data), line or 1))
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[colours], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _smaller(data):
    """Return the picture within its bounds; None where PIL is not there, or cannot read it."""
    try:
        from PIL import Image  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            small = _plain(image)
            small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            made = _saved(small.save, format="PNG")
            if len(made) <= MOST_BYTES:
                return made
            return _saved(small.convert("RGB").save, format="JPEG", quality=85)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
