"""What `rlm show` adds up over a tree is what the endpoint's log says, retries included."""

from __future__ import annotations

from pathlib import Path

import pytest
from accounting import ANSWERS, Sums, account

SEED = 11


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sums]:
    """Each story once: many faults where there are few requests."""
    base: Path = tmp_path_factory.mktemp("runs")
    shares = {"batches": 0.2, "many": 0.02, "tree": 0.4}
    return {
        story: account(story, SEED, base / story, share=share) for story, share in shares.items()
    }


@pytest.mark.parametrize("story", ANSWERS)
def test_rlm_show_adds_up_to_the_log_of_the_endpoint(story: str, sums: dict[str, Sums]) -> None:
    run = sums[story]
    assert run.ours == run.told
    assert run.ours["requests"] == len(run.log)


@pytest.mark.parametrize("story", ANSWERS)
def test_the_nodes_of_a_tree_add_up_to_its_total(story: str, sums: dict[str, Sums]) -> None:
    run = sums[story]
    assert run.of_nodes == run.ours
    assert run.shown["nodes"][0]["total"] == run.shown["usage"]


@pytest.mark.parametrize("story", ANSWERS)
def test_the_result_says_the_same_as_the_record(story: str, sums: dict[str, Sums]) -> None:
    run = sums[story]
    assert {name: getattr(run.result.usage, name) for name in run.ours} == run.ours
    assert run.shown["sealed"]
    assert run.shown["problems"] == []


@pytest.mark.parametrize("story", ANSWERS)
def test_no_reply_is_lost(story: str, sums: dict[str, Sums]) -> None:
    """Every cell compares each reply with its prompt and answers with how many were right."""
    run = sums[story]
    assert (run.result.status, run.result.response) == ("answered", ANSWERS[story])


def test_every_kind_of_fault_was_met(sums: dict[str, Sums]) -> None:
    for story in ("batches", "many", "tree"):
        assert set(sums[story].faults) == {"429", "500", "cut"}, story
    cut = [e for e in sums["tree"].log if e.stream and e.usage and e.request["stream"]]
    assert len(cut) > sums["tree"].shown["turns"], "no cut stream had reported what it used"


def test_the_stories_are_those_that_were_to_be_told(sums: dict[str, Sums]) -> None:
    turns, calls = ("turns", "calls")
    shown = {story: run.shown for story, run in sums.items()}
    assert (shown["batches"][turns], shown["batches"][calls]) == (3, 200)
    assert (shown["many"][turns], shown["many"][calls]) == (1, 2000)
    assert [node["depth"] for node in shown["tree"]["nodes"]].count(1) == 3
    assert [node["depth"] for node in shown["tree"]["nodes"]].count(2) == 9
