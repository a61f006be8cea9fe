"""The command line before a command does anything: what it costs, and what it refuses."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pexpect
import pytest

from rlm_kernel import Result, cli, guide
from rlm_kernel.cli import parser, record_parsers, run
from rlm_kernel.events import Usage
from rlm_kernel.reports import listing

REVIEWS = Path(__file__).parents[2] / "notebooks" / "reviews"
HEAVY = {"rich", "pydantic", "jupyter_client", "openai", "IPython", "ipykernel", "zmq", "nbformat"}
IMPORTED = """
import sys
from rlm_kernel.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sys.modules)
"""


def _imported(*arguments: str) -> set[str]:
    """The packages that are imported after ``rlm`` with these arguments."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("words", ["--help", "--version", "run --help", "show --help", "nonsense"])
def test_a_help_or_a_wrong_word_imports_nothing_of_weight(words: str) -> None:
    assert _imported(*words.split()) & HEAVY == set()


@pytest.mark.parametrize("command", parser.commands())
def test_a_help_has_no_sign_for_a_formatter_and_breaks_no_name(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = parser.commands()[command].format_help()
    assert "%%" not in told
    assert not re.search(r"\w-\n", told)
    assert max(map(len, told.splitlines())) <= 80


def test_a_run_is_shown_without_a_kernel_or_a_client() -> None:
    heavy = HEAVY - {"rich", "pydantic", "nbformat"}
    assert _imported("show", str(REVIEWS)) & heavy == set()


def _leaves(made: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    inner = [a for a in made._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        yield made
    for commands in inner:
        for command in commands.choices.values():
            yield from _leaves(command)


def test_every_command_names_a_function_that_does_it() -> None:
    named = [str(leaf.get_default("work")) for leaf in _leaves(parser.make())]
    assert len(named) >= 15
    for name in named:
        module, _, function = name.rpartition(".")
        assert callable(getattr(import_module(f"rlm_kernel.cli.{module}"), function)), name


def test_help_lists_the_topics_and_shows_a_page_as_markdown_where_it_is_piped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["help"]) == 0
    listed = capfd.readouterr().out
    assert all(topic in listed and title in listed for topic, title in guide.listing())
    assert cli.main(["help", "replay"]) == 0  # a command, too: the page is meant
    piped = capfd.readouterr().out
    assert piped.split() == guide.text("replay").split()
    assert max(map(len, piped.split("```")[0].splitlines())) <= 80
    assert cli.main(["help", "doctor"]) == 0
    assert capfd.readouterr().out.startswith("usage: rlm doctor")


def test_help_draws_a_page_on_a_terminal() -> None:
    shown = pexpect.spawn(
        sys.executable,
        ["-m", "rlm_kernel", "help", "glossary"],
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
        dimensions=(24, 80),
        timeout=60,
    )
    text = shown.read().decode()
    assert shown.wait() == 0
    assert "Glossary" in text
    assert "│" in text or "━" in text or "─" in text
    assert "# Glossary" not in text
    assert max(map(len, re.sub(r"\x1b\[[\d;]*m", "", text).splitlines())) <= 80


def test_a_topic_that_there_is_not_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "replays"]) == 2
    assert "no topic 'replays'; did you mean 'replay'?" in capsys.readouterr().err


def test_a_table_can_be_sorted_by_what_its_help_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(listing.KEYS) == record_parsers.SORT_KEYS
    with pytest.raises(SystemExit):
        cli.main(["show", "--help"])
    assert f"{listing.MAX_LEVELS} levels" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "words",
    [
        "show no-such",
        "replay no-such",
        "replay no-such --live",
        "resume no-such",
        "fork no-such --at 1",
        "rerun no-such --context text",
        "diff no-such no-such",
        "why no-such",
        "export no-such",
        "batch no-such -o out",
        "run What? --context no-such",
    ],
)
def test_a_path_that_is_not_there_is_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("text")
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no-such" in err
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_an_export_goes_to_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(REVIEWS), "-o", "page.html"]) == 0
    page = Path("page.html").read_bytes()
    capfdbinary.readouterr()
    assert cli.main(["export", str(REVIEWS), "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it is a device of Linux")
@pytest.mark.parametrize("words", ["show RUN", "show RUN RUN", "why RUN", "diff RUN RUN", "--help"])
def test_standard_output_that_is_full_is_a_message(words: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-E", "-m", "rlm_kernel", *words.replace("RUN", str(REVIEWS)).split()],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "rlm: standard output cannot be written to" in line


@pytest.mark.parametrize("command", ["run Q --context p", "rerun p --context p", "batch p -o p"])
def test_what_a_folder_leaves_out_may_be_said_in_several_options(command: str) -> None:
    given = [*command.split(), "--exclude", "*.log", "--exclude", "a/,!b"]
    assert parser.make().parse_args(given).exclude == "*.log,a/,!b"


@pytest.mark.parametrize("words", ["--api-key sk-abc", "--api-key=sk-abc", "--sub-api-key sk-abc"])
def test_a_key_on_the_command_line_is_refused_and_not_shown(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "What?", "--context", "x", *words.split(" ")])
    said = capsys.readouterr().err
    assert "sk-abc" not in said
    assert "--api-key-file" in said


def test_an_option_is_written_whole() -> None:
    with pytest.raises(SystemExit):
        parser.make().parse_args(["run", "What?", "--context", "x", "--max-c", "3"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run Q --context x --max-turn 1", "no option --max-turn; did you mean '--max-turns'?"),
        ("run Q --contxt x", "there is no option --contxt; did you mean '--context'?"),
        ("doctor --max-turns 3", "there is no option --max-turns here; set RLM_MAX_TURNS"),
        ("run How many --context x", "'many' is more than it takes: put a question"),
        ("why a b", "why: 'b' is more than it takes"),
        ("run Q --context a --context b", "--context: is given twice: a run has one context"),
        ("rn Q", "rlm: there is no command 'rn'; did you mean 'run'?"),
        ("local", "fetch"),
        ("", "answer a question about a context"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_told_with_what_was_meant(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words.split())
    said = capsys.readouterr().err
    assert (ended.value.code, told in said) == (2, True), said


def test_an_empty_path_is_not_the_working_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "What?", "--context", ""]) == 2
    assert "the path of the context is empty" in capsys.readouterr().err


def test_a_sampling_temperature_and_a_second_endpoint_are_options() -> None:
    given = ["run", "Q", "--context", "x", "--temperature", "0", "--sub-base-url", "http://u"]
    made = parser.make().parse_args(given)
    assert (made.temperature, made.sub_base_url) == ("0", "http://u")


@pytest.mark.parametrize("words", ["replay", "why", "diff", "export", "resume", "fork"])
def test_a_folder_of_runs_is_not_taken_for_one(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = REVIEWS.parent
    assert cli.main([words, str(folder), *[str(folder)][: words == "diff"]]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{folder}: this is the folder of no run: give one of the runs in it" in said
    assert str(REVIEWS) in said


def test_an_answer_that_is_not_of_the_form_is_not_on_standard_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    result = Result("fake: 23", "limit", False, "limit reached: turns", Usage(), REVIEWS / "x")
    run.report(result, as_json=False, formed=True)
    out, err = capfd.readouterr()
    assert (out, "the best so far: fake: 23" in err) == ("", True)
    run.report(result, as_json=False)
    assert capfd.readouterr().out == "fake: 23\n"
