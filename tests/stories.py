"""Made-up runs, as the events that a loop would emit."""

from __future__ import annotations

from typing import Any

from rlm_kernel.events import (
    CallEnded,
    CellRan,
    ContextInfo,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    Prompted,
    Replied,
    RunEnded,
    RunStarted,
    Usage,
)

HOSTILE = "```\n</details><script>alert(1)</script>\n| a | b |\n# head\n$x$ ![i](http://x/y) \ud800"


def usage(number: int) -> Usage:
    return Usage(1, 100 + number, number, 0, 0.1 * number, number % 2)


def call(node: str, index: int, *, count: int = 1, **changed: Any) -> CallEnded:
    fields: dict[str, Any] = {
        "node": node,
        "cell": 1,
        "call": 1,
        "op": "llm_query_batched" if count > 1 else "llm_query",
        "index": index,
        "count": count,
        "key": f"{index:024x}",
        "occurrence": 0,
        "prompt": f"Is review {index} positive?",
        "asked": None,
        "model": "qwen2.5-0.5b",
        "reply": "yes",
        "error": None,
        "usage": usage(index),
        "child": None,
        "started": 11.0,
        "seconds": 0.5,
    }
    return CallEnded(**(fields | changed))


def cell(node: str, number: int, *, turn: int = 1, **changed: Any) -> CellRan:
    fields: dict[str, Any] = {
        "node": node,
        "cell": number,
        "turn": turn,
        "source": f"print({number})",
        "author": "lm",
        "status": "ok",
        "outputs": [{"output_type": "stream", "name": "stdout", "text": f"{number}\n"}],
        "notices": [],
        "answer": None,
        "execution_count": number,
        "seconds": 0.2,
        "time": 12.0,
    }
    return CellRan(**(fields | changed))


def started(node: str, **changed: Any) -> NodeStarted:
    context = ContextInfo("str", 240_000, 900, "text", "The first", "the last", {"kind": "text"})
    parent = node.rpartition(".")[0] or None
    fields: dict[str, Any] = {
        "node": node,
        "parent": parent,
        "depth": node.count("."),
        "call": 2 if parent else None,
        "question": "How many of the reviews are positive?",
        "model": "qwen2.5-coder-1.5b",
        "context": context,
        "time": 10.0,
    }
    return NodeStarted(**(fields | changed))


def replied(node: str, turn: int, text: str, **changed: Any) -> Replied:
    fields: dict[str, Any] = {"model": "m", "finish": "stop", "usage": usage(turn), "seconds": 1.0}
    return Replied(node, turn, text, time=11.0, **(fields | changed))


def prompted(node: str, turn: int, text: str) -> Prompted:
    return Prompted(node, turn, [{"role": "user", "content": text}], 10.5)


def run_started(**changed: Any) -> RunStarted:
    fields: dict[str, Any] = {
        "run": "reviews",
        "question": "How many of the reviews are positive?",
        "settings": {"environment": "local"},
        "versions": {"rlm-kernel": "0.1"},
        "time": 9.0,
    }
    return RunStarted(**(fields | changed))


def story(batch: int = 24) -> list[Event]:
    """Two turns, a batch, a failed cell, a hostile child, a restart, an answer."""
    code = "replies = llm_query_batched(prompts)\nprint(len(replies))"
    child = "0.1"
    events: list[Event] = [
        run_started(),
        started("0"),
        prompted("0", 1, "Question: how many?"),
        replied("0", 1, f"I look at **each** review.\n\n```python\n{code}\n```\nThen I count."),
        *(call("0", index, count=batch) for index in range(batch)),
        cell("0", 1, source=code, notices=["`context` is loaded already."]),
        prompted("0", 2, "Output:\n1\n\n`context` is loaded already.\n\nFinish with FINAL_VAR."),
        replied("0", 2, "```repl\nrlm_query('x')\n```"),
        started(child, question=HOSTILE, context=None),
        replied(child, 1, HOSTILE),
        prompted(child, 2, "Your reply held no Python block."),
        replied(child, 2, "```python\nFINAL_VAR(1)\n```"),
        cell(child, 1, turn=2, source="FINAL_VAR(1)", answer=HOSTILE, outputs=[]),
        NodeEnded(child, "answered", HOSTILE, True, None, 14.0),
        call("0", 0, cell=2, call=2, op="rlm_query", child=child, reply=HOSTILE, prompt=HOSTILE),
        call("0", 1, cell=2, call=3, reply=None, error={"type": "LMError", "message": "down"}),
        cell("0", 2, turn=2, source="rlm_query('x')", status="died", outputs=list(OUTPUTS)),
        KernelRestarted("0", 2, "out of memory", ["replies", "prompts"], 15.0),
        cell("0", 3, turn=2, author="human", source="1 + 1"),
        NodeEnded("0", "answered", "17 of 24 reviews are positive.", True, None, 18.0),
    ]
    spent = [e.usage for e in events if isinstance(e, (Replied, CallEnded))]
    whole = sum(spent, Usage())
    return [*events, RunEnded("answered", "17", True, None, whole, 4, batch + 2, 9.0, 18.0)]


def context_set(time: float = 5.0, **spec: Any) -> ContextSet:
    digest = f"{int(time):064x}"
    given = {"kind": "text", "sha256": digest, "name": "notes.txt", "path": None} | spec
    return ContextSet("0", ContextInfo("str", 9, 1, "text", "The notes", "", given), time)


def lived_in() -> list[Event]:
    """A human's cells and an earlier question's before a question about a variable."""
    free: dict[str, Any] = {"usage": Usage(), "child": None}
    about = ContextInfo("list", 3, None, None, "[1, 2, 3]", "", {"kind": "json", "variable": "n"})
    return [
        run_started(),
        started("0", context=about),
        context_set(4.0),
        cell("0", 1, turn=0, author="human", source="n = [1, 2, 3]"),
        call("0", 0, cell=2, **free),
        call("0", 0, cell=2, call=2, op="rlm_query", **free),
        cell("0", 2, turn=0, source="print(2)"),
        context_set(6.0, variable="n"),
        cell("0", 3, turn=0, author="human", status="error"),
        prompted("0", 1, "Question: how many?"),
        replied("0", 1, "```python\nprint(4)\n```"),
        call("0", 0, cell=4, call=3),
        cell("0", 4),
        NodeEnded("0", "answered", "3", True, None, 18.0),
    ]


OUTPUTS: tuple[dict[str, Any], ...] = (
    {"output_type": "stream", "name": "stderr", "text": "careful\n"},
    {"output_type": "display_data", "data": {"text/plain": "<x>"}, "metadata": {}, "transient": {}},
    {"output_type": "execute_result", "data": {"text/plain": "2"}, "execution_count": 2},
    {"output_type": "error", "ename": "ValueError", "evalue": "\udc80", "traceback": ["one"]},
    {"output_type": "a new kind"},
)
