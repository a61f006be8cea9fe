"""Completion, inspection and help of our own words, by what there is."""

from __future__ import annotations

import pytest
from harness import LM, Front, RunningKernel, block

from rlm_kernel.kernel.cell_parser import Wanted, wanted
from rlm_kernel.kernel.help import EXAMPLES


@pytest.fixture
def there(front: Front, kernel: RunningKernel, lm: LM) -> Front:
    """A front end of a kernel with files, a variable, and a question that was answered."""
    folder = kernel.cwd / "tour"
    folder.mkdir(exist_ok=True)
    (folder / "tickets.csv").write_text("a,b\n1,2\n")
    (folder / "my notes.txt").write_text("x")
    (folder / ".hidden").write_text("x")
    lm.say(block("print(context)"), block("FINAL_VAR('y')"))
    front.run("ticket_text = 'abc'\ncontext = 'abc'\n")
    assert front.run("%%rlm --replay off\nWhat?").result == "y"
    return front


def _complete(front: Front, code: str) -> list[str]:
    content = front.ask("complete_request", {"code": code, "cursor_pos": len(code)})["content"]
    start, end = content["cursor_start"], content["cursor_end"]
    return [code[:start] + match + code[end:] for match in content["matches"]]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("%rlm context ti", ["%rlm context ticket_text"]),
        ("%rlm context to", ["%rlm context tour/"]),
        (
            "%rlm context tour/",
            [r"%rlm context tour/my\ notes.txt", "%rlm context tour/tickets.csv"],
        ),
        (r"%rlm context tour/my\ n", [r"%rlm context tour/my\ notes.txt"]),
        ("%rlm context tour/.h", ["%rlm context tour/.hidden"]),
        ("%rlm context nowhere/", []),
        ("%%rlm --context=tour/t", ["%%rlm --context=tour/tickets.csv"]),
        ("%%rlm --context tour/t", ["%%rlm --context tour/tickets.csv"]),
        ("%rlm model fa", ["%rlm model fake-model"]),
        ("%rlm model de", ["%rlm model default"]),
        ("%%rlm --model fa", ["%%rlm --model fake-model"]),
        ("%rlm kernel pyth", ["%rlm kernel python3"]),
        ("%rlm take a", ["%rlm take all"]),
        ("%rlm cost ", []),
        ("%rlm nonsense i", []),
        ("%%rlm ticket", ["%%rlm ticket_text"]),
        ("%rlm confirm a", ["%rlm confirm always"]),
    ],
)
def test_what_there_is_is_offered_and_no_name_of_python_s(
    there: Front, code: str, found: list[str]
) -> None:
    assert _complete(there, code) == found


def test_runs_and_turns_are_offered_by_their_numbers(there: Front) -> None:
    runs = _complete(there, "%rlm open ")
    assert runs[-1] == "%rlm open 1"
    assert "%rlm take 1" in _complete(there, "%rlm take ")


@pytest.mark.parametrize("cell", ["%%rlm?", "%rlm?", "?%%rlm", "%%rlm??", "%rlm help"])
def test_help_is_one_page_with_three_examples(there: Front, cell: str) -> None:
    outcome = there.run(cell)
    assert outcome.status == "ok"
    [shown] = outcome.of("display_data")
    page = shown["content"]["data"]["text/markdown"]
    assert [example in page for _, example in EXAMPLES] == [True] * 3
    assert "| <code>%rlm context" in page
    assert "File:" not in outcome.shown


def test_help_shows_a_page_of_the_guide(there: Front) -> None:
    [shown] = there.run("%rlm help forks").of("display_data")
    page = shown["content"]["data"]["text/markdown"]
    assert page.startswith("# Going on and going back")
    assert "(`%rlm help notebook`)" in page
    assert "did you mean 'forks'?" in there.run("%rlm help fork").error[1]
    assert _complete(there, "%rlm help gl") == ["%rlm help glossary"]


def test_a_tooltip_on_our_words_is_the_same_page(there: Front) -> None:
    for code, at in (("%%rlm\nwho?", 4), ("%rlm context x", 9)):
        content = {"code": code, "cursor_pos": at, "detail_level": 0}
        seen = there.ask("inspect_request", content)["content"]
        assert seen["found"]
        assert "%%rlm liked: int" in seen["data"]["text/markdown"]
    content = {"code": "%%rlm\nlen", "cursor_pos": 9, "detail_level": 0}
    assert "%%rlm liked" not in str(there.ask("inspect_request", content)["content"])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%RLM\nHow many?", "%%RLM: write %%rlm, in small letters"),
        ("%RLM context x", "%RLM: write %rlm, in small letters"),
        ("%rlm limits cos=1", "did you mean 'cost'? Usage: %rlm limits"),
        ("%%rml\nHow many?", "Did you mean %%rlm?"),
        ("%rml context x", "Did you mean %rlm?"),
    ],
)
def test_a_typo_is_helped_in_one_sentence(there: Front, cell: str, said: str) -> None:
    told = there.run(cell)
    assert said in told.error[1] + told.stream("stderr")


def test_what_ends_a_question_names_the_way_on_and_its_cause_once(there: Front, lm: LM) -> None:
    lm.say("no cell", "no cell", "no cell", "no cell", "no cell")
    ended = there.run("%%rlm --replay off --max-turns 1\nWho?")
    assert "%rlm continue --max-turns 2" in ended.error[1]
    [header] = [m for m in ended.of("display_data") if "limit" in str(m["content"])][-1:]
    assert "limit reached" not in str(header["content"]["data"])


@pytest.mark.parametrize(
    "code", ["x = 1\n%rlm context a", "%rlmx a", "len(", "%rlm context a\nlen("]
)
def test_elsewhere_nothing_of_ours_is_wanted(code: str) -> None:
    assert wanted(code, len(code)) is None


def test_an_unknown_word_wants_nothing() -> None:
    assert wanted("%rlm nothing x", 14) == Wanted((), "x")
