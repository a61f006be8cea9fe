"""The record: what is written comes back, and what was changed is told."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import HOSTILE, call, lived_in, replied, started, story

from rlm_kernel.errors import RecordError
from rlm_kernel.events import Event, ReplyDelta
from rlm_kernel.record import journal
from rlm_kernel.record.equality import call_key, digest
from rlm_kernel.record.journal import Journal
from rlm_kernel.record.packing import LONGEST, pack, unpack


def write(path: Path, events: list[Event], *, seal: bool = True) -> Path:
    written = Journal.create(path)
    for event in events:
        written.write(event)
    if seal:
        written.seal()
    else:
        written.close()
    return path


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write(tmp_path / "journal.jsonl", story())


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def texts(path: Path) -> list[str]:
    return [problem.text for problem in journal.read(path).problems]


def test_what_was_written_comes_back_and_is_whole(record: Path) -> None:
    read = journal.read(record)
    assert read.events == story()
    assert read.sealed
    assert read.problems == []
    assert record.stat().st_mode & 0o777 == 0o600


def test_a_prelude_and_a_node_without_a_context_come_back(tmp_path: Path) -> None:
    events = [*lived_in(), started("0.1", context=None)]
    assert journal.read(write(tmp_path / "journal.jsonl", events)).events == events


def test_the_seal_is_the_hash_of_the_bytes_before_it(record: Path) -> None:
    *before, last = lines(record)
    seal = hashlib.sha256(b"".join(before)).hexdigest()
    assert json.loads(last) == {"sealed": seal}
    assert journal.read(record).seal == seal


def test_a_transient_event_is_not_written(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", [ReplyDelta("0", 1, "x")], seal=False)
    assert path.read_bytes() == b""


def test_a_record_without_a_seal_is_read_as_not_sealed(tmp_path: Path) -> None:
    read = journal.read(write(tmp_path / "journal.jsonl", story(), seal=False))
    assert read.events == story()
    assert not read.sealed
    assert read.problems == []


@pytest.mark.parametrize(
    "text", ["\ud800 \udfff", "\ud83d\ude00", "\\ud800\\", "\r\n\x00\u2028", "😀" * 5, HOSTILE]
)
def test_every_character_survives_in_the_line_and_in_a_blob(tmp_path: Path, text: str) -> None:
    events: list[Event] = [replied("0", 1, text), replied("0", 2, text * LONGEST)]
    path = write(tmp_path / "journal.jsonl", events)
    assert journal.read(path).events == events
    assert len(list((tmp_path / "blobs").iterdir())) == 1
    assert len(path.read_bytes()) < 2000


def test_data_that_looks_like_a_blob_comes_back_as_it_was(tmp_path: Path) -> None:
    reply = {"$blob": "x", "in": [{"$dict": {"$blob": 1}}, {"$dict": 2, "a": "b" * (LONGEST + 1)}]}
    events: list[Event] = [call("0", 0, op="tool", reply=reply)]
    read = journal.read(write(tmp_path / "journal.jsonl", events))
    assert read.events == events
    assert read.problems == []


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$blob", "$dict", "$escaped", "a"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(plain)
def test_packing_and_unpacking_is_the_identity(value: object) -> None:
    kept: dict[str, str] = {}
    packed = pack(value, lambda text: kept.setdefault(text, text))
    assert unpack(json.loads(json.dumps(packed)), lambda name, _: kept[name]) == value


def test_a_changed_digit_is_found_in_its_line(record: Path) -> None:
    changed = lines(record)
    assert b'"index":11' in changed[15]
    changed[15] = changed[15].replace(b'"reply":"yes"', b'"reply":"yep"')
    record.write_bytes(b"".join(changed))
    problems = journal.read(record).problems
    assert [problem.line for problem in problems] == [16, len(changed)]
    assert "line 16 (llm_query_batched in cell 1, prompt 12 of 24) was changed" in problems[0].text
    assert "seal does not match" in problems[1].text


def test_a_line_taken_out_is_found(record: Path) -> None:
    kept = lines(record)
    del kept[9]
    record.write_bytes(b"".join(kept))
    assert "line 10" in texts(record)[0]
    assert "a line before it was taken out" in texts(record)[0]


def test_events_after_a_bad_line_are_still_read(record: Path) -> None:
    broken = lines(record)
    broken[9] = b"\xff not JSON\n"
    record.write_bytes(b"".join(broken))
    read = journal.read(record)
    assert len(read.events) == len(story()) - 1
    assert read.problems[0].line == 10
    assert "cannot be read" in read.problems[0].text


def test_a_cut_last_line_is_told_and_the_rest_is_read(record: Path) -> None:
    data = b"".join(lines(record)[:9])
    record.write_bytes(data[:-7])
    read = journal.read(record)
    assert read.events == story()[:8]
    assert [problem.text for problem in read.problems] == [
        "line 9 is cut: the writer was stopped in its middle"
    ]


def test_every_cut_of_a_record_can_be_read(record: Path) -> None:
    data = record.read_bytes()
    for size in range(0, len(data), 97):
        record.write_bytes(data[:size])
        assert not journal.read(record).sealed


def test_an_empty_record_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", [], seal=False)
    assert "is empty" in texts(path)[0]


def test_a_line_after_the_seal_is_told(record: Path) -> None:
    record.write_bytes(record.read_bytes() + lines(record)[0])
    assert any("added after the record was sealed" in text for text in texts(record))
    assert not journal.read(record).sealed


def test_a_missing_or_changed_blob_is_told_and_its_event_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", [replied("0", 1, "x" * (LONGEST + 1))])
    (blob,) = (tmp_path / "blobs").iterdir()
    blob.write_bytes(b"y")
    assert "was changed after it was written" in texts(path)[0]
    blob.unlink()
    read = journal.read(path)
    assert "32769 characters is lost" in read.problems[0].text
    assert len(read.events) == 1


@pytest.mark.parametrize(
    "event",
    [
        b"7",
        b"{}",
        b'{"kind": "replied"}',
        b'{"kind": "node_ended", "x": {"$blob": "../../etc/passwd"}}',
        b'{"kind": {"$blob": 1}}',
        b"[" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"1" * 5000,
    ],
)
def test_no_content_of_a_line_raises(tmp_path: Path, event: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"seal": "0", "event": ' + event + b"}\n")
    read = journal.read(path)
    assert read.events == []
    assert read.problems


def test_a_missing_file_raises_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nothing\.jsonl"):
        journal.read(tmp_path / "nothing.jsonl")


def test_a_record_is_never_written_over(record: Path) -> None:
    with pytest.raises(RecordError, match="choose another folder"):
        Journal.create(record)
    assert journal.read(record).sealed


def test_a_full_disk_is_told_kindly() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    written = Journal(full, os.open(full, os.O_WRONLY))
    with pytest.raises(RecordError, match=r"/dev/full.*No space left.*free some space"):
        written.write(story()[0])
    written.close()


def test_a_key_is_the_same_for_equal_arguments_only() -> None:
    assert call_key("llm_query", {"a": 1, "b": "\ud800"}) == call_key(
        "llm_query", {"b": "\ud800", "a": 1}
    )
    assert call_key("llm_query", {"a": 1}) != call_key("llm_query", {"a": "1"})
    assert call_key("llm_query", []) != call_key("rlm_query", [])
    assert len(call_key("tool", None)) == 24


def stream(text: str | list[str], name: str = "stdout") -> dict[str, object]:
    return {"output_type": "stream", "name": name, "text": text}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([stream("ab")], [stream("a"), stream("b")]),
        ([stream("a\nb")], [stream(["a\n", "b"])]),
        ([stream("a"), stream("b", "stderr")], [stream("b", "stderr"), stream("a")]),
        ([stream("<f at 0x7f01ab>")], [stream("<f at 0x7f99>")]),
        ([stream("Cell In[3], line 1")], [stream("Cell In[12], line 1")]),
        ([stream("/tmp/ipykernel_1/22.py:1: W")], [stream("/var/ipykernel_9/22.py:1: W")]),
        ([stream("10%\r55%\r100%\nb")], [stream("3%\r100%\nb")]),
        ([stream("Wall time: 2.1 ms\nb")], [stream("Wall time: 1min 3s\nb")]),
        (
            [stream("CPU times: user 1 ms, sys: 0 ns")],
            [stream("CPU times: user 9 ms, total: 9 ms")],
        ),
        (
            [stream("1.2 µs ± 9.1 ns per loop (mean ± std. dev. of 7 runs, 100 loops each)")],
            [stream("98 ns ± 1 ns per loop (mean ± std. dev. of 7 runs, 1,000 loops each)")],
        ),
        ([stream("9/9 [00:01<00:00, 9.98it/s]")], [stream("9/9 [01:02<00:00, 6.6s/it]")]),
        ([stream("/tmp/tmpab12_x9z/f")], [stream("/var/tmp/tmpzzzzzzz1/f")]),
        (
            [stream("File /usr/lib/python3.11/json/decoder.py:353, in f")],
            [stream("File ~/.envs/x/lib/python3.11/json/decoder.py:353, in f")],
        ),
        (
            [stream("/opt/python3.11/site-packages/pandas/x.py:1")],
            [stream("/usr/lib/python3/dist-packages/pandas/x.py:1")],
        ),
        ([stream('<table id="T_1a2b3">')], [stream('<table id="T_99999">')]),
    ],
)
def test_chance_does_not_change_a_digest(one: list[dict[str, object]], other: object) -> None:
    assert digest(one) == digest(other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<f at 0x7f01ab> 1", "<f at 0x7f01ab> 2"),
        ("Wall time: 2.1 ms\n1", "Wall time: 2.1 ms\n2"),
        ("a\nb", "b\na"),
        ("a\r\nb", "c\r\nb"),
        ("/tmp/tmpab12_x9z/f 1", "/tmp/tmpab12_x9z/f 2"),
        ("/usr/lib/python3.11/json/a.py:353", "/usr/lib/python3.11/json/a.py:354"),
        ("9/9 [00:01<00:00, 9.98it/s]", "8/9 [00:01<00:00, 9.98it/s]"),
        ("[1<2, 3]", "[1<2, 4]x"),
    ],
)
def test_what_is_not_chance_changes_a_digest(one: str, other: str) -> None:
    assert digest([stream(one)]) != digest([stream(other)])  # type: ignore[list-item]


def test_the_order_of_lines_is_chance_where_several_write_and_nowhere_else() -> None:
    one, other = [stream("a\nb\n")], [stream("b\n"), stream("a\n")]
    assert digest(one) != digest(other)  # type: ignore[arg-type]
    assert digest(one, concurrent=True) == digest(other, concurrent=True)  # type: ignore[arg-type]
    more = [stream("a\nb\nb\n")]
    assert digest(one, concurrent=True) != digest(more, concurrent=True)  # type: ignore[arg-type]


def test_a_digest_of_the_first_version_goes_by_its_rules() -> None:
    one, other = [stream("Wall time: 1 s")], [stream("Wall time: 2 s")]
    assert digest(one, version=1) != digest(other, version=1)  # type: ignore[arg-type]
    assert digest(one) == digest(other)  # type: ignore[arg-type]


def test_a_result_changes_a_digest_and_its_count_does_not() -> None:
    result = {"output_type": "execute_result", "data": {"text/plain": "2"}, "execution_count": 1}
    assert digest([result]) == digest([result | {"execution_count": 9}])
    assert digest([result]) != digest([result | {"data": {"text/plain": "3"}}])
    assert digest([stream("a")]) != digest([stream("a", "stderr")])


def test_a_frozen_event_differs_from_its_changed_copy_in_the_chain(tmp_path: Path) -> None:
    event = call("0", 0)
    one = write(tmp_path / "one" / "journal.jsonl", [event])
    two = write(tmp_path / "two" / "journal.jsonl", [dataclasses.replace(event, reply="no")])
    assert lines(one)[0][:42] != lines(two)[0][:42]
