"""The rules of the pipe, which the relay and the host share."""

from __future__ import annotations

import ast
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_kernel.remote import relay
from rlm_kernel.remote.relay import (
    CHUNK,
    CONTROL,
    CREDIT,
    DATA,
    END,
    HEAD,
    IOPUB,
    ORDER,
    SHELL,
    WINDOW,
    Decoder,
    Lane,
    MessageReader,
    Outbox,
    PipeError,
    pack,
    pack_message,
)

frames = st.lists(
    st.tuples(
        st.integers(DATA, ORDER), st.integers(0, 2**32 - 1), st.binary(max_size=300)
    ),
    max_size=8,
)  # fmt: skip
messages = st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=6), max_size=6)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(frames, st.lists(st.integers(0, 5000)))
def test_frames_are_whole_again_however_they_were_cut(
    sent: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    decoder = Decoder()
    stream = b"".join(pack(*frame) for frame in sent)
    assert [frame for piece in cut(stream, places) for frame in decoder.feed(piece)] == sent


@given(messages, st.lists(st.integers(0, 5000)))
def test_messages_are_whole_again_however_they_were_cut(
    sent: list[list[bytes]], places: list[int]
) -> None:
    reader = MessageReader(10_000)
    stream = b"".join(bytes(piece) for message in sent for piece in pack_message(message))
    came = [message for piece in cut(stream, places) for message in reader.feed(piece)]
    assert [[bytes(part) for part in message] for message in came] == sent


def test_a_large_message_comes_as_it_was_sent() -> None:
    sent = [b"head", bytes(range(256)) * 2000, b"", b"tail"]
    stream = b"".join(bytes(piece) for piece in pack_message(sent))
    (message,) = MessageReader(1 << 20).feed(stream)
    assert [bytes(part) for part in message] == sent


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_garbage_is_refused_with_one_kind_of_error(pieces: list[bytes]) -> None:
    for taker in (Decoder(), MessageReader(1000)):
        with suppress(PipeError):
            for piece in pieces:
                taker.feed(piece)


def test_a_frame_that_is_too_large_is_refused_before_it_comes() -> None:
    with pytest.raises(PipeError, match="65,537 bytes"):
        Decoder().feed(HEAD.pack(DATA, 1, CHUNK + 1))


def test_text_in_place_of_frames_is_shown() -> None:
    with pytest.raises(PipeError, match="sh: python: not found"):
        Decoder().feed(b"sh: python: not found\n")


def test_a_message_that_is_too_large_is_refused_before_it_comes() -> None:
    head = bytes(pack_message([b"x" * 2000])[0])[:20]
    with pytest.raises(PipeError, match="2,000 bytes, the limit is 1,000"):
        MessageReader(1000).feed(head)


def kinds_of(batch: bytes) -> list[tuple[int, int, int]]:
    return [(kind, lane, len(payload)) for kind, lane, payload in Decoder().feed(batch)]


def test_a_lane_sends_no_more_than_it_has_credit_for() -> None:
    outbox, lane = Outbox(), Lane(SHELL)
    lane.push(b"x" * (WINDOW + 10))
    outbox.stir(lane)
    sent = 0
    while outbox:
        sent += sum(size for _, _, size in kinds_of(outbox.batch()[0]))
    assert sent == WINDOW
    lane.credit += 4
    outbox.stir(lane)
    assert kinds_of(outbox.batch()[0]) == [(DATA, SHELL, 4)]


def test_control_goes_ahead_of_what_waits_already_and_lanes_take_turns() -> None:
    outbox, shell, iopub, control = Outbox(), Lane(SHELL), Lane(IOPUB), Lane(CONTROL)
    for lane in (shell, iopub):
        lane.push(b"x" * WINDOW)
        outbox.stir(lane)
    outbox.batch()
    control.push(b"stop")
    outbox.stir(control)
    outbox.order(do="ping")
    order = [(kind, lane) for kind, lane, _ in kinds_of(outbox.batch()[0])]
    assert order[:4] == [(ORDER, 0), (DATA, CONTROL), (DATA, SHELL), (DATA, IOPUB)]


def test_the_end_of_a_lane_comes_after_its_data() -> None:
    outbox, lane = Outbox(), Lane(16)
    lane.push(b"last words")
    lane.ending = True
    outbox.stir(lane)
    assert [kind for kind, _, _ in kinds_of(outbox.batch()[0])] == [DATA, END]
    assert not outbox


class Bare(relay.End):
    def ordered(self, fields: relay.Fields) -> None:
        raise PipeError("no orders here")

    def opened(self, number: int, fields: relay.Fields) -> None:
        raise PipeError("nothing opens here")


class Sink(relay.Channel):
    def receive(self, data: bytes) -> None:
        """Keeps it: no credit goes back."""


def bare_end() -> Bare:
    end = Bare()
    end.add(Sink(end, Lane(SHELL)))
    return end


def test_more_than_there_was_room_for_is_refused() -> None:
    end = bare_end()
    end.feed(pack(DATA, SHELL, b"x" * CHUNK) * (WINDOW // CHUNK))
    with pytest.raises(PipeError, match="more than it was given room for"):
        end.feed(pack(DATA, SHELL, b"x"))


def test_credit_for_what_was_never_sent_is_refused() -> None:
    with pytest.raises(PipeError, match="given back more"):
        bare_end().feed(pack(CREDIT, SHELL, b"\0\0\0\1"))


@settings(max_examples=50)
@given(frames)
def test_whatever_frames_come_there_is_one_kind_of_error(
    sent: list[tuple[int, int, bytes]],
) -> None:
    end = bare_end()
    for kind, lane, payload in sent:
        with suppress(PipeError):
            end.feed(pack(kind, lane % 20, payload))


def test_an_order_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(PipeError, match="no JSON"):
        bare_end().feed(pack(ORDER, 0, b"[" * CHUNK))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0b", "x" * 300])
def test_a_name_that_leads_elsewhere_is_not_plain(name: str) -> None:
    assert not relay.plain(name)


def test_the_relay_needs_python_3_9_and_pyzmq_alone() -> None:
    tree = ast.parse(Path(relay.__file__).read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"zmq"}


def test_a_message_that_the_pipe_cannot_carry_costs_no_relay() -> None:
    class Kernel:
        key, scheme = "key", "hmac-sha256"

    checked = relay.Substitute(Kernel(), 1000, relay.IOPUB)  # type: ignore[arg-type]
    assert checked([b"x" * 2000]) == [b"no message"]
    assert checked([b"<IDS|MSG>", b"x" * 2000]) == [b"no message"]
    assert checked([b"<IDS|MSG>", b"", b"[" * 2000, b"{}", b"{}", b"{}"]) == [b"no message"]
    header, buffers = b'{"msg_type": "display_data"}', [b""] * relay.MAX_PARTS
    many = checked([b"topic", b"<IDS|MSG>", b"", header, b"{}", b"{}", b"{}", *buffers])
    assert len(many) == 7
    assert b"65,543 parts was left out" in many[-1]
