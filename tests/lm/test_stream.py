"""Bytes of answers split into what they say, however they come."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.lm.failures import Failure
from rlm_kernel.lm.joined import Joined
from rlm_kernel.lm.stream import DONE, MAX_EVENT_BYTES, Events

A, B = {"choices": [{"delta": {"content": "a\u2028é"}}]}, {"usage": {"total_tokens": 3}}


def read(data: bytes, size: int = 1 << 20) -> list[object]:
    """What an answer says that comes in pieces of some bytes."""
    events, said = Events(), []
    for at in range(0, len(data), size):
        said += events.feed(data[at : at + size])
    return [*said, *events.end()]


def written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


PRETTY = json.dumps({"data": [1, None, "x"], **A}, indent=2, ensure_ascii=False).encode()
FORMS = {
    "events": b"data: " + written(A) + b"\n\ndata: " + written(B) + b"\n\ndata: [DONE]\n\n",
    "returns": b"data: " + written(A) + b"\r\rdata:" + written(B) + b"\r\rdata: [DONE]\r\r",
    "crlf": b"data: " + written(A) + b"\r\n\r\ndata: " + written(B) + b"\r\n\r\ndata: [DONE]\r\n",
    "no blank lines": b"data: " + written(A) + b"\ndata: " + written(B) + b"\ndata: [DONE]",
    "all fields": b"\xef\xbb\xbfretry: 5\nid: 1\nevent: chunk\ndata: " + written(A)
    + b"\n\n: alive\n\nevent: usage\ndata: " + written(B) + b"\n\ndata: [DONE]\n",
    "several lines": b"data: {\ndata: " + written(A)[1:] + b"\n\ndata: " + written(B)[:-1]
    + b"\ndata: }\n\ndata: [DONE]\n\n",
    "lines of JSON": written(A) + b"\n" + written(B) + b"\n\ndata: [DONE]",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@given(size=st.integers(1, 40))
def test_a_stream_says_the_same_however_it_is_written_and_cut(form: str, size: int) -> None:
    assert read(FORMS[form], size) == [A, B, DONE]


@given(size=st.integers(1, 40))
def test_a_body_says_the_same_however_it_is_written_and_cut(size: int) -> None:
    whole = {"data": [1, None, "x"], **A}
    for body in (PRETTY, b"\xef\xbb\xbf" + PRETTY, b"\n\n\n" + written(whole), PRETTY + b"\r\n"):
        assert read(body, size) == [whole]
    assert read(written(whole) + b"data: [DONE]\n\n", size)[0] == whole


@given(data=st.binary(max_size=300), size=st.integers(1, 40))
def test_no_bytes_make_anything_but_a_failure(data: bytes, size: int) -> None:
    for given_bytes in (data, b"data: " + data, b"data: {" + data):
        with suppress(Failure):
            read(given_bytes, size)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"data: hello\n\n", ["hello"]),
        (b"data: null\n\n", [None]),
        (b"data:\n\n", []),
        (b"<html>\n<p>it works!\n</html>\n", ["<html>\n<p>it works!\n</html>"]),
        (b'data: {"a": "\xe2\x82"}\n\n', [{"a": "\ufffd"}]),
        (b'{"a": "b\tc"}', [{"a": "b\tc"}]),
        (b"", []),
    ],
)
def test_what_is_no_json_is_a_text(data: bytes, said: list[object]) -> None:
    assert read(data) == said


@pytest.mark.parametrize("data", [b'data: {"a": \n\n', b'{"a": ', b"[1, 2", b"data: {} {}\n\n"])
def test_broken_json_is_a_failure(data: bytes) -> None:
    with pytest.raises(Failure) as caught:
        read(data)
    assert (caught.value.cause, caught.value.again) == ("garbage", True)


def test_no_event_and_no_body_is_longer_than_any_is() -> None:
    piece = b"x" * (1 << 20)
    for start in (b"data: {", b"data: {\ndata: ", b"", b"{\n"):
        with pytest.raises(Failure) as caught:
            read(start + piece * (MAX_EVENT_BYTES // len(piece) + 1))
        assert caught.value.cause == "endless"


def joined(*pieces: str, whole: str = "", last: str = "") -> str:
    text = Joined()
    for piece in pieces:
        text.add(piece, "", last=False)
    text.add(last, whole, last=True)
    text.end()
    return text.text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (("I ", "I think", "I think so"), "I think so"),
        (("a", "ab", "abc", "abcd and more of it", "abcd and more of it."), "abcd and more of it."),
        (("ha", "haha"), "hahaha"),
        (("na", " na", " na"), "na na na"),
        (("the", "the"), "thethe"),
        (("- ", "- a", "\n- b"), "- - a\n- b"),
        (("", "x", ""), "x"),
        (("\ud83d", "\ude00"), "\U0001f600"),
        (("a\ud83d", "a\ud83d\ude00", "a\ud83d\ude00!"), "a\U0001f600!"),
    ],
)
def test_pieces_are_new_text_unless_each_is_all_of_it(pieces: tuple[str, ...], text: str) -> None:
    assert joined(*pieces) == text


def test_all_of_a_text_once_more_is_not_added() -> None:
    pieces = ("the first half, ", "the second half")
    assert joined(*pieces, whole="".join(pieces)) == "".join(pieces)
    assert joined(*pieces, last="".join(pieces)) == "".join(pieces)
    assert joined(whole="all at once") == "all at once"
    assert joined("ab", "c", last="abc") == "abcabc"
