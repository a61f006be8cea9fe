"""Folders that somebody sent: what lies in them under the names of ours is read as far as it goes,
or told in a line, and nothing is written outside of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from resealed import resealed
from stories import replied, started, story

from rlm_kernel import RecordError, cli
from rlm_kernel.events import to_dict
from rlm_kernel.record import journal
from rlm_kernel.record.packing import LONGEST
from rlm_kernel.replay import continuation
from rlm_kernel.replay.reopen import reopen
from rlm_kernel.reports import listing

GOOD = [to_dict(event) for event in story(1)]
LINE = resealed(GOOD[:1]).splitlines(keepends=True)[0]
CHANGED: dict[str, list[dict[str, Any]]] = {
    "a field more": [GOOD[0], {**GOOD[1], "colour": "red"}],
    "a field less": [GOOD[0], {k: v for k, v in GOOD[1].items() if k != "depth"}],
    "another type": [GOOD[0], {**GOOD[1], "depth": "x"}],
    "an endless number": [GOOD[0], {**GOOD[1], "time": float("nan")}],
    "a number of 400 digits": [GOOD[0], {**GOOD[1], "depth": 10**400}],
    "another kind": [GOOD[0], {**GOOD[1], "kind": "dreamt"}],
    "an id that leads out": [GOOD[0], {**GOOD[1], "node": "0.1/../../x"}],
    "an absolute id": [GOOD[0], {**GOOD[1], "node": "/etc/x"}],
    "an id with a NUL": [GOOD[0], {**GOOD[1], "node": "0.\x00"}],
    "a long id": [GOOD[0], {**GOOD[1], "node": "0" + ".1" * 2500}],
    "a newer format": [{**GOOD[0], "format": 3, "what": "is new"}, *GOOD[1:]],
}
BYTES: dict[str, bytes] = {
    "brackets": b"[" * 100_000,
    "brackets in an event": b'{"seal": "", "event": {"kind": ' + b"[" * 100_000 + b"}}\n",
    "a lone surrogate": LINE.replace(b"reviews", b"\\ud800"),
    "a NUL": LINE.replace(b"reviews", b"\x00"),
    "half a character": LINE[:-30] + "é".encode()[:1],
    "a key twice": LINE.replace(b'"run":', b'"run":"other","run":'),
    "many empty lines": b"\n" * 100_000,
    "nothing": b"",
}


def unsealed(events: list[dict[str, Any]]) -> bytes:
    """The record of a run that was killed."""
    return resealed(events).rpartition(b'{"sealed"')[0]


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What a command says that has something to complain of, in few lines."""
    cli.main([*map(str, arguments)])
    said = capsys.readouterr()
    text = said.out + said.err
    assert text.count("\n") <= 60
    assert len(text) < 8000
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("name", CHANGED)
def test_an_event_that_is_not_what_it_should_be_is_told_and_nothing_is_made_of_it(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "above" / "run"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(unsealed(CHANGED[name]))
    expected = {
        "a newer format": "written by a newer rlm_kernel (format 3; this one reads up to 2)",
        "another kind": "there is no kind of event 'dreamt'",
    }.get(name, "its field `" if name not in ("a field more", "a field less") else "it has ")
    assert expected in told(capsys, "show", folder)
    assert listing.read(folder).status == listing.DAMAGED
    assert expected in str(listing.read(folder).note)
    for command in ("replay", "resume", "fork", "export", "why"):
        assert expected in told(capsys, command, folder)
    assert expected in told(capsys, "diff", folder, folder)
    assert "damaged" in told(capsys, "show", folder.parent)


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_record_are_told_in_a_few_lines(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "above" / "run"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(BYTES[name])
    assert "problem:" in told(capsys, "show", folder)
    assert "run" in told(capsys, "show", folder.parent)
    for command in ("replay", "resume", "fork", "export", "why"):
        told(capsys, command, folder)


@pytest.mark.parametrize("kind", ["pipe", "device", "huge", "folder"])
@pytest.mark.parametrize("file", ["journal.jsonl", "trajectory.ipynb"])
def test_what_is_no_file_or_too_large_is_not_read(
    tmp_path: Path, file: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "above" / "run"
    folder.mkdir(parents=True)
    path = folder / file
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 1 << 32)
    text = told(capsys, "show", folder)
    assert "no file" in text or "longer than" in text or "larger than" in text
    told(capsys, "show", folder.parent)
    for command in ("replay", "resume", "export", "why"):
        told(capsys, command, folder)


def test_a_damaged_record_of_an_answered_run_is_listed_as_damaged(tmp_path: Path) -> None:
    events = [GOOD[0], {**GOOD[1], "depth": "x"}, *GOOD[2:]]
    (tmp_path / "journal.jsonl").write_bytes(resealed(events))
    row = listing.read(tmp_path)
    assert (row.status, "its field `depth` is 'x'" in str(row.note)) == (listing.DAMAGED, True)


def test_a_blob_that_is_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    written = journal.Journal.create(tmp_path / "journal.jsonl")
    for event in (*story()[:1], started("0"), replied("0", 1, "x" * (LONGEST + 1))):
        written.write(event)
    written.close()
    (blob,) = (tmp_path / "blobs").iterdir()
    blob.unlink()
    os.mkfifo(blob)
    assert "is lost" in journal.read(tmp_path / "journal.jsonl").problems[0].text


def unfinished(folder: Path) -> Path:
    """A run that was killed after its first cell."""
    folder.mkdir()
    events = [GOOD[0], {**GOOD[1], "context": context()}, *GOOD[2:6]]
    (folder / "journal.jsonl").write_bytes(unsealed(events))
    return folder


def context() -> dict[str, Any]:
    digest = hashlib.sha256(b"some text").hexdigest()
    spec = {
        "kind": "text", "sha256": digest, "size": 9, "encoding": "utf-8", "errors": "strict",
        "name": "str", "path": None, "text": "some text",
    }  # fmt: skip
    return {**GOOD[1]["context"], "spec": spec}


def test_a_run_in_whose_folder_nothing_leads_out_can_be_gone_on_with(tmp_path: Path) -> None:
    folder = unfinished(tmp_path / "run")
    (folder / "files").mkdir(mode=0o755)
    recorder = continuation.resume(folder).recorder
    assert recorder is not None
    recorder.abandon()
    assert (folder / "files-1").is_dir()


@pytest.mark.parametrize(
    "name", ["calls", "blobs", "files", "trajectory.ipynb", "journal.jsonl", ".journal.jsonl.part"]
)
def test_a_link_in_a_runs_folder_is_not_gone_through(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, outside = unfinished(tmp_path / "run"), tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    target = outside / "mine" if "." in name else outside
    if name == "journal.jsonl":
        (folder / name).rename(target)
    (folder / name).symlink_to(target)
    before = {path: path.read_bytes() for path in outside.iterdir()}
    assert "it is a link" in told(capsys, "resume", folder)
    with pytest.raises(RecordError, match="it is a link"):
        reopen(folder)
    assert {path: path.read_bytes() for path in outside.iterdir()} == before
