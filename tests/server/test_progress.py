"""How far a run is, from its record as it grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from longruns import journal_of, long_run
from stories import call, cell, prompted, replied, run_started, started

from rlm_kernel.events import NodeEnded, Usage
from rlm_kernel.record.journal import Journal, following
from rlm_kernel.server import progress
from rlm_kernel.server.progress import Followed

LIMITS = {"turns": 20, "calls": 2000, "cost": 1.0, "seconds": None, "x": 1}


def test_nodes_turns_and_calls_in_flight_are_told_while_a_run_is_written(tmp_path: Path) -> None:
    followed, run = Followed(), tmp_path / "run"
    journal = Journal.create(run / "journal.jsonl")

    def look(*events: Any) -> dict[str, Any]:
        for event in events:
            journal.write(event)
        return followed.look(run)

    began = look(run_started(settings={"limits": LIMITS}), started("0"))
    assert began["limits"] == {"turns": 20, "calls": 2000, "cost": 1.0}
    assert (began["most"], began["nodes"][0]["turn"]) == ("$1.00", 0)

    priced = {"usage": Usage(1, 10, 1, 0, 0.25)}
    asked = [call("0.1", index, count=500, **priced) for index in range(2)]
    now = look(
        prompted("0", 1, "go"), replied("0", 1, "x", **priced),
        started("0.1", question="Part one?"), prompted("0.1", 3, "go"), *asked,
    )  # fmt: skip
    root, child = now["nodes"]
    assert (root["status"], root["turn"], root["under_way"]) == ("running", 1, [])
    assert (child["parent"], child["question"], child["turn"]) == ("0", "Part one?", 3)
    assert child["under_way"] == [{"op": "llm_query_batched", "done": 2, "count": 500}]
    assert (now["calls"], now["cost"], now["spent"]) == (2, 0.75, "$0.7500")

    end = look(cell("0.1", 1), NodeEnded("0.1", "answered", "x", True, None, 20.0))
    assert end["nodes"][1]["under_way"] == []
    assert end["nodes"][1]["status"] == "answered"
    assert end["whole"]
    journal.close()


def test_a_long_record_is_read_over_several_looks_and_to_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = journal_of(long_run(30, 10), tmp_path / "run")
    followed = Followed()
    monkeypatch.setattr(following, "MOST_LINES", 40)
    monkeypatch.setattr(progress, "SECONDS", 1e-9)
    looks = [followed.look(run)]
    while not looks[-1]["whole"]:
        looks.append(followed.look(run))
    assert len(looks) > 1
    assert looks[-1]["calls"] == 300
    monkeypatch.setattr(progress, "MOST_BYTES", 10_000)
    monkeypatch.setattr(progress, "SECONDS", 5.0)
    cut = Followed().look(run)
    assert cut["whole"]
    assert "only the first" in cut["problem"]


def test_another_record_in_its_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    run, followed = tmp_path / "run", Followed()
    journal_of(long_run(2, 3), run)
    assert followed.look(run)["calls"] == 6
    (run / "journal.jsonl").rename(tmp_path / "before")
    journal_of(long_run(1, 1), run)
    assert followed.look(run)["calls"] == 1


@pytest.mark.parametrize(
    "line",
    [b"x" * 9_000_000 + b"\n", b"[" * 4_000_000 + b"\n", b'{"event": {"kind": 1}}\n' * 5_000],
)
def test_a_hostile_record_has_a_problem_and_an_end(tmp_path: Path, line: bytes) -> None:
    run = journal_of([run_started(), *(started(f"0.{n}") for n in range(1, 400))], tmp_path / "run")
    with (run / "journal.jsonl").open("ab") as file:
        file.write(line)
    followed = Followed()
    looks = [followed.look(run) for _ in range(6)]
    assert looks[-1]["whole"]
    assert looks[-1]["problem"]
    assert len(looks[-1]["nodes"]) <= progress.MOST_NODES
    assert looks[-1]["left_out"] == 399 - progress.MOST_NODES
    assert len(json.dumps(looks[-1], allow_nan=False)) < 100_000
