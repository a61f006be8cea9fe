"""Trajectories of every version can be read and replayed; of those to come, what is known of a
minor one, while a major one is refused as what it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest
from asking import ask, script
from resealed import resealed

from rlm_kernel import RecordError, cli
from rlm_kernel.events import FORMAT
from rlm_kernel.record import trajectory
from rlm_kernel.record.equality import VERSION
from rlm_kernel.record.format_version import FormatVersion
from rlm_kernel.record.notebooks.metadata import SCHEMA
from rlm_kernel.record.recording import Recording
from rlm_kernel.replay import continuation, reopen
from rlm_kernel.replay.replay import replay
from rlm_kernel.reports import listing
from rlm_kernel.session.event_loop import engine

FIXTURES = Path(__file__).parents[1] / "fixtures"
SCHEMAS = Path(trajectory.__file__).parent / "schema"
VERSIONS = (1, 2, str(SCHEMA))


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_has_its_schema(version: int | str) -> None:
    schema = json.loads((SCHEMAS / f"trajectory-{version}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"]["const"] == version


@pytest.mark.parametrize("version", [1])
def test_a_trajectory_of_an_older_version_replays_equal(version: int) -> None:
    folder = FIXTURES / f"version-{version}"
    schema = json.loads((SCHEMAS / f"trajectory-{version}.json").read_text())
    notebook = nbformat.read(folder / "trajectory.ipynb", as_version=4)
    jsonschema.validate(json.loads(json.dumps(notebook.metadata.rlm)), schema)
    assert Recording.open(folder).sealed
    recorded = trajectory.load(folder)
    assert (recorded.problems, len(recorded.nodes)) == ([], 4)
    verdict = engine().run(replay(recorded, lambda text: None))
    assert (verdict.result, verdict.differences) == ("equal", [])


def test_a_childs_notebook_of_the_first_version_alone_replays_equal(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "version-1" / "calls" / "0.1.ipynb", tmp_path / "mailed.ipynb")
    verdict = engine().run(replay(trajectory.load(tmp_path / "mailed.ipynb"), lambda text: None))
    assert (verdict.result, verdict.differences) == ("equal", [])


@pytest.mark.parametrize("schema", [SCHEMA.major + 1, 0, "two"])
def test_a_version_that_is_not_known_says_so(tmp_path: Path, schema: object) -> None:
    path = tmp_path / "trajectory.ipynb"
    notebook = nbformat.read(FIXTURES / "version-1" / "trajectory.ipynb", as_version=4)
    notebook.metadata.rlm["schema"] = schema
    nbformat.write(notebook, path)
    with pytest.raises(RecordError, match="update rlm_kernel"):
        trajectory.load(path)


# -- versions to come -----------------------------------------------------------------------------
KNOWN = FormatVersion.of(FORMAT)


def next_major(known: FormatVersion, minor: int = 0) -> str:
    return str(FormatVersion(known.major + 1, minor))


def next_minor(known: FormatVersion) -> str:
    return str(FormatVersion(known.major, known.minor + 7))


def copy_of_the_journal(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """The fixture's record with its events changed and sealed again, without its notebooks."""
    shutil.copytree(FIXTURES / "version-1" / "blobs", folder / "blobs")
    lines = (FIXTURES / "version-1" / "journal.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines[:-1]]
    change(events)
    (folder / "journal.jsonl").write_bytes(resealed(events))
    return folder


def mailed(folder: Path, **changes: Any) -> Path:
    """A child's notebook alone, with its ``metadata.rlm`` changed."""
    notebook = json.loads((FIXTURES / "version-1" / "calls" / "0.1.ipynb").read_text())
    notebook["metadata"]["rlm"] |= changes
    (folder / "mailed.ipynb").write_text(json.dumps(notebook))
    return folder / "mailed.ipynb"


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """The exit status of a command, and all that it says."""
    status = cli.main([*map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out + told.err


def of_a_newer_minor_version(events: list[dict[str, Any]]) -> None:
    events[0] |= {"format": next_minor(KNOWN), "colour": "red"}
    for event in events:
        if "usage" in event:
            event["usage"]["joules"] = 5
        if event["kind"] == "cell_ran":
            event["dreams"] = {"of": "sheep"}
    events.insert(2, {"kind": "dreamt", "node": "0", "of": "sheep"})
    events.append({"kind": "woken", "node": "0"})


def of_format(version: object) -> Callable[[list[dict[str, Any]]], None]:
    return lambda events: events[0].update(format=version)


NEWER: dict[str, Callable[[Path], Path]] = {
    "a journal, by its number": lambda folder: copy_of_the_journal(
        folder, of_format(KNOWN.major + 1)
    ),
    "a journal": lambda folder: copy_of_the_journal(folder, of_format(next_major(KNOWN, 1))),
    "a notebook, by its number": lambda folder: mailed(folder, schema=SCHEMA.major + 1),
    "a notebook": lambda folder: mailed(folder, schema=next_major(SCHEMA, 2)),
    "rules": lambda folder: mailed(folder, schema=str(SCHEMA), rules=next_major(VERSION)),
}


@pytest.mark.parametrize("name", NEWER)
def test_what_a_newer_major_version_wrote_is_refused_as_that_and_never_called_damaged(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = NEWER[name](tmp_path)
    commands = [["show", path], ["replay", path], ["show", path, FIXTURES], ["why", path]]
    commands += [["export", path], ["diff", path, path]]
    if path.is_dir():
        commands += [["fork", path], ["resume", path]]
    for command in commands:
        _, told = said(capsys, *command)
        assert "written by a newer version of rlm_kernel" in told, command
        assert "update rlm_kernel" in told, command
        assert "damaged" not in told, command
    assert listing.read(path).status == listing.NEWER


def test_a_journal_of_a_newer_minor_version_is_shown_listed_and_replayed_as_far_as_it_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of_the_journal(tmp_path, of_a_newer_minor_version)
    before, now = Recording.open(FIXTURES / "version-1"), Recording.open(folder)
    assert (now.sealed, now.problems) == (True, [])
    assert (len(now.events), now.tree) == (len(before.events), before.tree)
    assert said(capsys, "show", folder)[0] == 0
    assert "answered" in said(capsys, "show", folder, FIXTURES / "version-1")[1]
    assert listing.read(folder).status == "answered"
    status, told = said(capsys, "replay", folder)
    assert (status, "equal: " in told) == (0, True), told


def test_the_same_fields_are_refused_in_a_journal_of_a_version_that_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(events: list[dict[str, Any]]) -> None:
        of_a_newer_minor_version(events)
        events[0]["format"] = FORMAT

    folder = copy_of_the_journal(tmp_path, change)
    for command in ("show", "replay"):
        told = said(capsys, command, folder)[1]
        assert "it has a field `colour`, which is not known here" in told
    assert "there is no kind of event 'dreamt'" in said(capsys, "show", folder)[1]
    assert listing.read(folder).status == listing.DAMAGED


@pytest.mark.parametrize("written", ["two", "2", "2.", "02.1", True, -1, None, "2.1.0", 2.0])
def test_what_is_no_version_is_told(
    tmp_path: Path, written: object, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of_the_journal(tmp_path, of_format(written))
    assert "its field `format` is " in said(capsys, "show", folder)[1]


def test_what_a_newer_minor_version_wrote_is_not_lost_where_a_record_is_written_on(
    tmp_path: Path,
) -> None:
    def stopped(events: list[dict[str, Any]]) -> None:
        of_a_newer_minor_version(events)
        events[:] = [event for event in events if event.get("node", "0") == "0"]
        for event in events:
            if event["kind"] in ("run_ended", "node_ended"):
                event["status"] = "interrupted"
        events.append(events.pop(-2))  # the run's end is the last that is known

    folder = copy_of_the_journal(tmp_path, stopped)
    written = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert reopen.reopen(folder)
    continuation.resume(folder).recorder.abandon()  # type: ignore[union-attr]
    lines = (folder / "journal.jsonl").read_text().splitlines()
    kept = [json.loads(line)["event"] for line in lines]
    ends = ("run_ended", "node_ended")
    assert kept == [line["event"] for line in written[:-1] if line["event"]["kind"] not in ends]
    assert {"dreamt", "woken"} <= {event["kind"] for event in kept}
    assert Recording.open(folder).problems == []


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": next_minor(SCHEMA), "rules": "1.0", "mood": "calm"},
        {"schema": "1.4", "mood": {"calm": True}},
        {"schema": "2.1", "rules": "1.9"},
        {"schema": "2.1", "rules": next_minor(VERSION)},
    ],
)
def test_a_notebook_of_a_newer_minor_version_is_shown_listed_and_replayed_as_far_as_it_is_known(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = mailed(tmp_path, **changes)
    assert said(capsys, "show", path)[0] == 0
    assert listing.read(path).status == "answered"
    status, told = said(capsys, "replay", path)
    assert (status, "equal: " in told) == (0, True), told


def test_a_field_more_is_refused_in_a_notebook_of_a_version_that_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mailed(tmp_path, schema="2.1", rules="1.0", mood="calm")
    assert "metadata.rlm is damaged" in said(capsys, "show", path)[1]


def test_a_record_that_is_written_now_tells_its_three_versions(tmp_path: Path) -> None:
    result = ask(script("FINAL_VAR(1)"), tmp_path / "run")
    first = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()[0]
    about = json.loads(result.trajectory.read_text())["metadata"]["rlm"]
    assert json.loads(first)["event"]["format"] == FORMAT
    assert (about["schema"], about["rules"]) == (str(SCHEMA), str(VERSION))
