"""The grammar of ``%%rlm`` cells and ``%rlm`` lines."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.errors import UsageError
from rlm_kernel.kernel.cell_parser import (
    Completion,
    Python,
    Question,
    complete,
    looks_like_prose,
    split,
)
from rlm_kernel.kernel.grammar import OPTIONS, VERBS, Command
from rlm_kernel.kernel.help import help_text
from rlm_kernel.settings.resolved import LIMIT_NAMES, option_name


def _command(line: str) -> Command:
    cell = split(line)
    assert isinstance(cell, Python)
    [command] = cell.commands
    return command


# What a cell is


@pytest.mark.parametrize(
    "code",
    [
        "",
        "\n\n",
        "1 + 1",
        "x = '''\n%rlm model m\n'''",
        "%rlmfoo model m",
        "%%rlmfoo\nwho?",
        "%time\n%rlm model m",
        "!ls\n%rlm model m",
        "# only a comment\n",
        "print('%%rlm')\n%%rlm\nwho?",
        "%%time\n%%rlm\nwho?",
    ],
)
def test_a_cell_that_is_not_ours_is_python_and_no_more(code: str) -> None:
    assert split(code) == Python()


def test_a_question_stands_below_its_line() -> None:
    cell = split("\n  \n%%rlm\n\nWho killed\nthe 'count'?\n\n")
    assert cell == Question("answer_", "Who killed\nthe 'count'?")


def test_a_question_has_a_name_and_options() -> None:
    line = "%%rlm who --context 'a book.txt' --encoding latin-1 --model=m --max-cost none "
    assert split(line + "--max-cell-seconds 2 --temperature 0 --out there --replay only\n?") == (
        Question(
            "who",
            "?",
            {"model": "m", "temperature": 0.0, "out": Path("there")}
            | {"max_cost": None, "max_cell_seconds": 2.0},
            context="a book.txt",
            encoding="latin-1",
            replay="only",
        )
    )


@pytest.mark.parametrize("name", LIMIT_NAMES)
def test_each_limit_is_an_option_of_a_question(name: str) -> None:
    cell = split(f"%%rlm --{option_name(name)} 3\nwho?")
    assert isinstance(cell, Question)
    assert cell.settings == {name: 3}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "^write the question below the %%rlm line$"),
        ("who", "^write the question below the %%rlm line$"),
        ("What is it?", "'is' is one word too many: .*write the question below it"),
        ("What's it?", "no closing quotation: .*write the question below it"),
        ("What?", r"'What\?' cannot be the name of a variable"),
        ("class", "'class' cannot be the name of a variable"),
        ("--modle m", "unknown option '--modle'; did you mean '--model'"),
        ("--mod m", "unknown option '--mod'; did you mean '--model'"),
        ("--cost 1", "unknown option '--cost'; did you mean '--max-cost'"),
        ("-m m", "unknown option '--m'; .*%rlm help"),
        ("--help", "unknown option '--help'; .*%rlm help"),
        ("--kernel k", "it is set for the session, by %rlm kernel"),
        ("--model", "--model needs a value: --model NAME"),
        ("--model=", "--model needs a value: --model NAME"),
        ("--model --context c", "--model needs a value: --model NAME"),
        ("--model a --model=b", "--model is given twice"),
        ("--max-turns many", "--max-turns='many': give a whole number"),
        ("--max-turns 0", "--max-turns: limit turns=0: give a whole number of at least 1"),
        ("--max-cost cheap", "--max-cost='cheap': give a number, or none"),
        ("--temperature -1", "--temperature=-1.0: give a number of at least 0"),
        ("--prompt tiny", "--prompt='tiny': give strong or small"),
        ("--replay maybe", "--replay='maybe': give auto, only or off"),
    ],
)
def test_a_wrong_question_is_refused_in_words(line: str, words: str) -> None:
    text = "" if "^write" in words else "\nwho?"
    with pytest.raises(UsageError, match=words):
        split(f"%%rlm {line}{text}")


@pytest.mark.parametrize(
    "code",
    [
        "%%rlm --api-key sk-canary\nwho?",
        "%%rlm --sub-api-key=sk-canary\nwho?",
        "%rlm api-key sk-canary",
        "%rlm --api-key=sk-canary",
        "%rlm api_key=sk-canary",
    ],
)
def test_a_key_is_refused_and_not_shown(code: str) -> None:
    with pytest.raises(UsageError, match=r"set RLM_(SUB_)?API_KEY in the environment") as caught:
        split(code)
    assert "canary" not in str(caught.value)


def test_an_unclosed_quote_shows_no_key() -> None:
    with pytest.raises(UsageError, match="no closing quotation") as caught:
        split("%rlm api-key 'sk-canary")
    assert "canary" not in str(caught.value)


# Lines above a cell


def test_lines_at_the_top_are_commands_and_those_below_are_not() -> None:
    code = "\n# about the book\n%rlm context book.txt\n\n  %rlm model m\nlen(context)\n%rlm cost"
    assert split(code) == Python(
        (Command("context", "book.txt"), Command("model", settings={"model": "m"}))
    )


def test_a_question_may_stand_below_lines() -> None:
    assert split("%rlm context book.txt\n# now\n%%rlm who\nwho?") == Question(
        "who", "who?", commands=(Command("context", "book.txt"),)
    )


def test_one_wrong_line_refuses_the_cell() -> None:
    with pytest.raises(UsageError, match="unknown word 'modle' after %rlm; did you mean 'model'"):
        split("%rlm context book.txt\n%rlm modle m\n1")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("%rlm", Command("status")),
        ("%rlm   ", Command("status")),
        ("%rlm context", Command("context")),
        ("%rlm context 'my book.txt'", Command("context", "my book.txt")),
        ("%rlm context b --encoding cp1252", Command("context", "b", encoding="cp1252")),
        ("%rlm model", Command("model")),
        ("%rlm sub-model s", Command("sub-model", settings={"sub_model": "s"})),
        ("%rlm sub-base-url u", Command("sub-base-url", settings={"sub_base_url": "u"})),
        ("%rlm base-url default", Command("base-url", reset=("base_url",))),
        ("%rlm env local", Command("env", settings={"environment": "local"})),
        ("%rlm kernel k", Command("kernel", settings={"kernel": "k"})),
        ("%rlm temperature 0.5", Command("temperature", settings={"temperature": 0.5})),
        ("%rlm prompt small", Command("prompt", settings={"prompt": "small"})),
        ("%rlm out there", Command("out", settings={"out": Path("there")})),
        (
            "%rlm context docs --exclude '*.log' --exclude=a/,!b",
            Command("context", "docs", settings={"exclude": ("*.log", "a/", "!b")}),
        ),
        ("%rlm exclude '*.log,a/'", Command("exclude", settings={"exclude": ("*.log", "a/")})),
        ("%rlm limits", Command("limits")),
        (
            "%rlm limits turns=5 cost=none max-cell-seconds=2 depth=default",
            Command(
                "limits",
                settings={"max_turns": 5, "max_cost": None, "max_cell_seconds": 2.0},
                reset=("max_depth",),
            ),
        ),
        ("%rlm limits default", Command("limits", reset=tuple(LIMIT_NAMES))),
        ("%rlm open", Command("open")),
        ("%rlm open run-1", Command("open", "run-1")),
        ("%rlm replay", Command("replay")),
        ("%rlm replay auto", Command("replay", "auto")),
        ("%rlm replay only runs", Command("replay", "only", folder="runs")),
        ("%rlm replay ./auto", Command("replay", "./auto")),
        (
            "%rlm replay '--run=the first' --node=0.1",
            Command("replay", options={"run": "the first", "node": "0.1"}),
        ),
        ("%rlm replay --context a.txt", Command("replay", options={"context": "a.txt"})),
        ("%rlm verdict", Command("verdict")),
        ("%rlm mode ask", Command("mode", "ask")),
        ("%rlm trust html", Command("trust", "html")),
        *((f"%rlm {v}", Command(v)) for v in ("runs", "cost", "stop")),
    ],
)
def test_each_line_is_read(line: str, command: Command) -> None:
    assert _command(line) == command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("contxt b", "unknown word 'contxt' after %rlm; did you mean 'context'"),
        ("model=m", r"write %rlm model \[NAME\|default\]"),
        ("max-cost=3", "max-cost is a limit: write %rlm limits cost=VALUE"),
        ("context my book.txt", "'book.txt' is one word too many .quote a name that has spaces"),
        ("context --encoding x", "--encoding needs a context"),
        ("context b --enc x", "unknown option '--enc'; did you mean '--encoding'"),
        ("model a b", r"'b' is one word too many.*Usage: %rlm model \[NAME\|default\]"),
        ("temperature warm", "%rlm temperature='warm': give a number. Usage: %rlm temperature"),
        ("env moon", "%rlm env='moon': give local"),
        ("limits turn=5", "unknown limit 'turn'; did you mean 'turns'"),
        ("limits turns 5", "'turns' has no value: write turns=VALUE"),
        ("limits turns=5 max_turns=6", "max_turns is given twice"),
        ("limits turns=many", "%rlm limits turns='many': give a whole number"),
        ("replay --runs x", "unknown option '--runs'; did you mean '--run'"),
        ("replay a b", "'b' is one word too many"),
        ("replay auto a b", "'b' is one word too many"),
        ("mode english", "'english': give ask or python"),
        ("trust javascript", "'javascript': give html or off"),
        ("runs all", "'all' is one word too many"),
        ("context o'neill.txt", "no closing quotation"),
    ],
)
def test_a_wrong_line_is_refused_in_words(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        split(f"%rlm {line}")


# Plain text as questions


def test_in_the_mode_for_it_plain_text_is_a_question() -> None:
    assert split("Who is\n# the count?\n", ask=True) == Question("answer_", "Who is\n# the count?")
    assert split("%rlm cost\nwho?", ask=True) == Question(
        "answer_", "who?", commands=(Command("cost"),)
    )


@pytest.mark.parametrize("code", ["", "%rlm cost", "%time 1", "%%time\n1", "!ls", "?len"])
def test_in_the_mode_for_plain_text_ipythons_own_words_stay(code: str) -> None:
    assert isinstance(split(code, ask=True), Python)


def test_a_line_that_changes_the_mode_holds_for_its_own_cell() -> None:
    assert isinstance(split("%rlm mode ask\nwho?"), Question)
    assert isinstance(split("%rlm mode python\nx = 1", ask=True), Python)
    assert isinstance(split("%rlm mode\nx = 1"), Python)


# Completion


def _candidates(code: str) -> list[str] | None:
    """The candidates at the bar in ``code``."""
    at = code.index("|")
    found = complete(code.replace("|", ""), at)
    return None if found is None else found.matches


@pytest.mark.parametrize(
    ("code", "matches"),
    [
        ("%rlm mo|", ["model", "mode"]),
        ("%rlm prompt |", ["strong", "small", "default"]),
        ("# x\n\n%rlm cost\n%rlm replay o|", ["only", "off"]),
        ("%rlm limits turns=5 t|", ["tokens="]),
        ("%rlm context x --|", ["--encoding", "--exclude"]),
        ("%rlm trust x|", []),
        ("%%rlm --sub|\nwho?", ["--sub-model", "--sub-base-url"]),
        ("%%rlm --sub-model=m --sub|\nwho?", ["--sub-base-url"]),
        ("%%rlm --prompt s|", ["strong", "small"]),
        ("%%rlm --replay=o|", ["--replay=only", "--replay=off"]),
    ],
)
def test_our_own_words_are_completed(code: str, matches: list[str]) -> None:
    assert _candidates(code) == matches


@pytest.mark.parametrize(
    "code",
    [
        "|",
        "%rlm|",
        "%rlmx m|",
        "x = 1\n%rlm mo|",
        "%%rlm\nwho --mod|",
        "%rlm context boo|",
        "%%rlm --context boo|",
        "%%rlm --context=boo|",
        "%%rlm nam|",
        "%rlm open |",
        "%rlm cost |",
        "%rlm nothing |",
        "%rlm cost\nlen(con|",
    ],
)
def test_what_is_not_ours_is_left_to_the_inner_kernel(code: str) -> None:
    assert _candidates(code) is None


def test_a_completion_says_what_it_takes_the_place_of() -> None:
    assert complete("\n%rlm mode p", 12) == Completion(["python"], 11, 12)
    assert set(complete("%%rlm ", 6).matches) == {f"--{o}" for o in OPTIONS}  # type: ignore[union-attr]
    assert set(complete("%rlm ", 5).matches) == set(VERBS)  # type: ignore[union-attr]


@given(st.lists(st.sampled_from([*"%\n #='\"-x", "%rlm ", "%%rlm", "--model", "limits ", "mode "])))
def test_no_text_makes_the_grammar_fail(parts: list[str]) -> None:
    code = "".join(parts)
    for ask in (False, True):
        with suppress(UsageError):
            assert isinstance(split(code, ask=ask), Question | Python)
    found = complete(code, len(code))
    assert found is None or found.end == len(code)
    assert looks_like_prose(code) in (True, False)


# Prose in a Python cell


@pytest.mark.parametrize(
    "code",
    [
        "What is the title of the third chapter?",
        "is there a dog in it",
        "Summarize the letters, one line for each.",
        "Who are the people\nin the first chapter, and who's the oldest?",
        "Wie heißt der Graf im dritten Kapitel?",
    ],
)
def test_prose_is_seen(code: str) -> None:
    assert looks_like_prose(code)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "help me",
        "for x in range(3) print(x)",
        "import numpy as np please",
        "if x in y\nprint x",
        "x = 3 4 5",
        "print hello big world",
        "while this is true:\nrun it now",
        "foo(a b c)",
        "a.b c d",
        "[1 2 3]",
        "1 2 3 4",
        "!ls the whole folder",
        "the value is x[0] here",
        "def broken the function",
    ],
)
def test_broken_python_is_not_taken_for_prose(code: str) -> None:
    assert not looks_like_prose(code)


# Help


def test_the_help_has_every_word_of_the_grammar() -> None:
    text = help_text()
    for option in OPTIONS:
        assert f"\n  --{option} " in text
    for verb in VERBS:
        assert f"\n  %rlm {verb} " in text
    assert "NAME is answer_" in text
