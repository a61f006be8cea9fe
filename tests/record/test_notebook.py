"""The view: valid at every moment, and nothing that an LM wrote can change its form."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from stories import (
    HOSTILE,
    OUTPUTS,
    call,
    cell,
    context_set,
    lived_in,
    prompted,
    replied,
    run_started,
    started,
    story,
)

from rlm_kernel.errors import RecordError
from rlm_kernel.events import CellRan, Event, NodeEnded, Replied
from rlm_kernel.record.equality import digest
from rlm_kernel.record.markdown import details, fenced, inert, literal, quote, shorten, table
from rlm_kernel.record.notebooks import ipynb, metadata, pages
from rlm_kernel.record.notebooks.events import events_of
from rlm_kernel.record.notebooks.metadata import NotebookContext
from rlm_kernel.record.notebooks.notebook import build
from rlm_kernel.record.notebooks.prose import reminders, without_blocks
from rlm_kernel.record.packing import LONGEST, unpack
from rlm_kernel.record.summary import summarise

SCHEMA = json.loads(
    (files("rlm_kernel") / "record" / "schema" / f"trajectory-{metadata.SCHEMA}.json").read_text()
)


def view(events: list[Event], node: str = "0", **place: Any) -> nbformat.NotebookNode:
    own = [event for event in events if getattr(event, "node", None) == node]
    nodes = summarise(events).below(node)
    made = build(own, NotebookContext(**({"run": run_started(), "nodes": nodes} | place)))
    as_node: nbformat.NotebookNode = nbformat.from_dict(made)
    return as_node


def source(notebook: nbformat.NotebookNode, part: str) -> str:
    (found,) = [c.source for c in notebook.cells if c.id.endswith(part)]
    return str(found)


def names(notebook: nbformat.NotebookNode) -> list[str]:
    return [c.id for c in notebook.cells]


@pytest.mark.parametrize(("events", "node"), [(story(), "0"), (story(), "0.1"), (lived_in(), "0")])
def test_every_beginning_of_a_run_is_a_valid_notebook(events: list[Event], node: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    check = jsonschema.Draft202012Validator(SCHEMA)
    for size in range(len(events) + 1):
        made = view(events[:size], node)
        nbformat.validate(made)
        assert nbformat.reads(ipynb.dumps(made).decode(), as_version=4) == made
        if made.cells:
            check.validate(json.loads(json.dumps(made.metadata.rlm)))


def test_tools_stand_before_the_first_cell_and_in_the_metadata() -> None:
    module = {"name": "a", "source": "def f(): ...\n" + HOSTILE, "tools": {"f": "f"}, "needs": {}}
    run = run_started(settings={"tools": ["f", "g"], "tool_modules": [module]})
    made = view(story(), run=run)
    nbformat.validate(made)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(made.metadata.rlm)))
    assert names(made)[:4] == ["n0-header", "n0-answer", "n0-context", "n0-tools"]
    assert "<script" not in re.sub("`{4}python.*?`{4}", "", source(made, "tools"), flags=re.DOTALL)
    kept = unpack(made.metadata.rlm, lambda name, chars: "")["settings"]
    assert kept == run.settings


def test_the_cells_tell_the_run_in_its_order() -> None:
    assert names(view(story())) == [
        "n0-header",
        "n0-answer",
        "n0-context",
        "n0-parameters",
        "n0-replay",
        "n0-turn-1",
        "n0-cell-1",
        "n0-cell-1-calls",
        "n0-cell-1-notices",
        "n0-turn-2-reminder",
        "n0-turn-2",
        "n0-cell-2",
        "n0-cell-2-calls",
        "n0-cell-2-notices",
        "n0-cell-2-restart",
        "n0-cell-3-author",
        "n0-cell-3",
        "n0-totals",
        "n0-verdict",
    ]


def test_it_opens_with_the_rlm_kernel_and_asks_for_replay_and_verdict() -> None:
    made = view(story())
    assert made.metadata.kernelspec.name == "rlm"
    code = [c for c in made.cells if c.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"]
    assert code[0].source.endswith("context_path = None")
    assert code[1].source == "%rlm replay --run=reviews --node=0"
    assert code[-1].source == "%rlm verdict"


def test_a_childs_replay_names_it_and_takes_no_other_input() -> None:
    run = run_started(run="the 'first'")
    events = [event for event in story() if getattr(event, "node", "") == "0.1"]
    cells = build(events, NotebookContext(run=run))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert shlex.split(code[0]) == ["%rlm", "replay", "--run=the 'first'", "--node=0.1"]


def test_what_ran_before_the_question_stands_before_the_first_turn() -> None:
    made = view(lived_in())
    assert names(made) == [
        "n0-header",
        "n0-answer",
        "n0-context",
        "n0-parameters",
        "n0-replay",
        "n0-prelude",
        "n0-context-set",
        "n0-cell-1",
        "n0-cell-2-author",
        "n0-cell-2",
        "n0-cell-2-calls",
        "n0-context-set-2",
        "n0-cell-3-author",
        "n0-cell-3",
        "n0-turn-1",
        "n0-cell-4",
        "n0-cell-4-calls",
        "n0-totals",
        "n0-verdict",
    ]
    assert source(made, "cell-2-author") == "### Written by the LM, earlier"
    assert source(made, "cell-3-author") == "### Written by the human"
    assert source(made, "prelude") == "## Before the question"
    assert "**Context** was set here · str" in source(made, "context-set")
    assert "notes.txt" in source(made, "context-set")
    assert "variable <code>n</code>" in source(made, "context-set-2")
    authors = [c.metadata.rlm.author for c in made.cells if "rlm" in c.metadata]
    assert authors == ["human", "lm", "human", "lm"]
    assert "2 sub-calls to qwen2.5-0.5b · 0.5 s" in source(made, "cell-2-calls")


def test_the_metadata_says_before_which_cell_a_context_was_set() -> None:
    rows = view([*lived_in(), context_set(17.0)]).metadata.rlm.contexts
    assert [row.before for row in rows] == [1, 3, None]
    assert rows[1].context.spec.variable == "n"
    assert "contexts" not in view(story()).metadata.rlm


def test_a_record_of_a_humans_cells_needs_no_question_and_no_context() -> None:
    ended = NodeEnded("0", "interrupted", None, False, "the session ended", 18.0)
    by_hand = started("0", context=None, question="", model="")
    made = view([by_hand, context_set(), cell("0", 1, turn=0, author="human"), ended])
    nbformat.validate(made)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(made.metadata.rlm)))
    assert source(made, "header").startswith("# RLM\n\n**interrupted** · 0 turns")
    assert names(made) == [
        "n0-header",
        "n0-parameters",
        "n0-replay",
        "n0-context-set",
        "n0-cell-1",
        "n0-totals",
        "n0-verdict",
    ]


def test_prose_loses_its_executed_block_and_keeps_its_markdown() -> None:
    text = source(view(story()), "turn-1")
    assert text == (
        "## Turn 1 · cell 1 · I look at each review. · 24 sub-calls · ok\n\n"
        "I look at **each** review.\n\nThen I count."
    )


def test_a_cell_has_its_real_outputs_and_its_facts() -> None:
    made = view(story())
    ran = next(e for e in story() if isinstance(e, CellRan) and e.node == "0" and e.cell == 2)
    (shown,) = [c for c in made.cells if c.id == "n0-cell-2"]
    assert shown.metadata.tags == ["raises-exception"]
    assert shown.metadata.rlm.author == "lm"
    assert shown.metadata.rlm.digest == digest(ran.outputs)
    assert [o.output_type for o in shown.outputs] == [
        "stream",
        "display_data",
        "execute_result",
        "error",
        "stream",
    ]
    assert shown.outputs[3].evalue == "\ufffd"


def test_sub_calls_are_one_line_that_opens() -> None:
    text = source(view(story()), "cell-1-calls")
    summary = "24 sub-calls to qwen2.5-0.5b · 2,676 tokens in, 276 out · $27.60 (12 requests"
    assert text.startswith(f"<details><summary>{summary}")
    assert text.count("\n| ") == 2 + 20
    assert "and 4 more" in text


def test_a_child_and_its_parent_are_linked_both_ways() -> None:
    root, child = view(story()), view(story(), "0.1")
    assert "[0.1](calls/0.1.ipynb)" in source(root, "header")
    assert "[0.1](calls/0.1.ipynb)" in source(root, "cell-2-calls")
    assert "[0](../trajectory.ipynb)" in source(child, "header")
    deep = [started("0"), started("0.1"), started("0.1.3")]
    assert "[0.1](0.1.ipynb)" in source(view(deep, "0.1.3"), "header")
    assert "[0.1.3](0.1.3.ipynb)" in source(view(deep, "0.1"), "header")


def test_the_answer_says_whether_it_is_confirmed() -> None:
    def answer(*end: Any) -> str:
        return source(view([started("0"), NodeEnded("0", *end, 11.0)]), "answer")

    assert answer("answered", "42", True, None).startswith("## Answer\n\n42")
    assert answer("limit", "41", False, "turns").startswith(
        "## Unconfirmed answer\n\nthe best so far"
    )
    assert answer("failed", None, False, "the LM is down") == "## No answer\n\nthe LM is down"


def test_an_ended_run_says_where_its_answer_came_from_with_links() -> None:
    ask = "found = [rlm_query('x'), llm_query('y')]"
    events = [
        started("0"),
        replied("0", 1, f"```python\n{ask}\n```"),
        call("0", 0, op="rlm_query", child="0.1"),
        call("0", 0, call=2),
        cell("0", 1, source=ask),
        replied("0", 2, "I am done.\n\n```python\nFINAL_VAR(found)\n```"),
        cell("0", 2, turn=2, source="FINAL_VAR(found)", answer="['a', 'b']"),
    ]
    ended = NodeEnded("0", "answered", "['a', 'b']", True, None, 18.0)
    way = source(view([*events, ended]), "answer").split("\n\n")[-1]
    assert way == (
        "**Where it came from** · [cell 2](#cell-id=n0-cell-2) ← "
        "[cell 1](#cell-id=n0-cell-1) "
        "(<code>found</code>; 2 sub-calls; node [0.1](calls/0.1.ipynb))"
    )
    assert {"n0-cell-1", "n0-cell-2"} <= set(names(view(events)))
    assert source(view(events), "turn-1") == (
        f"## Turn 1 · cell 1 · {literal(ask[:31])}… · 2 sub-calls · ok"
    )
    assert not [c for c in view(events).cells if c.id.endswith("answer")]


def test_every_turn_is_in_the_outline_and_no_level_is_left_out() -> None:
    for events in (story(), lived_in()):
        marks = [c.source.split(" ")[0] for c in view(events).cells if c.source.startswith("#")]
        levels = [len(mark) for mark in marks if set(mark) == {"#"}]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert max(levels) <= 4  # of deeper ones JupyterLab makes no entries
    heads = [c.source.split("\n")[0] for c in view(story()).cells if "## Turn" in c.source]
    assert [head.split(" · ")[-1] for head in heads] == ["ok", "**died**"]
    assert not source(view(story()[:4]), "turn-1").split("\n")[0].endswith("cell")


def test_what_a_replay_needs_is_folded_and_a_cell_has_one_number() -> None:
    made = view([*story()[:-2], cell("0", 7, turn=2, execution_count=19, outputs=[OUTPUTS[2]])])
    code = [c for c in made.cells if c.cell_type == "code"]
    hidden = [c.metadata.get("jupyter", {}).get("source_hidden", False) for c in code]
    assert hidden == [True, True, *[False] * (len(code) - 2)]
    (ran,) = [c for c in code if c.id == "n0-cell-7"]
    assert (ran.execution_count, ran.outputs[0].execution_count) == (7, 7)
    assert "cells 2, 7" in source(view([*story()[:-2], cell("0", 7, turn=2)]), "turn-2")


def test_the_ends_of_children_are_told_at_the_top() -> None:
    ends = [NodeEnded("0.1", "limit", None, False, None, 1.0), *story()[-2:]]
    text = source(view([started("0"), started("0.1"), started("0.2"), *ends]), "header")
    assert "**1 of 1 child without an answer (1 limit).**" in text
    assert "without an answer" not in source(view(story()), "header")


def test_totals_are_in_the_order_of_the_nodes_and_their_sum_says_how_they_ended() -> None:
    nodes = [started("0"), started("0.10"), started("0.2"), story()[-2]]
    rows = source(view(nodes), "totals").splitlines()[4:]
    assert [re.findall(r"\[(.*)\]", row) for row in rows] == [["0"], ["0.2"], ["0.10"], []]
    assert rows[-1].startswith("| **all** | 1 answered, 2 running |")
    header = source(view(nodes), "header").partition("children: ")[2]
    assert re.findall(r"\[(.*?)\]", header) == ["0.2", "0.10"]


def test_a_question_and_a_title_from_right_to_left_are_isolated() -> None:
    events = [started("0", question="מה?"), replied("0", 1, "אני בודק.\n```\nx\n```"), cell("0", 1)]
    ended = NodeEnded("0", "answered", "שלום", True, None, 18.0)
    made = view([*events, ended])
    assert source(made, "header").startswith("# \u2068מה?\u2069\n")
    assert "· \u2068אני בודק.\u2069 · ok" in source(made, "turn-1")
    assert '<div dir="auto">\n\nשלום\n\n</div>' in source(made, "answer")


def test_a_picture_says_what_it_shows() -> None:
    data = {"image/png": "aGk=", "text/plain": "<Figure>"}
    shown = {"output_type": "display_data", "data": data, "metadata": {"image/png": {"width": 9.0}}}
    code = "import x\nax.set_title('Tickets by day')"
    (made,) = [
        c.outputs[0].metadata
        for c in view([started("0"), cell("0", 1, source=code, outputs=[shown])]).cells
        if c.id == "n0-cell-1"
    ]
    assert made["image/png"] == {"alt": "Figure: Tickets by day", "width": 9}
    assert isinstance(made["image/png"]["width"], int)


def test_whole_numbers_are_integers_as_a_browser_saves_them() -> None:
    run = run_started(settings={"limits": {"seconds": 3600.0, "cost": 0.5}})
    made = view([*story()[:-2], call("0", 9, cell=3, call=9, reply=20.0)], run=run)
    about = made.metadata.rlm
    assert str(about.settings.limits.seconds) == "3600"
    assert about.settings.limits.cost == 0.5
    assert str(about.calls[-1].reply) == "20.0"  # a replay may print it
    about.pop("calls")
    floats = re.findall(r"[\d.e+]+", re.sub(r'"[^"]*"', "", json.dumps(made)))
    assert not [number for number in floats if number.endswith(".0")]


def test_turns_of_older_notebooks_are_read_too(tmp_path: Path) -> None:
    new = view(story())
    old = json.loads(json.dumps(new))
    for each in old["cells"]:
        each["source"] = re.sub(r"^## (Turn \d+) ·.*", r"###### \1", each["source"])
    for made in (new, old):
        path = tmp_path / "trajectory.ipynb"
        path.write_bytes(ipynb.dumps(made))
        said = [e.text for e in events_of(pages.load(path))[0] if isinstance(e, Replied)]
        assert said == ["I look at **each** review.\n\nThen I count.", ""]


def test_calls_of_a_running_cell_are_shown_already() -> None:
    made = view([started("0"), call("0", 0)])
    assert "1 sub-call" in source(made, "cell-1-calls")


def test_what_the_lm_was_told_beside_its_output_is_quoted() -> None:
    text = source(view(story()), "turn-2-reminder")
    assert "Finish with FINAL_VAR" in text.replace("&#95;", "_")
    assert "loaded already" not in text
    assert "no Python block" in source(view(story(), "0.1"), "turn-2-reminder")


def test_reminders_are_what_follows_the_output() -> None:
    ran = cell("0", 1, outputs=[{"output_type": "stream", "text": "a\n\nb\n\nc"}], notices=["n"])
    message = prompted("0", 2, "Output:\na\n\nb\n\nc\n\nn\n\nGo on.").messages
    assert reminders(message, [ran]) == ["Go on."]
    assert reminders(message[:0], [ran]) == []


@pytest.mark.parametrize(
    ("reply", "left"),
    [
        ("a\n```python\nx\n```\nexplain x", "a\n\nexplain x"),
        ("x", ""),
        ("```\nx", ""),
        ("~~~py\n\nx\n\n~~~", ""),
        ("no block of explain x", "no block of explain x"),
        ("```python\nx\n```\n```python\ny\n```", "```python\ny\n```"),
    ],
)
def test_only_executed_blocks_are_taken_out(reply: str, left: str) -> None:
    assert without_blocks(reply, ["x\n"]) == left


def test_the_metadata_has_all_that_a_replay_of_the_node_needs() -> None:
    about = view(story()).metadata.rlm
    assert about.calls[24].child == "0.1"
    assert unpack(about.calls[24].reply, lambda name, chars: "") == HOSTILE
    assert about.calls[25].error == {"type": "LMError", "message": "down"}
    assert "prompt" not in about.calls[0]
    assert [c.author for c in about.cells] == ["lm", "lm", "human"]
    assert about.restarts == [
        {"cell": 2, "reason": "out of memory", "lost": ["replies", "prompts"]}
    ]
    assert [row.node for row in about.tree] == ["0.1"]


def test_a_long_reply_is_referred_to_only_where_a_folder_goes_along() -> None:
    events: list[Event] = [started("0"), call("0", 0, reply="x" * (LONGEST + 1))]
    assert view(events).metadata.rlm.calls[0].reply == "x" * (LONGEST + 1)
    assert view(events, folder=True).metadata.rlm.calls[0].reply.chars == LONGEST + 1


def test_the_seal_of_the_record_is_noted() -> None:
    assert view(story()).metadata.rlm.record is None
    assert view(story(), seal="a" * 64).metadata.rlm.record.path == "journal.jsonl"
    assert view(story(), "0.1", seal="a" * 64).metadata.rlm.record.path == "../journal.jsonl"


def test_the_file_is_byte_for_byte_what_nbformat_writes() -> None:
    data = {"text/plain": "a\nb", "text/html": "<b>\n</b>", "application/json": {"a": ["b"]}}
    picture = {"image/svg+xml": "<svg>\n</svg>", "image/png": "aGk=\n", "application/x+json": ["c"]}
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "one\r\ntwo\u2028three"},
        {"output_type": "display_data", "data": data, "metadata": {}},
        {"output_type": "execute_result", "data": picture, "metadata": {}, "execution_count": 1},
    ]
    made = view([*story(), cell("0", 9, source="x = 1\n\ny = 2", outputs=outputs)])
    written = nbformat.writes(made)
    assert ipynb.dumps(made).decode() == written + "\n"
    assert ipynb.loads(ipynb.dumps(made)) == nbformat.reads(written, as_version=4)


@pytest.mark.parametrize(
    "harm",
    [
        lambda made: made["cells"][0].pop("metadata"),
        lambda made: made["cells"][0].update(id="no good id"),
        lambda made: made["cells"][0].update(id=made["cells"][1]["id"]),
        lambda made: made.update(metadata=[]),
    ],
)
def test_a_notebook_that_its_format_does_not_allow_is_refused(harm: Any) -> None:
    made = view(story())
    ipynb.check(made, Path("a.ipynb"))
    harm(made)
    with pytest.raises(RecordError, match=r"a\.ipynb: not a valid notebook"):
        ipynb.check(made, Path("a.ipynb"))


def test_two_views_of_the_same_events_are_equal_bytes() -> None:
    assert ipynb.dumps(view(story())) == ipynb.dumps(view(story()))


def test_a_lone_surrogate_survives_and_stops_no_other_tool(tmp_path: Path) -> None:
    events: list[Event] = [started("0"), replied("0", 1, "\udfff"), call("0", 0, reply="a\ud800")]
    stream = {"output_type": "stream", "name": "stdout", "text": "\udc80"}
    made = view([*events, cell("0", 1, source="x = '\ud800'", outputs=[stream])])
    path = tmp_path / "trajectory.ipynb"
    path.write_bytes(ipynb.dumps(made))
    read = nbformat.read(path, as_version=4)
    nbformat.write(read, path)  # as JupyterLab saves it; it fails with a lone surrogate anywhere
    reply = nbformat.read(path, as_version=4).metadata.rlm.calls[0].reply
    assert unpack(reply, lambda name, chars: "") == "a\ud800"


def test_a_lone_surrogate_that_others_left_in_a_notebook_survives_our_file() -> None:
    made = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"x": "\ud800"}, "cells": []}
    assert ipynb.loads(ipynb.dumps(made)) == made


def rendered(text: str) -> str:
    """As a viewer that does not sanitise would."""
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


NASTY = st.text(alphabet="`~|<>/!-[]()#*_$\\&;\n\r\t 1.=+scriptdeal\u2028\ud800", max_size=60)


@given(NASTY)
def test_a_fence_cannot_be_ended_from_inside(text: str) -> None:
    tokens = MarkdownIt().parse(fenced(text) + "\n\nafter")
    assert [token.type for token in tokens][:2] == ["fence", "paragraph_open"]


@given(NASTY)
def test_a_quote_is_one_paragraph_of_text(text: str) -> None:
    tokens = [token.type for token in MarkdownIt().parse(quote(text) + "\n\nafter")]
    middle = tokens[1 : tokens.index("blockquote_close")]
    assert middle in (["paragraph_open", "inline", "paragraph_close"], [])
    assert set(re.findall(r"<[a-z]+", rendered(quote(text)))) <= {
        "<blockquote",
        "<p",
        "<br",
        "<code",
    }


@given(NASTY)
def test_a_cell_of_a_table_stays_one_cell(text: str) -> None:
    html = rendered(details("s", table(["a", "b"], [[literal(text), literal(text)]])))
    assert html.count("<td") == 2
    assert set(re.findall(r"<([a-z]+)", html)) <= {
        *("details", "summary", "table", "thead", "tbody", "tr", "th", "td", "code")
    }
    assert html.rstrip().endswith("</details>")


@given(NASTY)
def test_inert_markdown_has_no_html_and_no_image(text: str) -> None:
    for token in MarkdownIt("commonmark", {"html": True}).parse(inert(text)):
        assert token.type != "html_block"
        kinds = {child.type for child in token.children or []}
        assert not kinds & {"html_inline", "image"}


def test_shortened_text_keeps_its_size_and_says_what_was_cut() -> None:
    short = shorten("x" * 1000, 100)
    assert len(short) <= 100
    assert "1,000 characters" in short
    assert shorten("x" * 100, 100) == "x" * 100
