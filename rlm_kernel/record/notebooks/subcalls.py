"""The calls that a cell made, as one Markdown cell below it."""

from __future__ import annotations

from collections.abc import Callable

from ...events import CallEnded
from ..markdown import code, details, one_line, shorten, table
from ..nodes import failure
from ..numbers import counted, duration, price
from ..summary import add_up

MAX_ROWS = 20


def sub_calls(calls: list[CallEnded], link: Callable[[str], str]) -> str:
    """Return one line that opens to a table of the first calls. ``link`` makes a link to a
    child."""
    asked = sorted(calls, key=lambda call: (call.call, call.index))  # they end in any order
    rows = [_row(call, link) for call in asked[:MAX_ROWS]]
    more = len(calls) - len(rows)
    parts = [_of_map(call) for call in asked if call.options]
    parts.append(table(["#", "asked", "answered"], rows))
    if more:
        parts.append(f"and {more:,} more, in the record")
    return details(_summary(calls), "\n\n".join(parts))


def _of_map(call: CallEnded) -> str:
    """Return the question of a map, whose rows show their items."""
    question = str(call.options.get("question"))
    return f"Map: {code(shorten(one_line(question[:2000]), 240))}"


def _row(call: CallEnded, link: Callable[[str], str]) -> list[str]:
    asked = code(shorten(one_line(call.prompt[:2000]), 160))
    if call.images:
        asked += f" · {counted(len(call.images), 'image')}"
    if call.error is not None:
        answer = f"**failed** {code(shorten(failure(call.error), 240))}"
    else:
        answer = code(shorten(one_line(str(call.reply)[:2000]), 240))
    if call.thoughts:
        answer += f" · thought {code(shorten(one_line(call.thoughts[:2000]), 120))}"
    if call.child is not None:
        answer = f"{link(call.child)} {answer}"
    return [str(call.index + 1 if call.count > 1 else ""), asked, answer]


def _summary(calls: list[CallEnded]) -> str:
    asked = [call for call in calls if call.op != "tool" and call.child is None]
    tools = sum(call.op == "tool" for call in calls)
    children = len(calls) - len(asked) - tools
    failed = sum(call.error is not None for call in calls)
    models = sorted({call.model for call in asked if call.model})
    parts = []
    if asked:
        to = f" to {', '.join(models)}" if models else ""
        used = add_up(call.usage for call in asked)
        parts.append(counted(len(asked), "sub-call") + to)
        if used.requests:  # those of a prelude were paid for in another record
            parts.append(f"{used.input_tokens:,} tokens in, {used.output_tokens:,} out")
            parts.append(price(used))
    parts += [f"{children:,} {'child' if children == 1 else 'children'}"] if children else []
    parts += [counted(tools, "tool call")] if tools else []
    parts += [f"{failed:,} failed"] if failed else []
    ended = max(call.started + call.seconds for call in calls)
    return " · ".join([*parts, duration(ended - min(call.started for call in calls))])
