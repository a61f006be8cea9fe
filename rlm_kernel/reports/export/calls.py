"""All sub-calls as data in the page: JSON, compressed, in blocks that are read one by one.

Base64 has no ``<``, so nothing that a prompt holds can end the element that it is in.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from typing import Any

from ...events import CallEnded
from ...record.markdown import shorten
from ...record.nodes import failure
from ...record.numbers import price
from .markup import Html, h, visible

LONGEST = 200_000
BLOCK_CHARS = 1_000_000
BLOCK_CALLS = 500


def blocks(calls: Iterable[CallEnded], start: float) -> list[Html]:
    """Return elements for the page, in the order of the calls. Times count from ``start``."""
    return [_block(rows) for rows in _split(_rows(calls, start))]


def _rows(calls: Iterable[CallEnded], start: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each call; the question of a map, which stands with its first item, with
    each."""
    number, question = ("", 0), ""
    for call in calls:
        if (call.node, call.call) != number:
            number, question = (call.node, call.call), str(call.options.get("question", ""))
        yield {**_row(call, start), "question": visible(shorten(question, LONGEST))}


def _split(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    block: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        block.append(row)
        size += len(row["prompt"]) + len(row["reply"])
        if size > BLOCK_CHARS or len(block) >= BLOCK_CALLS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _block(rows: list[dict[str, Any]]) -> Html:
    data = gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), mtime=0)
    return h(
        "script", Html(base64.b64encode(data).decode()), type="application/octet-stream",
        class_="calls",
    )  # fmt: skip


def _row(call: CallEnded, start: float) -> dict[str, Any]:
    failed = call.error is not None
    name = f"{call.op}, {call.index + 1} of {call.count}" if call.count > 1 else call.op
    used = f"{call.usage.input_tokens:,} tokens in, {call.usage.output_tokens:,} out"
    told = f"{used} · {price(call.usage)}" if call.usage.requests else ""
    return {
        "node": visible(call.node),
        "cell": call.cell,
        "name": name,
        "prompt": visible(shorten(call.prompt, LONGEST)),
        "reply": visible(shorten(_reply(call), LONGEST)),
        "failed": failed,
        "model": visible(call.model or ""),
        "child": visible(call.child or ""),
        "used": told,
        "at": round(max(0.0, call.started - start), 3) if call.started else None,
        "seconds": round(call.seconds, 3),
    }


def _reply(call: CallEnded) -> str:
    if call.error is not None:
        return failure(call.error)
    if isinstance(call.reply, str):
        return call.reply
    return json.dumps(call.reply, ensure_ascii=False)
