"""Files that carry a signature of what else is in them: a record, a notebook, an exported page.

What is signed is a line with the kind of the file and a SHA-256. Of a record that is the one in
its seal, which covers all events and, by their names, the long texts in ``blobs``; of a notebook
that of its JSON in one fixed form, so that only what it says counts; of a page that of its bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import RecordError, UsageError
from .. import files
from ..journal.lines import last_line, parsed
from ..notebooks import ipynb

MOST_CHARS = 1 << 14
"""The most of a signature that is looked at: that of the largest RSA key has 3,000 characters."""
_OF_NOTEBOOK = "rlm_signature"
_PAGE_BEGIN, _PAGE_END = b"\n<!-- rlm-signature: ", b" -->\n"


@dataclass(frozen=True)
class SignedFile:
    """A file as it was read: what a signature of it is of, and the one that it has, if any."""

    kind: str
    sha256: str
    signature: str | None
    signed: Callable[[str], bytes]
    """Gives the bytes of the file with another signature."""

    @property
    def statement(self) -> bytes:
        """The line that is signed."""
        return statement(self.kind, self.sha256)


def statement(kind: str, sha256: str) -> bytes:
    """Return the line that is signed of a file of this kind."""
    return f"rlm_kernel {kind} SHA256 {sha256}\n".encode("ascii")


def read(path: Path) -> SignedFile:
    """Read a file of one of the kinds. Raises ``RecordError`` where it cannot be read, and
    ``UsageError`` where it is of none of them. Blocks."""
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise UsageError(
            f"{path}: name a run's folder, its journal.jsonl, one of its notebooks or an exported "
            "page (.html)"
        )
    try:
        return reader(files.read(path))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordError(f"{path}: it cannot be read: {why}") from error


def _record(data: bytes) -> SignedFile:
    begin = data.rfind(b"\n", 0, -1) + 1
    last = parsed(data[begin:])
    if not isinstance(last, dict) or "sealed" not in last:
        raise ValueError("the record has no seal: the run goes on, or was killed")
    body, sha256 = data[:begin], hashlib.sha256(data[:begin]).hexdigest()
    return SignedFile(
        kind="record",
        sha256=sha256,
        signature=_text(last.get("signature")),
        signed=lambda signature: body + last_line(sha256, signature),
    )


def _notebook(data: bytes) -> SignedFile:
    notebook = ipynb.loads(data)
    metadata = dict(notebook["metadata"])
    signature = _text(metadata.pop(_OF_NOTEBOOK, None))
    bare = {**notebook, "metadata": metadata}
    form = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return SignedFile(
        kind="notebook",
        sha256=hashlib.sha256(form.encode("ascii")).hexdigest(),
        signature=signature,
        signed=lambda new: ipynb.dumps({**bare, "metadata": {**metadata, _OF_NOTEBOOK: new}}),
    )


def _page(data: bytes) -> SignedFile:
    begin = data.rfind(_PAGE_BEGIN) if data.endswith(_PAGE_END) else -1
    body = data if begin < 0 else data[:begin]
    signature = None
    if begin >= 0:
        inside = data[begin + len(_PAGE_BEGIN) : -len(_PAGE_END)]
        try:
            signature = _text(base64.b64decode(inside[: 2 * MOST_CHARS], validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            signature = ""
    return SignedFile(
        kind="page",
        sha256=hashlib.sha256(body).hexdigest(),
        signature=signature,
        signed=lambda new: body + _PAGE_BEGIN + base64.b64encode(new.encode()) + _PAGE_END,
    )


def _text(signature: object) -> str | None:
    """Return a signature that stands in a file; a wrong one is empty, which no key has made."""
    if signature is None:
        return None
    return signature if isinstance(signature, str) and len(signature) <= MOST_CHARS else ""


_READERS = {".jsonl": _record, ".ipynb": _notebook, ".html": _page}
