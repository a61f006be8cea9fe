"""From an answer back to cells, calls and the parts of the context."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stories import call, cell, run_started, started, story

from rlm_kernel.events import Event, KernelRestarted, NodeEnded
from rlm_kernel.record.provenance import Origin, Texts, cover, trace
from rlm_kernel.record.provenance.names import statements
from rlm_kernel.record.provenance.spans import SHORTEST, Index, merged


def ran(number: int, source: str, shown: str = "", **changed: Any) -> Event:
    outputs = [{"output_type": "stream", "name": "stdout", "text": shown}] if shown else []
    return cell("0", number, turn=number, source=source, outputs=outputs, **changed)


def origin(*events: Event, answer: str = "42") -> Origin:
    """Of a run of these cells, the last of which gave the answer."""
    *before, last = events
    ended = NodeEnded("0", "answered", answer, True, None, 20.0)
    given = ran(last.cell, last.source, answer=answer)  # type: ignore[union-attr]
    return trace([run_started(), started("0"), *before, given, ended])[0]


def way(*sources: str, answer: str = "42") -> list[tuple[int, str]]:
    made = origin(*(ran(n, source) for n, source in enumerate(sources, 1)), answer=answer)
    return [(step.cell, step.why) for step in made.steps]


def test_the_answer_leads_back_through_the_cells_that_bound_what_was_read() -> None:
    lines, other = "lines = context.splitlines()", "other = len(context)"
    assert way(lines, other, "n = len(lines)", "FINAL_VAR(n)") == [
        (4, "answer"),
        (3, "bound"),
        (1, "bound"),
    ]


def test_a_name_that_was_bound_again_does_not_lead_to_its_first_value() -> None:
    assert way("n = len(context)", "n = llm_query('x')", "FINAL_VAR(n)") == [
        (3, "answer"),
        (2, "bound"),
    ]


def test_a_name_that_may_have_been_bound_again_leads_to_both() -> None:
    assert way("n = len(context)", "if n > 9:\n    n = 9", "FINAL_VAR('n')") == [
        (3, "answer"),
        (2, "bound"),
        (1, "bound"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        "found.append(1)",
        "found += [1]",
        "found[0] = 1",
        "found.rows.x = 1",
        "random.shuffle(found)",
        "_ = [found.add(x) for x in y]",
        "%time found = [1]",
        "for x in y:\n    found.extend(x)",
        "def add(x):\n    found.append(x)",
    ],
)
def test_what_changes_a_value_in_place_is_on_the_way(change: str) -> None:
    assert (2, "bound") in way("found = [context]", change, "FINAL_VAR(found)")


@pytest.mark.parametrize(
    "look", ["print(found)", "len(found)", "show(len(found))", "x = found[0]", "found"]
)
def test_what_only_looks_at_a_value_is_not(look: str) -> None:
    assert (2, "bound") not in way("found = [context]", look, "FINAL_VAR(found)")


def test_a_cell_that_only_imports_is_no_origin_and_what_it_made_is_named() -> None:
    made = origin(
        ran(1, "import pandas as pd"),
        ran(2, "context = load()"),
        ran(3, "import re\ndf = pd.DataFrame(context)"),
        ran(4, "FINAL_VAR(re.sub('a', 'b', df))"),
    )
    assert [(step.cell, step.names) for step in made.steps] == [
        (4, ()),
        (3, ("df",)),
        (2, ("context",)),
    ]


def test_names_of_functions_and_comprehensions_are_their_own() -> None:
    [made] = statements("def f(x, *, y=z):\n    n = x\n    return n + g")
    assert (made.reads, made.sets) == ({"z", "g"}, {"f"})
    [made] = statements("total = sum(n for n in rows if n)")
    assert (made.reads, made.sets) == ({"sum", "rows"}, {"total"})


def test_the_answer_dict_is_followed_like_final_var() -> None:
    assert way("n = context", 'answer["content"] = n\nanswer["ready"] = True') == [
        (2, "answer"),
        (1, "bound"),
    ]


def test_what_does_not_parse_is_taken_by_its_words() -> None:
    assert way("n = context (", "FINAL_VAR(n)") == [(2, "answer"), (1, "bound")]


def test_variables_do_not_survive_a_restart() -> None:
    restart = KernelRestarted("0", 1, "out of memory", ["n"], 12.0)
    made = origin(ran(1, "n = context"), restart, ran(2, "n = 1"), ran(3, "FINAL_VAR(n)"))
    assert [step.cell for step in made.steps] == [3, 2]


def test_an_answer_that_the_lm_wrote_leads_to_the_output_that_shows_it() -> None:
    made = origin(
        ran(1, "print(context.count('a'))", "42\n"),
        ran(2, "print(len(context))", "7042\n"),
        ran(3, "FINAL_VAR('There are 42.')"),
        answer="There are 42.",
    )
    assert [(step.cell, step.why) for step in made.steps] == [(3, "answer"), (1, "shown")]


def test_an_answer_that_no_output_shows_leads_to_all_that_were_seen() -> None:
    made = origin(
        ran(1, "print(context[:9])", "a poem\n"),
        ran(2, "x = 1"),
        ran(3, "FINAL_VAR('She loves him.')"),
        answer="She loves him.",
    )
    assert [(step.cell, step.why) for step in made.steps] == [(3, "answer"), (1, "seen")]


def test_only_calls_whose_replies_can_have_reached_the_answer_count() -> None:
    ask = "replies = llm_query_batched(prompts)\nn = 5"
    calls = [call("0", index, count=3, reply=str(index)) for index in range(3)]
    failed = call("0", 3, reply=None, error={"type": "LMError", "message": "down"})
    through = origin(*calls, failed, ran(1, ask), ran(2, "FINAL_VAR(replies)"), answer="a 2")
    assert through.calls == tuple(calls)
    assert through.literal == (2,)
    assert origin(*calls, ran(1, ask), ran(2, "FINAL_VAR(n)")).calls == ()


def test_a_reply_that_several_calls_gave_does_not_tell_which_it_was() -> None:
    calls = [call("0", n, count=3, reply=reply) for n, reply in enumerate(["no", "no", "yes"])]
    made = origin(*calls, ran(1, "r = llm_query_batched(p)\nFINAL_VAR(r)"), answer="no no yes")
    assert made.literal == (2,)


def test_calls_through_a_function_of_the_lms_own_count_where_it_is_called() -> None:
    define = "def ask(x):\n    return llm_query(x)"
    made = origin(
        ran(1, define),
        call("0", 0, cell=2, reply="yes"),
        ran(2, "r = [ask(c) for c in context]"),
        ran(3, "FINAL_VAR(r)"),
        answer="['yes']",
    )
    assert [one.cell for one in made.calls] == [2]
    assert made.literal == (0,)


def test_what_a_query_judged_is_on_the_way() -> None:
    query = "found = sql(context, \"SELECT COUNT(*) FROM t WHERE judge(text, 'a', 'b') = 'a'\")"
    judged = call("0", 1, reply="a", about={"row": 0})
    made = origin(judged, ran(1, f"{query}\nFINAL_VAR(found.answer)"))
    assert [each.reply for each in made.calls] == ["a"]


def test_children_are_followed_into_their_own_cells() -> None:
    events = [
        *(event for event in story() if not isinstance(event, NodeEnded) or event.node != "0"),
        ran(4, "x = rlm_query('x')\nFINAL_VAR(x)", answer="1"),
        call("0", 0, cell=4, call=9, op="rlm_query", child="0.1"),
        NodeEnded("0", "answered", "1", True, None, 18.0),
    ]
    root, child = trace(events)
    assert (root.node, child.node) == ("0", "0.1")
    assert [step.cell for step in child.steps] == [1]


def test_a_run_without_an_answer_has_no_way_back() -> None:
    [made] = trace([run_started(), started("0"), cell("0", 1)])
    assert (made.steps, made.calls) == ((), ())


POEM = "\n".join(f"Line {n} of a long poem, in which word{n * 7} rhymes." for n in range(200))


def found(prompt: str, text: str = POEM) -> list[str]:
    return [text[start:end] for start, end in merged(Index(text).find(prompt), text)]


def test_pieces_of_a_prompt_are_found_in_the_text() -> None:
    lines = POEM.splitlines(keepends=True)
    chunk = "".join(lines[20:40])
    assert found(f"Is it sad?\n\n{chunk}\nAnswer yes or no.") == [chunk.strip()]
    both = [lines[3].strip(), lines[9].strip()]
    assert found(f"One: {both[0]} and two: {both[1]}") == both
    assert found("Nothing of the poem is in this prompt at all.") == []


def test_a_line_that_stands_in_many_places_does_not_move_what_is_around_it() -> None:
    text = "".join(
        f"the same heading for every part\nitem {n} is not the others\n" for n in range(9)
    )
    prompt = "the same heading for every part\nitem 7 is not the others\n"
    assert Index(text).find(prompt) == [(text.index(prompt), text.index(prompt) + len(prompt) - 1)]


WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma\n", "δέλτα", "of", "\x00", "…"]))


@given(WORDS, WORDS)
def test_what_is_found_stands_in_both(text: list[str], prompt: list[str]) -> None:
    whole, asked = " ".join(text), " ".join(prompt)
    for start, end in Index(whole).find(asked):
        assert whole[start:end] in asked
        assert start < end


@given(WORDS, st.integers(0, 99), st.integers(0, 99))
def test_a_long_piece_that_begins_with_a_word_is_found(
    text: list[str], start: int, size: int
) -> None:
    words = [f"{word}{n}" for n, word in enumerate(text)]  # each stands once
    piece = " ".join(words[start : start + size])
    if len(piece) >= SHORTEST and piece[0].isalpha():
        assert found(f"Look: {piece}", " ".join(words)) == [piece]


def test_spans_name_their_part_and_count_lines_in_it() -> None:
    items = [f"The item number {n}\nhas a second line, {n * 31}" for n in range(9)]
    texts = Texts.of((f"[{n}]", item) for n, item in enumerate(items))
    made = origin(
        call("0", 0, cell=1, prompt=f"Q: {items[3]}\n{items[4]}"),
        ran(1, "x = llm_query('…')\nFINAL_VAR(x)"),
    )
    covered = cover(made, texts, {})
    assert [(span.where, span.start, span.end) for span in covered.spans] == [
        ("[3]", 0, len(items[3])),
        ("[4]", 0, len(items[4])),
    ]
    assert [(span.first_line, span.last_line) for span in covered.spans] == [(1, 2), (1, 2)]
    assert covered.characters == len(items[3]) + len(items[4]) + 1


def test_chunks_one_after_another_are_one_part() -> None:
    calls = [
        call("0", n, count=5, cell=1, prompt=f"Q:\n{POEM[n * 900 : n * 900 + 900]}")
        for n in range(5)
    ]
    made = origin(*calls, ran(1, "r = llm_query_batched(p)\nFINAL_VAR(r)"))
    [span] = cover(made, Texts(POEM), {}).spans
    assert (span.start, span.end) == (0, 4500)


def test_the_context_handed_to_a_child_counts_as_given() -> None:
    start, end = POEM.index("Line 10 "), POEM.index("\nLine 50 ")
    part = POEM[start:end]
    made = origin(
        call("0", 0, cell=1, op="rlm_query", child="0.1", prompt="How sad is it?"),
        ran(1, "x = rlm_query('…', part)\nFINAL_VAR(x)"),
    )
    covered = cover(made, Texts(POEM), {"0.1": part})
    assert covered.calls == (((start, end),),)
    assert covered.share == pytest.approx((end - start) / len(POEM))
    assert (covered.spans[0].first_line, covered.spans[0].last_line) == (11, 50)
