"""What a stream of bytes is: text and in which encoding, or no text at all.

The bytes are read in chunks and never held whole, so that a file larger than memory can be judged.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

NO_TEXT = (
    "It is not UTF-8, and in which older encoding it might be could not be told, so it stands as "
    "bytes: name its encoding if it is a text."
)
Chunks: TypeAlias = Callable[[], Iterator[bytes]]
"""Gives the same bytes afresh, in order, each time it is called."""

HEAD_BYTES = 65_536
_CHUNK_BYTES = 1 << 18
_DECLARED = re.compile(
    rb"""<meta[^>]{1,200}?charset=["']?([\w.:-]+)|<\?xml[^>]{1,200}?encoding=["']([\w.:-]+)"""
    rb"""|\A(?:[^\n]*\n)?[^\n]*?#.*?coding[:=][ \t]*([\w.-]+)""",
    re.IGNORECASE,
)
"""A text's own word for its encoding: HTML's, XML's and that of Python's sources."""
_TEXT_CONTROLS = bytes(range(0x00, 0x08)) + bytes(range(0x0E, 0x1B)) + bytes(range(0x1C, 0x20))
_MAGIC = (b"\x1f\x8b", b"PK\x03\x04", b"%PDF-", b"\x7fELF", b"SQLite format 3\0", b"\x89PNG",
          b"\xff\xd8\xff", b"GIF8", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd",
          b"OggS", b"RIFF", b"PAR1", b"\xca\xfe\xba\xbe", b"\xd0\xcf\x11\xe0",
          b"\x93NUMPY")  # fmt: skip
_MAGIC_IN_ASCII = (b"PK\x03\x04", b"%PDF-", b"\x7fELF", b"SQLite format 3\0")
_LEGACY = ["cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257",
           "koi8_r", "cp866", "cp932", "euc_jp", "cp949", "gb18030", "big5"]  # fmt: skip
# charset-normalizer takes French for cp1250, or for nothing where accents are dense; which
# alphabet has the letters decides better.
_WESTERN = ("àâæçèéêëîïôœùûü", "äöüß", "áéíñóúü", "àáâãçéêíóôõúü", "àèéìíîòóù", "æøåéäö",
            "áðéíóúýþæö", "àçèéíïòóúü", "äõöüšž")  # fmt: skip
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž")
_TYPOGRAPHIC = frozenset("“”„‘’‚«»–—…•·€£¥©®™°§¿¡ºª±×½¼¾²³\u00a0")
_SIGN_IN_WORD = re.compile(r"(?<=[^\W\d_])([£¥ª¯³¹º¼¾¿])(?=[^\W\d_]|[£¥ª¯³¹º¼¾¿][^\W\d_])")
_KANA = re.compile("[\u3040-\u30ff]")


@dataclass(frozen=True)
class Detected:
    """``encoding`` is None where the bytes are no text; ``notice`` is one sentence or None."""

    sha256: str
    size: int
    encoding: str | None
    errors: str = "strict"
    notice: str | None = None


def is_binary(head: bytes, *, marked: bool = True) -> bool:
    """Return whether the first bytes of a file already say that it is no text. With ``marked`` a
    byte order mark makes it one, and so a NUL among UTF-8; ``detect`` then has the last word."""
    if not marked:
        return b"\0" in head or head.startswith(_MAGIC_IN_ASCII) or _many_controls(head)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return False
    if head.startswith(_MAGIC_IN_ASCII) or _many_controls(head):
        return True
    return (b"\0" in head or head.startswith(_MAGIC)) and _breaks_utf8(head)


def _breaks_utf8(head: bytes) -> bool:
    try:
        codecs.utf_8_decode(head, "strict", False)
    except UnicodeDecodeError:
        return True
    return False


def chunks_of(path: Path | None, data: bytes | None = None) -> Chunks:
    """Return what gives the bytes of a file, or those in ``data``, piece by piece."""

    def read() -> Iterator[bytes]:
        with io.BytesIO(data or b"") if path is None else path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    return read


def detect(chunks: Chunks) -> Detected:
    """The encoding of the bytes, found by reading them once, or twice where they are not UTF-8."""
    scan = _Scan()
    for chunk in chunks():
        scan.feed(chunk)
    scan.close()
    encoding, errors, notice = _judge(scan, chunks)
    return Detected(scan.sha.hexdigest(), scan.size, encoding, errors, notice)


def check_encoding(chunks: Chunks, encoding: str) -> Detected:
    """Return what ``detect`` gives, in the encoding that the caller has named.

    Raises ``LookupError`` for a name that is no text encoding, ``UnicodeError`` for the first
    bytes that do not fit; its text has their offset.
    """
    _require_text_encoding(encoding)
    sha, size = hashlib.sha256(), 0
    for chunk in chunks():
        sha.update(chunk)
        size += len(chunk)
    encoding = _with_mark(codecs.lookup(encoding).name, next(chunks(), b""))
    misfit = _misfit(chunks, encoding)
    if misfit is not None:
        raise UnicodeError(f"byte {misfit:,} does not fit {encoding}")
    return Detected(sha.hexdigest(), size, encoding)


class _Scan:
    """One pass over the bytes: their hash, and how well they keep to UTF-8."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.size = 0
        self.head = b""
        self.nul = False
        self.invalid = 0
        self.first_invalid: int | None = None
        self.continuations = 0  # bytes of valid characters after each one's first
        self.sample = b""  # lines with bytes above 127, from where the first misfit is
        self._rest = b""
        self._line = b""  # what stands before the rest, for a misfit that shows at the very end

    def feed(self, chunk: bytes) -> None:
        self.sha.update(chunk)
        self.head += chunk[: HEAD_BYTES - len(self.head)]
        self.nul = self.nul or b"\0" in chunk
        self.size += len(chunk)
        if not self._hopeless:
            self._decode(self._rest + chunk, final=False)

    def close(self) -> None:
        if not self._hopeless:
            self._decode(self._rest, final=True)

    @property
    def _hopeless(self) -> bool:
        # Counting further misfits of a binary file takes half a minute a gigabyte.
        return (self.nul and self.invalid > 0) or self.invalid > max(100_000, self.continuations)

    def _decode(self, data: bytes, *, final: bool) -> None:
        start = self.size - len(data)
        try:
            text, used = codecs.utf_8_decode(data, "strict", final)
        except UnicodeDecodeError as misfit:
            text, used = codecs.utf_8_decode(data, "surrogateescape", final)
            # An escaped byte is one character; a real surrogate is not valid UTF-8 at all.
            self.invalid += len(re.findall("[\udc80-\udcff]", text))
            if self.first_invalid is None:
                self.first_invalid = start + misfit.start
            if final and not self.sample:
                self.sample = self._line + data
            elif len(self.sample) < HEAD_BYTES:
                self.sample += b"\n".join(re.findall(rb"[^\n]*[\x80-\xff][^\n]*", data)) + b"\n"
        self.continuations += used - len(text)
        self._rest = data[used:]
        self._line = data[max(0, used - 200) : used].rpartition(b"\n")[2]


def _judge(scan: _Scan, chunks: Chunks) -> tuple[str | None, str, str | None]:
    """Encoding, error handler and notice for what was scanned."""
    marked = _marked_encoding(scan.head, chunks)
    if marked is not None:
        return marked, "strict", None
    if scan.first_invalid is None:
        if scan.head.startswith(_MAGIC_IN_ASCII) or _many_controls(scan.head):
            return None, "strict", None
        notice = "The text holds NUL characters; they are kept." if scan.nul else None
        return "utf-8", "strict", notice
    if scan.nul or scan.head.startswith(_MAGIC) or _many_controls(scan.head):
        return None, "strict", None
    declared = _declared_encoding(scan.head, chunks)
    if declared is not None:
        told = f"The text is not UTF-8; it was read as {declared}, which it says it is."
        return declared, "strict", told
    if scan.continuations <= scan.invalid:
        legacy = _legacy(scan.sample)
        if legacy is not None and _misfit(chunks, legacy) is None:
            return legacy, "strict", f"The text is not UTF-8; it was read as {legacy}."
        if scan.invalid * 10 > scan.size:
            return None, "strict", NO_TEXT
    return _utf8_with_misfits(scan)


def _utf8_with_misfits(scan: _Scan) -> tuple[str, str, str]:
    encoding = "utf-8-sig" if scan.head.startswith(codecs.BOM_UTF8) else "utf-8"
    count = "1 byte is" if scan.invalid == 1 else f"{scan.invalid:,} bytes are"
    stands = "it stands" if scan.invalid == 1 else "they stand"
    notice = f"{count} not UTF-8 (first at byte {scan.first_invalid:,}); {stands} as \\xNN."
    return encoding, "backslashreplace", notice


def _marked_encoding(head: bytes, chunks: Chunks) -> str | None:
    """The encoding that a byte order mark names, if all the bytes keep to it."""
    candidates: list[str] = []
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        candidates.append("utf-32")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates.append("utf-16")
    if head.startswith(codecs.BOM_UTF8):
        candidates.append("utf-8-sig")
    return next((name for name in candidates if _misfit(chunks, name) is None), None)


def _declared_encoding(head: bytes, chunks: Chunks) -> str | None:
    """Return the encoding that the text says it has, if that is an extension of ASCII and all the
    bytes keep to it."""
    found = _DECLARED.search(head[:4096])
    if found is None:
        return None
    name = next(group for group in found.groups() if group).decode("ascii").lower()
    if name in ("iso-8859-1", "latin-1", "latin1"):  # browsers take it for cp1252, which has more
        name = "cp1252"
    try:
        name = codecs.lookup(name).name
        is_ascii = b"<a>1".decode(name) == "<a>1"
    except (LookupError, ValueError):
        return None
    fits = is_ascii and not name.startswith("utf") and _misfit(chunks, name) is None
    return name if fits else None


def _many_controls(head: bytes) -> bool:
    """More than one control character in ten is no text; a stray NUL in a text is."""
    return (len(head) - len(head.translate(None, _TEXT_CONTROLS))) * 10 > len(head)


def _misfit(chunks: Chunks, encoding: str) -> int | None:
    """The offset of the first byte that does not fit the encoding, None if all fit."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    seen = 0
    try:
        for chunk in chunks():
            held = len(decoder.getstate()[0])
            decoder.decode(chunk)
            seen += len(chunk)
        held = len(decoder.getstate()[0])
        decoder.decode(b"", True)
    except UnicodeDecodeError as misfit:
        return max(0, seen - held + misfit.start)
    except UnicodeError:
        return seen
    return None


def _with_mark(encoding: str, head: bytes) -> str:
    """Return the codec that takes off a byte order mark where the text has one."""
    if encoding == "utf-8" and head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    marks = {
        "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
        "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    }
    if encoding in marks and not head.startswith(marks[encoding]):
        return f"{encoding}-le"
    return encoding


def _require_text_encoding(encoding: str) -> None:
    try:
        with contextlib.suppress(UnicodeError):  # a lone byte is no whole character of UTF-16
            b"x".decode(encoding)
    except ValueError as bad:  # a NUL character in the name
        raise LookupError(f"unknown encoding: {encoding!r}") from bad


def _legacy(sample: bytes) -> str | None:
    """The older encoding that the lines are most likely in, None when none is likely."""
    if all(c <= "\x7f" or c in _TYPOGRAPHIC for c in sample.decode("cp1252", "replace")):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_LEGACY).best()
    name = None if best is None else best.encoding
    if name in (None, "cp1250", "cp1252", "cp1254", "cp1257"):
        name = _western_or_central(sample) or name
    elif name in ("big5", "gb18030", "cp949") and _is_euc_jp(sample):
        name = "euc_jp"
    return name if name and _plausible(sample.decode(name, "replace")) else None


def _western_or_central(sample: bytes) -> str | None:
    western = _coverage(sample.decode("cp1252", "replace"), _WESTERN)
    central = _coverage(sample.decode("cp1250", "replace"), _CENTRAL)
    if max(western, central) < 0.9:
        return None
    return "cp1252" if western >= central else "cp1250"


def _coverage(text: str, alphabets: tuple[str, ...]) -> float:
    """The share of the letters above ASCII that the best alphabet has; 1 if there are none. A sign
    that stands in a word, as in the Polish "m³yn", is a letter of another encoding."""
    letters = [c for c in text.lower() if c > "\x7f" and c.isalpha()]
    letters += [found[1] for found in _SIGN_IN_WORD.finditer(text)]
    if not letters:
        return 1.0
    return max(sum(c in alphabet for c in letters) for alphabet in alphabets) / len(letters)


def _is_euc_jp(sample: bytes) -> bool:
    """Return whether a third of it read as EUC-JP is kana, which Chinese and Korean texts lack."""
    text = sample.decode("euc_jp", "replace")
    high = sum(c > "\x7f" for c in text)
    return "\ufffd" not in text and len(_KANA.findall(text)) * 3 > high


def _plausible(text: str) -> bool:
    """Return whether what is above ASCII stands as letters in words or as usual punctuation."""
    high = good = 0
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if char > "\x7f":
            high += 1
            in_word = before.isalpha() or after.isalpha() or char > "\u2e80"
            good += char in _TYPOGRAPHIC or (char.isalpha() and char not in "ÿþŸ" and in_word)
    # Words of one letter, as the French à, do not count as good; hence no higher share.
    return good * 5 >= high * 3
