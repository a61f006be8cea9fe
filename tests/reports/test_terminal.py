"""Nothing that is not ours is obeyed by the terminal: each place, on a real pseudo-terminal."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from asking import ask, block, script

import rlm_kernel
from rlm_kernel.kernel.display.card import answer_bundle
from rlm_kernel.record.filters import for_terminal
from rlm_kernel.record.outputs import text_of
from rlm_kernel.reports.terminal import Terminal, print_sentence
from rlm_kernel.testing import FakeEndpoint, Status

SEQUENCES = {
    "clipboard": "\x1b]52;c;aGFja2Vk\x07",
    "link": "\x1b]8;;file:evil\x1b\\here\x1b]8;;\x1b\\",
    "title": "\x1b]0;title\x07\x1b]2;title\x1b\\",
    "DCS": "\x1bP1$q\x1b\\",
    "APC": "\x1b_Gq\x1b\\",
    "PM": "\x1b^pm\x1b\\",
    "SOS": "\x1bXsos\x1b\\",
    "screen": "\x1b[2J\x1b[7A\x1b[3;3H\x1b[?1049h\x1b[6n",
    "colours": "\x1b[5;8mblinking\x1b[0m",
    "single": "\x1bc\x1b7\x1b(0\x1b",
    "C1": "\x9b2J\x9d0;title\x9c\x90q\x9c\x9fq\x9c\x98q\x9c\x8d",
    "bytes of C1": "\udc9b2J\udc9d0;t\udc9c",
    "bidi": "\u202eevil\u202c\u2067evil\u2069",
    "back": "good\b\b\b\bevil\x7f\x0e\x0f\x0b\x0c\x07",
    "overwritten": "good\revil",
}
BAD = "".join(SEQUENCES.values())
TEXT = BAD.encode("utf-8", "replace").decode()
"""Without lone surrogates, which JSON on the wire does not carry."""
NAME = BAD.replace("/", "")
OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[1A|\r(?=\x1b\[(?:1A|2K))|\x1b\[2K|\r+\n")
"""Colours, and how a live display of ours is drawn again."""


def unruly(shown: bytes) -> list[str]:
    """What a terminal would obey or be misled by, but for our own styling."""
    blinking = re.findall(rb"\x1b\[(?:\d*;)*[58](?:;\d*)*m(?=b)", shown)
    rest = OURS.sub(b"", shown).decode("utf-8", "surrogateescape")
    wrong = re.findall(
        "[^\\S\n\t ]|[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\udc80-\udcff]", rest
    )
    return [*map(repr, blinking), *(repr(char) for char in wrong if char not in "\u00a0")]


class Replies:
    """An LM behind an endpoint: ``turns`` one after another, and one reply to all sub-calls."""

    def __init__(self) -> None:
        self.turns: list[Any] = []
        self.sub: Any = "fine"

    def __call__(self, request: dict[str, Any]) -> Any:
        if not request.get("stream"):
            return self.sub
        return self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]


@pytest.fixture
def replies() -> Replies:
    return Replies()


@pytest.fixture
def endpoint(replies: Replies) -> Iterator[FakeEndpoint]:
    with FakeEndpoint(replies) as server:
        yield server


Typed = Callable[..., tuple[int, bytes]]


@pytest.fixture
def typed(endpoint: FakeEndpoint, tmp_path: Path) -> Typed:
    """``rlm`` with these arguments at a terminal: its exit status and all that it showed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RLM_", "OPENAI_"))}
    env |= {"OPENAI_BASE_URL": endpoint.base_url, "OPENAI_API_KEY": "sk-canary", "TERM": "xterm"}
    env |= {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "RLM_RETRIES": "1"}

    def run(*arguments: object, command: tuple[str, ...] = ("-m", "rlm_kernel")) -> Any:
        words = [*command, *map(str, arguments)]
        terminal = pexpect.spawn(
            sys.executable, words, env=env, cwd=str(tmp_path), timeout=90, dimensions=(60, 240)
        )
        shown = terminal.read()
        terminal.close()
        return terminal.exitstatus, shown

    return run


def where(text: str) -> str:
    """The bad text, between marks that say where it stood."""
    return f"«{text}{TEXT}»"


def test_a_live_run_shows_what_is_not_ours_without_what_a_terminal_would_obey(
    typed: Typed, replies: Replies, tmp_path: Path
) -> None:
    path = tmp_path / f"file{NAME}"
    path.write_text("some text")
    source = f"""
print({where("stdout")!r})
import sys; print({where("stderr")!r}, file=sys.stderr)
print(llm_query('x'))
display({{'text/plain': {where("display")!r}}}, raw=True)
display({{'text/markdown': {where("markdown")!r}}}, raw=True)
rlm_query({where("child")!r})
context = {where("notice")!r}
# {where("source").replace(chr(13), "")}
"""
    raising = f"raise type({where('type')!r}, (Exception,), {{}})({where('exception')!r})"
    ending = f"x = {where('answer')!r}\nFINAL_VAR(x)"
    child = block("FINAL_VAR(1)")
    replies.turns = [
        where("prose") + "\n" + block(source),
        child,
        block(raising),
        block("print(1)", ending),
    ]
    replies.sub = where("sub-call")
    status, shown = typed("run", "question" + TEXT, "--context", path, "--model", "model" + TEXT)
    text = shown.decode("utf-8", "replace")
    assert status == 0, text
    assert unruly(shown) == [], text
    places = ("stdout", "stderr", "display", "markdown", "sub-call", "child", "source", "type",
              "exception", "answer", "question", "model")  # fmt: skip
    assert [place for place in places if place not in text] == []


@pytest.mark.parametrize("body", ["error", "page"])
def test_what_an_endpoint_refuses_with_is_not_obeyed(
    typed: Typed, replies: Replies, tmp_path: Path, body: str
) -> None:
    refused = {"error": {"message": where("body"), "code": where("code")}}
    replies.turns = [Status(400, refused if body == "error" else where("body"))]
    replies.sub = replies.turns[0]
    status, shown = typed("run", "What?", "--context", ".", "--out", "run")
    assert (status, unruly(shown)) == (1, []), shown
    assert b"body" in shown
    status, shown = typed("doctor")
    assert (status, unruly(shown)) == (1, []), shown


def test_what_is_written_wrongly_is_shown_and_not_obeyed(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text(f'{{"question": "q", "context": "c", "id": 5}}\n{TEXT}')
    for arguments in (
        ["run", "What?", "--context", ".", "--nonsense" + BAD],
        ["command" + BAD],
        ["run", "What?", "--context", "path" + BAD],
        ["run", "What?", "--context", ".", "--max-turns", "many" + BAD],
        ["batch", "tasks.jsonl", "-o", "results"],
        ["show", "run" + BAD],
    ):
        _, shown = typed(*arguments)
        assert shown
        assert unruly(shown) == [], (arguments, shown)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose every text is bad."""
    lm = script(
        where("prose")
        + "\n"
        + block(f"print({where('stdout')!r})\nx = llm_query({where('prompt')!r})"),
        block(f"raise ValueError({where('exception')!r})"),
        block(f"# {where('source').replace(chr(13), '')}\nx += context[:0]\nFINAL_VAR(x)"),
        sub=lambda prompt: where("reply"),
    )
    result = ask(lm, tmp_path / f"run{NAME}",
                 context=where("context"), question=where("question"))  # fmt: skip
    return result.trajectory.parent


def test_finished_runs_are_shown_without_what_a_terminal_would_obey(
    typed: Typed, run: Path, tmp_path: Path
) -> None:
    other = ask(
        script(block(f"print(len(context), {where('other')!r})", "FINAL_VAR(1)")),
        tmp_path / "other",
    )
    seen = {
        command: typed(command, *paths)
        for command, paths in {
            "show": [run],
            "why": [run],
            "replay": [run],
            "export": [run, "-o", tmp_path / f"page{NAME}"],
            "diff": [run, other.trajectory.parent, "--cells"],
        }.items()
    }
    seen["table"] = typed("show", tmp_path)
    seen["json"] = typed("show", run, "--json")
    assert {name: status for name, (status, _) in seen.items()} == dict.fromkeys(seen, 0) | {
        "diff": 1
    }, seen
    assert {name: unruly(shown) for name, (_, shown) in seen.items()} == {name: [] for name in seen}


def test_a_batch_shows_no_more_than_a_run(typed: Typed, replies: Replies, tmp_path: Path) -> None:
    folder = tmp_path / f"results{NAME}"
    replies.turns = [block(f"print({where('stdout')!r})\nFINAL_VAR({where('answer')!r})")]
    (tmp_path / "tasks.jsonl").write_text('{"question": "q", "context": "c", "id": "\\u001b[2J"}')
    status, shown = typed("batch", "tasks.jsonl", "-o", folder, "--no-notebook")
    assert (status, unruly(shown)) == (0, []), shown
    assert b"results.jsonl" in shown


def test_what_python_itself_writes_meanwhile_is_not_obeyed(
    typed: Typed, replies: Replies, tmp_path: Path
) -> None:
    """Log records, warnings, prints and tracebacks of threads, before and while a run is live."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_rlm_config.py").write_text(f"""
import logging, sys, threading, warnings
BAD = {BAD!r}
def say():
    logging.getLogger("rlm_kernel").warning("record %s", BAD)
    logging.getLogger("elsewhere").error("record %s", BAD)
    warnings.warn("warning" + BAD)
    print("print" + BAD)
    sys.stderr.writelines(["lines" + BAD, BAD + "\\n"])
    raise ValueError("traceback" + BAD)
thread = threading.Thread(target=say)
thread.start()
thread.join()
from rlm_kernel.cli.screen import Screen
usual = Screen.__call__
def called(self, event):
    usual(self, event)
    if type(event).__name__ == "NodeStarted":
        again = threading.Thread(target=say)
        again.start()
        again.join()
Screen.__call__ = called
""")
    replies.turns = [block("FINAL_VAR(1)")]
    status, shown = typed("run", "What?", "--context", ".")
    assert (status, unruly(shown)) == (0, []), shown
    for what in (b"record", b"warning", b"print", b"lines", b"traceback"):
        assert shown.count(what) > 1, (what, shown)


def test_a_line_of_the_kernel_for_its_log_is_not_obeyed(typed: Typed) -> None:
    code = f"from rlm_kernel.kernel.outer import RLMKernel; RLMKernel.say(None, {BAD!r})"
    status, shown = typed(command=("-c", code))
    assert (status, unruly(shown)) == (0, []), shown
    assert shown.startswith(b"[rlm] ")


def test_an_answer_that_is_piped_is_as_it_is(
    endpoint: FakeEndpoint, replies: Replies, typed: Typed, tmp_path: Path
) -> None:
    replies.turns = [block(f"FINAL_VAR({TEXT!r})")]
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-m', 'rlm_kernel', 'run', 'q',"
        " '--context', '.', '--quiet'], stdout=open('answer', 'wb'))"
    )
    assert typed(command=("-c", code)) == (0, b"")
    assert (tmp_path / "answer").read_bytes() == TEXT.encode() + b"\n"


@pytest.mark.parametrize("kind", SEQUENCES)
def test_each_sequence_is_shown_by_signs(kind: str) -> None:
    shown = for_terminal(SEQUENCES[kind])
    assert unruly(shown.encode()) == []
    assert len(shown) == len(SEQUENCES[kind])


def test_text_stays_as_it_is() -> None:
    text = "täglich\t日本語 👩‍👩‍👧 שלום\u200f \u00a0½\nline\n"
    assert for_terminal(text) == text
    assert for_terminal("a\r\nb") == "a\nb"


def test_an_answer_is_plain_where_a_terminal_shows_the_notebook() -> None:
    assert unruly(str(answer_bundle(TEXT)["text/plain"]).encode()) == []


def test_what_an_lm_reads_has_no_colours_titles_and_links() -> None:
    text = "".join(SEQUENCES[kind] for kind in ("clipboard", "title", "DCS", "screen", "colours"))
    output = {"output_type": "stream", "name": "stdout", "text": f"a{text}b\x1b]0;unfinished"}
    assert text_of([output], 100) == "ablinkingb0;unfinished"


def test_no_console_is_made_past_the_gate() -> None:
    package = Path(rlm_kernel.__file__).parent
    made = {
        path.name for path in package.rglob("*.py") if re.search(r"\bConsole\(", path.read_text())
    }
    assert made == set()


def test_a_sentence_ends_its_lines_between_words_at_a_terminal_and_has_one_line_elsewhere() -> None:
    text = "the notebook is /a/path/that/is/longer/than/the/terminal and `rlm fork a --note b` now"
    at_terminal, elsewhere = (
        Terminal(file=io.StringIO(), width=20, force_terminal=terminal, color_system=None)
        for terminal in (True, False)
    )
    for console in (at_terminal, elsewhere):
        print_sentence(console, text)
    lines = at_terminal.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[:2] == ["the notebook is", "/a/path/that/is/longer/than/the/terminal"]
    assert "`rlm fork a --note b`" in lines, "a command is copied whole"
    assert " ".join(lines) == text
    assert elsewhere.file.getvalue() == f"{text}\n"  # type: ignore[attr-defined]
