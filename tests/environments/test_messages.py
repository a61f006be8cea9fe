"""The gate for a kernel's messages: whatever comes, what leaves it is valid."""

from __future__ import annotations

import json
import re
from typing import Any

import nbformat
import pytest
from faults.odd import MESSAGES, Odd
from hypothesis import given, settings
from jupyter_client.session import Session

from rlm_kernel.environments.messages import MAX_DEPTH, NotSigned, pack_any_text, receive
from rlm_kernel.record.outputs import Collector

PARENT = {"msg_id": "the-cell", "session": "s", "msg_type": "execute_request"}


def frames(session: Session, *parts: bytes) -> list[bytes]:
    return [b"topic", b"<IDS|MSG>", session.sign([*parts]), *parts]


def sent(kind: str, content: object, *, metadata: object = {}, header: object = None) -> Any:
    """What comes through the gate of a message that the kernel signed."""
    there, here = Session(key=b"key"), Session(key=b"key")
    head = there.msg_header(kind) if header is None else header
    values = (head, PARENT, metadata, content)
    parts = [json.dumps(value, default=str).encode() for value in values]
    return receive(here, frames(there, *parts), "iopub")


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@settings(max_examples=200)
@given(MESSAGES)
def test_what_comes_through_the_gate_can_be_sent_on_and_shown(odd: Odd) -> None:
    session = Session(key=b"key")
    grown = [re.sub("<<huge>>", "x" * 5000, part) for part in odd.json()]
    content, metadata = (
        re.sub('"<<deep ([0-9]+)>>"', lambda m: "[" * int(m[1]) + "]" * int(m[1]), part).encode()
        for part in grown
    )
    head, parent = json.dumps(session.msg_header(odd.kind), default=str), json.dumps(PARENT)
    parts = (head.encode(), parent.encode(), metadata, content)
    message = receive(Session(key=b"key"), frames(session, *parts), odd.channel)  # type: ignore[arg-type]
    assert message["parent_header"]["msg_id"] == "the-cell"
    json.dumps(message["content"], allow_nan=False).encode()
    pack_any_text(session)
    session.serialize(message)
    collector = Collector()
    if odd.channel == "iopub":
        collector.add(message["msg_type"], message["content"])
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.from_dict(o) for o in collector.outputs])
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))


@pytest.mark.parametrize(
    ("kind", "content", "field", "mended"),
    [
        ("stream", {"name": "stdout", "text": 5}, "text", "5"),
        ("stream", {"name": ["x"], "text": "a"}, "name", "stdout"),
        ("error", {"evalue": {"a": 1}}, "evalue", '{"a": 1}'),
        ("error", {"traceback": "one"}, "traceback", ["one"]),
        ("display_data", {"data": ["x"]}, "data", {"text/plain": '["x"]'}),
        ("display_data", {"data": {"text/html": ["a", "b"]}}, "data", {"text/html": "ab"}),
        ("display_data", {"transient": {"display_id": [1]}}, "transient", {"display_id": "[1]"}),
        ("display_data", {"transient": None}, "transient", {}),
        ("execute_result", {"data": {}, "execution_count": "<b>"}, "execution_count", 0),
        ("display_data", {"data": {"application/json": float("nan")}}, "data",
         {"application/json": "nan"}),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_mended(
    kind: str, content: dict[str, Any], field: str, mended: object
) -> None:
    assert sent(kind, content)["content"][field] == mended


def test_what_nests_too_deep_is_cut_where_it_does() -> None:
    shown = sent("display_data", {"data": {"application/json": deep(MAX_DEPTH * 3)}})
    assert f"deeper than {MAX_DEPTH} levels" in json.dumps(shown["content"])


@pytest.mark.parametrize("content", [None, 5, "text", [1]])
def test_a_message_that_cannot_be_read_is_a_word_in_its_cell(content: object) -> None:
    message = sent("display_data", content)
    assert message["msg_type"] == "stream"
    assert "was left out: its content is no object" in message["content"]["text"]
    assert message["parent_header"]["msg_id"] == "the-cell"


def test_a_header_that_says_nothing_of_use_is_a_word_in_its_cell() -> None:
    for header in ([], {}, {"msg_id": "a", "msg_type": ["x"]}, {"msg_id": "a", "msg_type": ""}):
        assert "was left out" in sent("stream", {}, header=header)["content"]["text"]


def test_what_the_kernel_did_not_sign_is_no_message() -> None:
    session = Session(key=b"key")
    forged = frames(Session(key=b"other"), b"{}", b"{}", b"{}", b"{}")
    for wrong in ([], [b"junk"], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"x", b"{}"], forged):
        with pytest.raises(NotSigned):
            receive(session, wrong, "iopub")
