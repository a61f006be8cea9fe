"""The format of what a guest and its broker say to each other, and its bounds.

A frame, either way: 4 bytes header length, 8 bytes payload length (big endian), the header as JSON
in UTF-8 with surrogates passed through, the payload as it is. A connection carries one request at
a time; closing it cancels the request.
"""

import json
import struct

from .errors import CallRefused

HEADER = struct.Struct(">IQ")
MAX_HEADER = 1 << 26
MAX_PAYLOAD = 1 << 28
LONGEST_NAME = 200
"""Characters of the model's or the tool's name in a call."""
SNAPSHOT_BYTES = 64 << 20
"""How large a copy of a variable's value may be that the guest sends with its report."""


def pack(header: dict, payload: bytes = b"") -> bytes:
    """Return a frame. Raises ``CallRefused`` if it is too large."""
    data = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    for size, most, what in (
        (len(data), MAX_HEADER, "bytes"),
        (len(payload), MAX_PAYLOAD, "bytes of contexts"),
    ):
        if size > most:
            raise CallRefused(
                "one call may carry %s %s, this one has %s: make several calls"
                % (format(most, ","), what, format(size, ","))
            )
    return HEADER.pack(len(data), len(payload)) + data + payload


def unpack_header(data: bytes) -> object:
    """Return the JSON value of a header. Raises ``ValueError`` and ``RecursionError``."""
    return json.loads(data.decode("utf-8", "surrogatepass"))
