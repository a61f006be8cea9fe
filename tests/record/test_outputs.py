"""From a kernel's messages to outputs, and from outputs to text for the LM."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.record.filters import safe
from rlm_kernel.record.outputs import Collector, cut, text_of


def _stream(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def _shown(text: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "display_data", {"data": {"text/plain": text}, "metadata": {}, **more}


def _error(message: str) -> tuple[str, dict[str, Any]]:
    return "error", {"ename": "ValueError", "evalue": message, "traceback": ["----> 1 f(x)"]}


def _collected(*messages: tuple[str, dict[str, Any]], **bounds: int) -> list[dict[str, Any]]:
    collector = Collector(**bounds)
    for kind, content in messages:
        collector.add(kind, content)
    return collector.outputs


@given(st.text(max_size=400), st.integers(0, 450))
def test_a_cut_text_never_exceeds_its_size_and_says_what_was_cut(text: str, size: int) -> None:
    short = cut(text, size)
    assert len(short) <= size
    if len(text) <= size:
        assert short == text
    elif size > 80:
        note = re.search(r"… ([\d,]+) characters in all, cut to ([\d,]+) …", short)
        assert note is not None
        assert int(note[1].replace(",", "")) == len(text)
        assert text.startswith(short[: note.start() - 1])
        assert text.endswith(short[note.end() + 1 :])


outputs = st.lists(
    st.one_of(
        st.tuples(st.text(max_size=300), st.sampled_from(["stdout", "stderr"])).map(
            lambda pair: _stream(*pair)
        ),
        st.text(max_size=300).map(_shown),
    ),
    max_size=6,
)


@given(outputs, st.text(max_size=300), st.integers(100, 600))
def test_the_text_for_the_lm_never_exceeds_its_size_and_keeps_the_error(
    made: list[Any], message: str, size: int
) -> None:
    text = text_of(_collected(*made, _error(message)), size)
    assert len(text) <= size
    error = f"----> 1 f(x)\nValueError: {message}"
    assert text.endswith(cut(error, max(size // 2, 1)))


@given(st.lists(st.text(max_size=50), max_size=50), st.integers(2, 200))
def test_a_stream_is_kept_whole_or_with_what_is_missing_counted(
    texts: list[str], keep: int
) -> None:
    whole = "".join(texts)
    [output] = _collected(*[_stream(t) for t in [*texts, ""]], max_chars=keep)
    if output["text"] == whole:
        return
    note = re.search(r"\n… ([\d,]+) characters not kept …\n", output["text"])
    assert note is not None
    head, tail = output["text"][: note.start()], output["text"][note.end() :]
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + len(tail) + int(note[1].replace(",", "")) == len(whole)
    assert len(head) + len(tail) <= keep


def test_streams_alternate_in_the_order_they_came() -> None:
    made = _collected(_stream("a"), _stream("b"), _stream("e", "stderr"), _stream("c"))
    assert [(o["name"], o["text"]) for o in made] == [
        ("stdout", "ab"),
        ("stderr", "e"),
        ("stdout", "c"),
    ]


def test_more_outputs_than_the_bound_are_counted_and_the_error_kept() -> None:
    made = _collected(*[_shown(str(i)) for i in range(9)], _error("last"), max_outputs=3)
    assert [o["output_type"] for o in made] == ["display_data"] * 3 + ["error", "stream"]
    assert "6 more outputs not kept" in made[-1]["text"]


def test_displays_together_are_bounded() -> None:
    made = _collected(*[_shown("x" * 100) for _ in range(9)], max_size=350)
    assert len(made) == 4
    assert "6 more outputs not kept" in made[-1]["text"]


def test_a_long_text_is_cut_and_a_large_image_left_out() -> None:
    data = {"text/plain": "x" * 1000, "image/png": "A" * 9_000_000}
    [output] = _collected(("display_data", {"data": data, "metadata": {}}), max_chars=100)
    assert list(output["data"]) == ["text/plain"]
    assert len(output["data"]["text/plain"]) == 100


def test_scripts_and_widgets_are_not_kept() -> None:
    data = {"application/javascript": "alert(1)", "application/vnd.jupyter.widget-view+json": {}}
    [output] = _collected(("display_data", {"data": data, "metadata": {}}))
    assert list(output["data"]) == ["text/plain"]
    assert "not shown" in output["data"]["text/plain"]


def test_clear_output_with_wait_clears_at_the_next_output() -> None:
    collector = Collector()
    collector.add(*_stream("a"))
    collector.add("clear_output", {"wait": True})
    assert len(collector.outputs) == 1
    collector.add(*_shown("b"))
    assert [o["output_type"] for o in collector.outputs] == ["display_data"]


def test_an_update_reaches_every_display_with_its_id() -> None:
    collector = Collector()
    for text in ("a", "b"):
        collector.add(*_shown(text, transient={"display_id": "d"}))
    collector.add("update_display_data", _shown("new", transient={"display_id": "d"})[1])
    assert [o["data"]["text/plain"] for o in collector.outputs] == ["new", "new"]


def test_a_progress_bar_is_one_line_and_colours_are_gone() -> None:
    made = _collected(_stream("10%\r50%\r100%\n\x1b[31mred\x1b[0m\n"))
    assert text_of(made, 100) == "100%\nred"


def test_an_image_beside_text_is_named() -> None:
    data = {"text/plain": "<Figure>", "image/png": "AAAA"}
    made = _collected(("display_data", {"data": data, "metadata": {}}))
    assert text_of(made, 100) == "<Figure> (image/png)"


def _hostile(**more: Any) -> dict[str, Any]:
    data = {
        "text/html": "<b onclick=alert(1)>x</b>",
        "text/markdown": "<script>alert(1)</script>",
        "image/svg+xml": "<svg onload=alert(1)/>",
        "application/javascript": "alert(1)",
    }
    return {"data": data, "metadata": {"isolated": True}, **more}


def test_displays_are_made_harmless_as_they_come_in() -> None:
    [output] = _collected(("execute_result", _hostile(execution_count=1)))
    assert output["data"] == {
        "text/html": "<b>x</b>",
        "text/markdown": "<\u2060script>alert(1)<\u2060/script>",
    }
    assert output["metadata"] == {}
    assert output["execution_count"] == 1


def test_updates_are_made_harmless_too() -> None:
    collector = Collector()
    collector.add(*_shown("a", transient={"display_id": "d"}))
    collector.add("update_display_data", _hostile(transient={"display_id": "d"}))
    assert collector.outputs[0]["data"]["text/html"] == "<b>x</b>"


def test_trusted_html_stays_as_it_is_but_scripts_of_their_own_type_do_not() -> None:
    collector = Collector(trust_html=True)
    collector.add("display_data", _hostile())
    [output] = collector.outputs
    shown = _hostile()["data"]
    del shown["application/javascript"]
    assert output["data"] == shown
    assert output["metadata"] == {"isolated": True}


def test_a_display_of_which_nothing_is_left_says_its_type() -> None:
    data = {"text/html": "<script>alert(1)</script>"}
    [output] = _collected(("display_data", {"data": data, "metadata": {}}))
    assert output["data"] == {"text/plain": "[output of type text/html: not shown]"}


def test_a_cut_makes_no_beginning_of_a_line_that_was_not_made_harmless() -> None:
    definition = "[x]: javascript:alert(1) "
    for shift in range(len(definition)):
        data = {"text/markdown": "a" * shift + definition * 40}
        [output] = _collected(("display_data", {"data": data, "metadata": {}}), max_chars=200)
        assert safe(output["data"], {})[0] == output["data"]


# what is drawn again and again
PICTURE = "x" * 1000


def _picture(name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "display_data", {"data": {"image/png": PICTURE, "text/plain": name}, **more}


def _clear(wait: bool = True) -> tuple[str, dict[str, Any]]:
    return "clear_output", {"wait": wait}


def _names(outputs: list[dict[str, Any]]) -> list[str]:
    return [o["data"]["text/plain"] if "data" in o else o["text"] for o in outputs]


@pytest.mark.parametrize("wait", [True, False])
def test_a_redraw_loop_keeps_its_last_picture(wait: bool) -> None:
    drawn = [message for i in range(100) for message in (_clear(wait), _picture(f"frame {i}"))]
    assert _names(_collected(*drawn, max_size=5000)) == ["frame 99"]


def test_what_was_dropped_before_it_was_cleared_is_not_told_of() -> None:
    flood = [_picture(f"{i}") for i in range(20)]
    assert _names(_collected(*flood, _clear(), _picture("last"), max_size=5000)) == ["last"]


def test_a_picture_that_is_updated_again_and_again_is_there_as_it_was_last() -> None:
    display = {"transient": {"display_id": "one"}}
    updates = [("update_display_data", _picture(f"{i}", **display)[1]) for i in range(100)]
    assert _names(_collected(_picture("first", **display), *updates, max_size=3000)) == ["99"]


def test_an_update_that_has_no_room_is_told_of() -> None:
    display = {"transient": {"display_id": "one"}}
    larger = {"data": {"image/png": PICTURE * 9, "text/plain": "second"}, **display}
    kept = _collected(_picture("first", **display), ("update_display_data", larger), max_size=3000)
    assert _names(kept) == ["first", "… 1 more outputs not kept …\n"]


def test_a_progress_bar_is_there_as_it_was_last() -> None:
    bar = [_stream(f"\r{i:,} of 100,000", "stderr") for i in range(100_000)]
    [kept] = _collected(*bar, max_chars=1000)
    assert kept["text"].endswith("\r99,999 of 100,000")


def test_the_end_of_a_stream_stays_where_there_is_no_room_for_another_block() -> None:
    turns = [_stream(f"{i} {name}\n", name) for i in range(2000) for name in ("stdout", "stderr")]
    kept = _collected(*turns, max_outputs=50)
    assert len(kept) == 50
    assert {o["text"].splitlines()[-1] for o in kept[-2:]} == {"1999 stdout", "1999 stderr"}


def _entered(area: str, msg_id: str) -> tuple[str, dict[str, Any]]:
    return "comm_msg", {"comm_id": area, "data": {"method": "update", "state": {"msg_id": msg_id}}}


def test_a_widgets_output_area_is_cleared_alone() -> None:
    frames = [
        message
        for i in range(100)
        for message in (_entered("w", "m"), _clear(), _picture(f"frame {i}"), _entered("w", ""))
    ]
    kept = _collected(_shown("before"), *frames, _shown("after"), max_size=5000)
    assert _names(kept) == ["before", "frame 99", "after"]
    assert _names(_collected(_shown("before"), *frames, _clear(False))) == ["frame 99"]


def test_widgets_messages_of_any_form_are_taken() -> None:
    odd: list[Any] = [
        None,
        [],
        {"state": None},
        {"state": {"msg_id": []}},
        {"state": {"msg_id": {}}},
    ]
    messages = [("comm_msg", {"comm_id": i, "data": data}) for i, data in enumerate(odd * 100)]
    flood = [_entered(str(i), "m") for i in range(10_000)]
    assert _names(_collected(*messages, *flood, _shown("it")))[-1] == "it"


# what an LM reads of it
def _traced(ename: str, evalue: str, traceback: str) -> str:
    content = {"ename": ename, "evalue": evalue, "traceback": traceback.splitlines()}
    return text_of(_collected(("error", content)), 5000)


FRAMES = """\
---------------------------------------------------------------------------
KeyError                                  Traceback (most recent call last)
Cell In[9], line 7
      5         return [one(x) for x in xs]
----> 7 Work().all([{}])

Cell In[9], line 5, in Work.all(self, xs)
----> 5         return [one(x) for x in xs]

Cell In[9], line 5, in Work.all.<locals>.<listcomp>(.0)
----> 5 class Work:

Cell In[8], line 2, in one(d)
      1 def one(d):
----> 2     return look(d, 'k')

File ~/lib/python3.11/site-packages/find/core.py:10, in look(d, key)
---> 10     return deeper(d, key)

File ~/lib/python3.11/site-packages/find/core.py:20, in deeper(d, key)
---> 20     return deepest(d, key)

File ~/lib/python3.11/site-packages/find/core.py:30, in deepest(d, key)
     29 # no luck
---> 30     return d[key]

KeyError: 'k'
"""


def test_of_a_traceback_the_first_frame_the_innermost_of_a_cell_and_the_last_two_are_kept() -> None:
    assert _traced("KeyError", "'k'", FRAMES).splitlines() == [
        "----> 7 Work().all([{}])",
        "…",
        "in one:",
        "----> 2     return look(d, 'k')",
        "…",
        "find/core.py:20, in deeper:",
        "---> 20     return deepest(d, key)",
        "find/core.py:30, in deepest:",
        "---> 30     return d[key]",
        "KeyError: 'k'",
    ]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("The above exception was the direct cause of the following exception", "Caused by"),
        ("During handling of the above exception, another exception occurred", "While handling"),
    ],
)
def test_what_an_error_came_of_is_said_before_it(words: str, shown: str) -> None:
    second = "ValueError     Traceback (most recent call last)\nCell In[1], line 4\n----> 4 f()\n"
    text = _traced("ValueError", "bad", f"{FRAMES}\n{words}:\n\n{second}\nValueError: bad")
    assert text == f"{shown} KeyError: 'k'\n----> 4 f()\nValueError: bad"


def test_of_a_cause_that_says_the_same_nothing_is_said() -> None:
    chain = f"{FRAMES}\nThe above exception was the direct cause of the following exception:\n\n"
    assert "Caused by" not in _traced("KeyError", "'k'", chain + FRAMES)


def test_functions_that_call_one_another_without_end_are_shown_once() -> None:
    one = "Cell In[1], line 1, in odd(n)\n----> 1 def odd(n): even(n)\n"
    other = "Cell In[1], line 2, in even(n)\n----> 2 def even(n): odd(n)\n"
    text = _traced("RecursionError", "too deep", (one + other) * 500)
    assert text.count("in odd:") == text.count("in even:") == 1


def test_of_a_wrong_syntax_the_line_and_the_place_are_shown() -> None:
    traceback = "  Cell In[6], line 3\n    x = (1,\n        ^\nSyntaxError: '(' was never closed"
    text = _traced("SyntaxError", "'(' was never closed (2381225238.py, line 3)", traceback)
    assert text == "    x = (1,\n        ^\nSyntaxError: '(' was never closed (line 3)"


@given(st.text(max_size=300), st.lists(st.sampled_from([*FRAMES.splitlines(), "   ^"])))
def test_a_traceback_of_any_form_ends_with_the_error(text: str, lines: list[str]) -> None:
    assert _traced("E", "why", "\n".join([*lines, text])).endswith("E: why")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": "*x*"}, "*x*"),
        ({"text/plain": "<__main__.A at 0x7f80>", "text/markdown": "*x*"}, "*x*"),
        ({"text/plain": "<IPython.core.display.Latex object>", "text/latex": "$x$"}, "$x$"),
        (
            {"text/plain": "<a.B object at 0x7f80>", "application/json": {"é": [None]}},
            '{"é": [null]}',
        ),
        ({"text/plain": "<a.B object at 0x7f80>"}, "<a.B object at 0x7f80>"),
        ({"text/plain": "   a\n0  1", "text/html": "<table></table>"}, "   a\n0  1"),
        ({"text/plain": "<Figure size 9x9>", "image/png": "AAAA"}, "<Figure size 9x9> (image/png)"),
        ({"image/png": "AAAA"}, "[image/png]"),
        (
            {
                "text/plain": "<IPython.core.display.HTML object>",
                "text/html": "<b>So:</b><table><tr><td>a&amp;b<td>2</td></tr></table><p>end",
            },
            "So:\na&b | 2\nend",
        ),
    ],
)
def test_a_display_is_shown_as_the_text_that_it_has(data: dict[str, Any], text: str) -> None:
    assert text_of(_collected(("display_data", {"data": data, "metadata": {}})), 500) == text
