"""The page of a run: whole, harmless, and alone on the file system."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from asking import ask, block, script
from hostile import HOSTILE, HUGE, hostile_run
from longruns import LAST, journal_of, long_run, record
from stories import HOSTILE as ODD
from stories import call, cell, context_set, replied, run_started, started, story

from rlm_kernel import cli
from rlm_kernel.errors import RecordError, UsageError
from rlm_kernel.events import CallEnded, Event, NodeEnded, to_dict
from rlm_kernel.record.equality import canonical
from rlm_kernel.record.recording import Recording
from rlm_kernel.reports import export, provenance_of
from rlm_kernel.reports.export.markup import visible
from rlm_kernel.reports.export.texts import folded, prose, terminal
from rlm_kernel.reports.export.timeline import timeline

KEY = "sk-canary-of-the-export"


class Page(HTMLParser):
    """The elements of a page, with what a browser would run, fetch or follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._in: str | None = None
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = tag if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in is None:
            self.words.append(data)
        elif self.elements[-1][1].get("class") != "calls":
            self.scripts[self._in] = self.scripts.get(self._in, "") + data

    def attributes(self, name: str) -> list[str]:
        return [str(about[name]) for _, about in self.elements if name in about]

    @property
    def shown(self) -> str:
        return "".join(self.words)

    @property
    def calls(self) -> list[dict[str, Any]]:
        blocks = re.findall(r'class="calls">([^<]*)</script>', self.text)
        return [
            row for data in blocks for row in json.loads(gzip.decompress(base64.b64decode(data)))
        ]


def exported(path: Path) -> Page:
    read = Recording.open(path)
    return Page(export.page(read, provenance_of.find(read)))


def of(events: list[Event], folder: Path) -> Page:
    return exported(journal_of(events, folder / "run"))


def test_a_run_is_told_from_the_question_to_the_last_node(tmp_path: Path) -> None:
    page = of(story(), tmp_path)
    for text in ("How many of the reviews are positive?", "17 of 24 reviews are positive."):
        assert text in page.shown
    for text in ("I look at each review.", "Turn 2", "Node 0.1", "out of memory", "by hand"):
        assert text in page.shown.replace("\n", "")
    assert "replies = llm_query_batched(prompts)" in page.shown
    assert [row["child"] for row in page.calls].count("0.1") == 1


def test_every_prompt_and_reply_is_in_the_data_in_the_order_of_asking(tmp_path: Path) -> None:
    events = list(long_run(turns=30, each=40))
    page = of(events, tmp_path)
    asked = [event for event in events if isinstance(event, CallEnded)]
    assert [(row["prompt"], row["reply"]) for row in page.calls] == [
        (event.prompt, event.reply) for event in asked
    ]
    assert page.calls[-1]["prompt"] == LAST


def test_the_policy_lets_in_the_pages_own_script_and_style_only(tmp_path: Path) -> None:
    page = of(story(), tmp_path)
    [policy] = [
        str(about["content"])
        for tag, about in page.elements
        if tag == "meta" and "http-equiv" in about
    ]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.scripts[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("events", [story(), hostile_run()], ids=["story", "hostile"])
def test_nothing_of_a_run_becomes_script_link_or_address(
    events: list[Event], tmp_path: Path
) -> None:
    page = of(events, tmp_path)
    names = {name for _, about in page.elements for name in about}
    assert not [name for name in names if name.startswith("on") or name in ("style", "srcset")]
    assert all(address.startswith("#") for address in page.attributes("href"))
    assert all(address.startswith("data:image/") for address in page.attributes("src"))
    tags = [tag for tag, _ in page.elements]
    assert not set(tags) & {"iframe", "object", "embed", "form", "base", "link", "textarea"}
    assert (tags.count("style"), tags.count("title") >= 1) == (1, True)
    ran = [about for tag, about in page.elements if tag == "script" and "type" not in about]
    assert len(ran) == 1


def test_what_is_hidden_in_a_text_is_shown(tmp_path: Path) -> None:
    assert visible("a\u202eb\x00c\td\n") == "a⟨U+202E⟩b␀c\td\n"
    page = of(hostile_run(), tmp_path)
    assert not set(page.text) & set("\x00\x07\u202e\u2066\u2028\ud800")


def test_a_text_of_any_size_is_cut_in_the_page_and_said(tmp_path: Path) -> None:
    page = of(hostile_run(), tmp_path)
    assert HUGE not in page.text
    assert "300,000 characters" in page.text
    assert len(page.text) < 3_000_000


def test_long_output_is_folded_after_its_beginning() -> None:
    made = folded("\n".join(f"line {n}" for n in range(500)))
    head, rest = made.split("<details", 1)
    assert "line 11" in head
    assert "line 12" not in head
    assert "Show 488 more lines" in rest
    assert "line 499" in rest
    assert "<details" not in folded("short")


def test_a_terminals_colours_become_classes() -> None:
    text = "\x1b[1;31mValueError\x1b[0m: <b>\x1b[38;5;28m x\x1b[0m\rover"
    assert terminal("a\x1b[0;32m>1\x1b[0m") == 'a<span class="a2">&gt;1</span>'
    assert terminal(text) == "over"
    assert terminal(text.replace("\r", "\n")).startswith(
        '<span class="ab a1">ValueError</span>: &lt;'
    )


def test_prose_keeps_its_form_and_its_addresses_as_text() -> None:
    made = prose("# Head\n\n* **a** [b](http://c.test/?x=1&y)\n\n| x |\n| - |\n| `1` |")
    assert "<h6>Head</h6>" in made
    assert "<strong>a</strong> b (http://c.test/?x=1&amp;y)" in made
    assert "<td><code>1</code></td>" in made


def test_pictures_and_tables_are_shown(tmp_path: Path) -> None:
    table = '<table class="dataframe" style="color:red"><tr><td>3</td></tr></table>'
    outputs = [
        {"output_type": "display_data", "data": {"image/png": "aGk="}, "metadata": {}},
        {"output_type": "execute_result", "data": {"text/html": table, "text/plain": "3"}},
    ]
    page = of([run_started(), started("0"), cell("0", 1, outputs=outputs)], tmp_path)
    assert "data:image/png;base64,aGk=" in page.attributes("src")
    assert '<table class="dataframe"><tbody><tr><td>3</td>' in page.text


def test_an_unfinished_run_says_that_it_is_one(tmp_path: Path) -> None:
    page = of(story()[:9], tmp_path)
    assert "running" in page.shown
    assert "No answer" in page.shown


def test_a_notebook_alone_tells_what_it_has(tmp_path: Path) -> None:
    folder = record(story(), tmp_path / "run")
    alone = tmp_path / "sent.ipynb"
    alone.write_bytes((folder / "trajectory.ipynb").read_bytes())
    page = exported(alone)
    assert "Made from a notebook alone" in page.shown
    assert "I look at each review." in page.shown.replace("\n", "")
    assert "replies = llm_query_batched(prompts)" in page.shown
    assert len(page.calls) == 26
    assert {row["prompt"] for row in page.calls} == {""}


def test_a_childs_notebook_gives_its_own_page(tmp_path: Path) -> None:
    folder = record(story(), tmp_path / "run")
    page = exported(folder / "calls" / "0.1.ipynb")
    assert "replies = llm_query_batched(prompts)" not in page.shown
    assert visible(ODD.splitlines()[1]) in page.shown


@pytest.mark.parametrize(
    "bad",
    [
        {**to_dict(replied("0", 3, "x")), "text": ["<script>"]},
        {**to_dict(cell("0", 9)), "seconds": 1e300},
        {**to_dict(cell("0", 9)), "author": "nobody"},
    ],
)
def test_a_record_whose_events_are_not_what_they_should_be_is_refused(
    tmp_path: Path, bad: dict[str, Any]
) -> None:
    folder = record(story(), tmp_path / "run")
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write(f'{{"seal": "{"0" * 32}", "event": {canonical(bad)}}}\n')
    with pytest.raises(RecordError, match=r"is damaged: line 46 .* its field"):
        provenance_of.find(Recording.open(folder))


def test_a_damaged_notebook_is_told_in_one_sentence(tmp_path: Path) -> None:
    folder = record(story(), tmp_path / "run")
    made = json.loads((folder / "trajectory.ipynb").read_text())
    made["metadata"]["rlm"]["calls"][0]["index"] = "<script>"
    (tmp_path / "bad.ipynb").write_text(json.dumps(made))
    with pytest.raises(RecordError, match="damaged"):
        Recording.open(tmp_path / "bad.ipynb")


def test_a_blob_that_a_notebook_names_is_read_from_its_folder_only(tmp_path: Path) -> None:
    folder = record(story(), tmp_path / "run")
    (tmp_path / "secret").write_text("the secret")
    made = json.loads((folder / "trajectory.ipynb").read_text())
    made["metadata"]["rlm"]["calls"][0]["reply"] = {"$blob": "../secret", "chars": 10}
    (folder / "journal.jsonl").unlink()
    (folder / "trajectory.ipynb").write_text(json.dumps(made))
    (folder / "blobs").mkdir(exist_ok=True)
    assert "the secret" not in json.dumps(exported(folder).calls)


def test_no_key_and_no_path_of_the_machine_is_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    lm = script("n = len(context)\nx = llm_query('a question')\nprint(x)", "FINAL_VAR(x)")
    text = tmp_path / "context.txt"
    text.write_text("a text " * 2000)
    result = ask(lm, tmp_path / "run", text)
    page = exported(result.trajectory.parent)
    everything = page.text + json.dumps(page.calls)
    assert "a question" in everything
    assert "context.txt" in everything
    assert KEY not in everything
    assert str(tmp_path) not in everything


def test_the_drawing_of_a_timeline_does_not_grow_with_the_calls() -> None:
    small, large = timeline(long_run(20, 5)), timeline(long_run(400, 20))
    assert small is not None
    assert small.count("<rect") >= 140
    assert large is not None
    assert large.count("<rect") + large.count("<path") < 20
    assert len(large) < 50_000
    assert "at most" in large


def test_calls_that_wait_to_be_sent_are_not_drawn_as_under_way() -> None:
    limited = run_started(settings={"limits": {"in_flight": 4}})
    batch = [
        call("0", n, count=20, started=10.0, seconds=1.0 + n // 4, child=None) for n in range(20)
    ]
    for first, peak in ((limited, 4), (run_started(), 20)):
        drawn = timeline([first, started("0"), replied("0", 1, "x"), *batch])
        assert f"20 sub-calls, at most {peak} at once" in str(drawn)


def test_headings_leave_no_level_out_and_a_turn_names_its_cells(tmp_path: Path) -> None:
    page = of(story(), tmp_path)
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", page.text)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert "Turn 2 · cells 2–3 · ok" not in page.shown
    for text in ("Turn 1 · cell 1", "Turn 2 · cell 2 · died"):
        assert text in page.shown


def test_children_without_an_answer_are_told_beside_the_status(tmp_path: Path) -> None:
    limit = NodeEnded("0.2", "limit", None, False, "turns", 14.0)
    page = of([*story()[:-2], started("0.10"), started("0.2"), limit, *story()[-2:]], tmp_path)
    assert "1 of 2 children without an answer (1 limit)" in page.shown
    rows = re.findall(r'href="#node-([0-9.]+)"', page.text.partition('class="nodes"')[2])
    assert rows[:4] == ["0", "0.1", "0.2", "0.10"]


def test_times_that_cannot_be_and_idle_children_do_not_stop_the_page(tmp_path: Path) -> None:
    odd = [cell("0", n, time=n + 9.0, seconds=0.0 if n % 2 else 5e8) for n in range(1, 400)]
    children = [started(f"0.{n}") for n in range(1, 41)]
    page = of([run_started(), started("0"), *children, *odd], tmp_path)
    assert "+17" in page.shown


def test_a_run_with_no_cells_has_a_page(tmp_path: Path) -> None:
    ended = NodeEnded("0", "failed", None, False, "no LM", 11.0)
    page = of([run_started(), started("0"), ended], tmp_path)
    assert "no LM" in page.shown


def test_a_record_of_a_humans_cells_has_a_page(tmp_path: Path) -> None:
    ended = NodeEnded("0", "interrupted", None, False, "the session ended", 18.0)
    by_hand = started("0", context=None, question="", model="")
    ran = cell("0", 1, turn=0, author="human")
    page = of([run_started(question=""), by_hand, context_set(), ran, ended], tmp_path)
    assert page.shown.count("By hand") == 1
    assert "notes.txt" in page.shown


# -- the command ----------------------------------------------------------------------------------
def test_the_command_writes_over_an_export_and_over_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = record(story(), tmp_path / "run"), tmp_path / "run.html"
    command = ["export", str(folder), "-o", str(target)]
    assert cli.main(command) == 0
    first = target.read_bytes()
    assert cli.main(command) == 0
    assert target.read_bytes() == first
    target.write_text("my own page")
    assert cli.main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert target.read_text() == "my own page"
    assert cli.main([*command, "--force"]) == 0
    assert target.read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.html"]


def test_the_page_is_named_after_the_run_where_no_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = record(story(), tmp_path / "my-run")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(folder)]) == 0
    assert (tmp_path / "my-run.html").exists()


def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        export.write("x", tmp_path / "missing" / "a.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        export.write("x", tmp_path / "folder.html", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_why_prints_the_way_back_in_a_few_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = journal_of(long_run(50, 30), tmp_path / "run")
    assert cli.main(["why", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "cell 51 turn 50 · gave the answer" in said
    assert "and 22 more sub-calls" in said
    assert "and 43 more cells" in said
    assert len(said.splitlines()) < 100


def test_why_gives_everything_to_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "\n".join(f"Review {n}: the heater number {n * 37} is good." for n in range(400))
    prompts = "['Is it good? ' + x for x in context.splitlines()[10:13]]"
    ask_all = f"r = llm_query_batched({prompts})"
    lm = script(ask_all, block("FINAL_VAR(r[1])"), sub=lambda prompt: f"yes, {prompt[-20:]}")
    result = ask(lm, tmp_path / "run", text)
    assert cli.main(["why", str(result.trajectory), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    [node] = said["nodes"]
    assert [step["cell"] for step in node["steps"]] == [2, 1]
    assert [made["stands_in_the_answer"] for made in node["calls"]] == [False, True, False]
    [given] = node["calls"][1]["given"]
    line = text.splitlines()[11]
    assert text[given["start"] : given["end"]] == line
    assert sum(span["end"] - span["start"] for span in said["context"]["spans"]) == pytest.approx(
        3 * len(line), abs=4
    )
    assert said["context"]["spans"][0]["first_line"] == 11


@pytest.mark.parametrize(
    ("context", "where"),
    [
        (["nothing", "The second item tells of a whale."], "[1]"),
        ({"a": {"b": "The second item tells of a whale."}}, "a.b"),
    ],
)
def test_parts_of_lists_and_dicts_are_named(context: Any, where: str, tmp_path: Path) -> None:
    prompt = "The second item tells of a whale."
    lm = script(f"n = len(context)\nx = llm_query({prompt!r})\nFINAL_VAR(x)")
    found = provenance_of.find(Recording.open(ask(lm, tmp_path / "run", context).trajectory))
    assert found.covered is not None
    assert [span.where for span in found.covered.spans] == [where]


def test_a_part_of_a_folder_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "notes" / "b").mkdir(parents=True)
    (tmp_path / "notes" / "b" / "c.txt").write_text(
        "One.\nA note about the blue whale and its song."
    )
    ask_it = "x = llm_query('Say: A note about the blue whale and its song.')"
    lm = script(f"n = len(context)\n{ask_it}\nFINAL_VAR(x)")
    found = provenance_of.find(
        Recording.open(ask(lm, tmp_path / "run", tmp_path / "notes").trajectory)
    )
    assert found.covered is not None
    assert [(s.where, s.first_line) for s in found.covered.spans] == [("b/c.txt", 2)]


def test_a_context_that_would_have_to_be_unpickled_is_not_opened(tmp_path: Path) -> None:
    lm = script("n = len(context)\nx = llm_query('hello')\nFINAL_VAR(x)")
    found = provenance_of.find(Recording.open(ask(lm, tmp_path / "run", {1, 2}).trajectory))
    assert found.covered is None
    assert "not opened" in str(found.unknown)


def test_hostile_texts_stay_text_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = journal_of(hostile_run(), tmp_path / "run")
    assert cli.main(["why", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\x00" not in said
    assert HOSTILE.splitlines()[0][:20] in said
