"""What makes two values the same: canonical JSON, the identity of a call, the digest of outputs.

All of it is pure and stable: replay compares these values with those of an older record, so a
new rule is one of a new ``VERSION``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..events import Output
from .format_version import FormatVersion

VERSION = FormatVersion(2)
"""The version of the rules of comparison (``RULES``) by which digests are made now. A rule that
changes the digest of any outputs is one of a new major version; older digests are compared by the
rules of theirs."""
_TEXTS = ("text", "evalue")


def canonical(data: Any) -> str:
    """Return plain JSON data as the one ASCII text that equal data always gives."""
    return json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def as_recorded(data: Any) -> Any:
    """Return plain JSON data as a record gives it back: the keys of each dict in one order."""
    return json.loads(canonical(data)) if isinstance(data, dict | list) else data


def sha256(text: str) -> str:
    """Return the SHA-256 of the text's UTF-8 form; lone surrogates are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def node_seed(seed: int, node: str) -> int:
    """Return the seed of one node of a run: children that run the same code must not draw the
    same."""
    return int(sha256(f"{seed}/{node}")[:8], 16)


def call_key(op: str, args: Any) -> str:
    """Return 24 hex digits for what was written: the operation and its arguments as plain JSON
    data."""
    return hashlib.sha256(canonical([op, args]).encode("ascii")).hexdigest()[:24]


def without_addresses(text: str) -> str:
    """Return a text in which places in memory, which are chance, are all one."""
    return re.sub(r" at 0x[0-9a-f]+", " at 0x…", text)


def digest(outputs: list[Output], *, version: int = VERSION.major, concurrent: bool = False) -> str:
    """Return the SHA-256 of a cell's outputs, after every one of ``RULES`` that this major
    ``version`` has was applied in its order. ``concurrent`` says that threads or tasks wrote them
    together."""
    for rule in RULES.values():
        if rule.since <= version and (concurrent or not rule.concurrent):
            outputs = rule.apply(outputs)
    return hashlib.sha256(canonical(outputs).encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Rule:
    """Makes outputs alike that differ by chance. ``since`` is the first major version that has it;
    with ``concurrent`` it is for the outputs of threads or tasks only."""

    apply: Callable[[list[Output]], list[Output]]
    since: int = 1
    concurrent: bool = False


def digest_as_kept(outputs: list[Output], *, concurrent: bool = False) -> str:
    """Return ``digest`` of what front ends keep of these outputs: of a line that was overwritten
    what was to be seen in the end, of an error its text."""
    shown = [_error_as_text(output) for output in _lines_joined(outputs)]
    joined = _streams_joined(shown)
    kept = [{**o, "text": _settled(o["text"])} if "stream" in o else o for o in joined]
    return digest(kept, concurrent=concurrent)


def _error_as_text(output: Output) -> Output:
    if output.get("output_type") != "error":
        return output
    text = "\n".join([*map(str, output.get("traceback") or []), ""])
    return {"output_type": "stream", "name": "stderr", "text": text}


def _settled(text: str) -> str:
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        seen = ""
        for part in line.split("\r"):
            seen = part + seen[len(part) :]
        lines.append(seen)
    return "\n".join(lines)


def _lines_joined(outputs: list[Output]) -> list[Output]:
    """Join texts: a notebook's file holds them as lists of lines, a kernel's message holds them
    whole."""
    return [{key: _joined(key, value) for key, value in output.items()} for output in outputs]


def _joined(key: str, value: Any) -> Any:
    if key in _TEXTS and isinstance(value, list):
        return "".join(map(str, value))
    if key == "data" and isinstance(value, dict):
        return {mime: _joined_data(mime, part) for mime, part in value.items()}
    return value


def _joined_data(mime: str, part: Any) -> Any:
    is_json = mime == "application/json" or mime.endswith("+json")
    return "".join(map(str, part)) if isinstance(part, list) and not is_json else part


def _streams_joined(outputs: list[Output]) -> list[Output]:
    """Join streams: how a print is cut into messages, and how stdout and stderr interleave, is
    chance."""
    joined: list[Output] = []
    streams: dict[str, str] = {}
    for output in [*outputs, {}]:
        if output.get("output_type") == "stream":
            name = str(output.get("name"))
            streams[name] = streams.get(name, "") + str(output.get("text", ""))
            continue
        joined += [{"stream": name, "text": streams[name]} for name in sorted(streams)]
        streams = {}
        joined += [output] if output else []
    return joined


def _counts_dropped(outputs: list[Output]) -> list[Output]:
    """Drop execution counts: a human may run more cells before a replay."""
    return [{k: v for k, v in output.items() if k != "execution_count"} for output in outputs]


def _ids_dropped(outputs: list[Output]) -> list[Output]:
    """Drop display ids, which are random, and metadata, which says how to show an output."""
    return [
        {k: v for k, v in output.items() if k not in ("id", "metadata", "transient")}
        for output in outputs
    ]


def _overwritten_dropped(outputs: list[Output]) -> list[Output]:
    """Drop what was overwritten: how often a progress bar is drawn anew depends on the time."""
    return [
        {**output, "text": _OVERWRITTEN.sub("", output["text"])}
        if "stream" in output and "\r" in output["text"]
        else output
        for output in outputs
    ]


_OVERWRITTEN = re.compile(r"(?<![^\n])[^\n]*\r(?=[^\r\n])")


def _order_dropped(outputs: list[Output]) -> list[Output]:
    """Sort the lines of each stream, and the displays: which of several threads writes first is
    chance."""
    streams: dict[str, list[str]] = {}
    others = []
    for output in outputs:
        if "stream" in output:
            streams.setdefault(output["stream"], []).extend(output["text"].split("\n"))
        else:
            others.append(output)
    sorted_streams = [{"stream": n, "text": sorted(streams[n])} for n in sorted(streams)]
    return [*sorted_streams, *sorted(others, key=canonical)]


def _replaced(sign: str, pattern: str, by: str, since: int = 1) -> Rule:
    """Return the rule that puts ``by`` in the place of a pattern; ``sign`` is in every match.

    A pattern that begins with a run of a kind looks behind for none of it: no match changes, and
    it is not tried at each character of the run. (A picture of 1 MB took hours.)
    """
    found = re.compile(pattern)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            # Without the sign there is no match; this took 200 cells from 1.9 s to 0.1 s.
            return found.sub(by, value) if sign in value else value
        if isinstance(value, list):
            return [walk(part) for part in value]
        if isinstance(value, dict):
            return {key: walk(part) for key, part in value.items()}
        return value

    return Rule(walk, since)


RULES: dict[str, Rule] = {
    "lines_joined": Rule(_lines_joined),
    "streams_joined": Rule(_streams_joined),
    "overwritten_dropped": Rule(_overwritten_dropped, since=2),
    "counts_dropped": Rule(_counts_dropped),
    "ids_dropped": Rule(_ids_dropped),
    # <function f at 0x7f3a…>
    "addresses_replaced": _replaced(" at 0x", r" at 0x[0-9a-f]+", " at 0x…"),
    # "Cell In[7], line 2" of a traceback
    "cell_numbers_replaced": _replaced("In", r"(?:\b|(?<=\dm))In ?\[\d+\]", "In[…]"),
    # a warning names the kernel's process: …/ipykernel_4711/1234.py
    "kernel_paths_replaced": _replaced(
        "ipykernel_", r"(?<![^\s'\"])[^\s'\"]*ipykernel_\d+[/\\]\d+\.py", "ipykernel.py"
    ),
    # File …/lib/python3.11/json/decoder.py: where Python and packages are installed
    "library_paths_replaced": _replaced(
        "python3",
        r"(?<![^\s'\"\x1b])[^\s'\"\x1b]*/python3\.?\d*(?:/(?:site|dist)-packages)?/",
        "…/",
        since=2,
    ),
    # /tmp/tmpab12_x9z of the module tempfile
    "temporary_names_replaced": _replaced(
        "tmp", r"(?<![^\s'\"])[^\s'\"]*/tmp[a-z0-9_]{8}\b", "/tmp…", since=2
    ),
    # %time, %%time
    "cell_times_replaced": _replaced("time", r"(CPU times|Wall time): [^\n]*", r"\1: …", since=2),
    # %timeit
    "loop_times_replaced": _replaced(
        " per loop ",
        r"(?<![\d.])[\d.]+ [mµun]?s ± [\d.]+ [mµun]?s per loop \([^)]*\)",
        "… per loop",
        since=2,
    ),
    # tqdm: [00:01<00:00, 9.98it/s]
    "bar_times_replaced": _replaced("<", r"\[[\d:]+<[\d:?]+, [^\]]*\]", "[…]", since=2),
    # <table id="T_1a2b3"> of pandas' Styler
    "styler_ids_replaced": _replaced("T_", r"\bT_[0-9a-f]{5}(?=[_\b\"' ])", "T_…", since=2),
    "order_dropped": Rule(_order_dropped, since=2, concurrent=True),
}
"""Each rule by its name, applied in this order. Nothing else is normalised."""
