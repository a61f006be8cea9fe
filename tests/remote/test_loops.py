"""Loops that ask a sub-LM about each item: which are asked as one batch, and that none is told."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from rlm_kernel.remote.guest.ahead import Ahead
from rlm_kernel.remote.guest.cells.loops import Loops
from rlm_kernel.remote.guest.errors import CallRefused, LMError

TEXTS = [f"text {number}" for number in range(12)]
LONG = 40


class _Host:
    """Answers a prompt by itself in capitals; ``asked`` has the prompts by requests, in order."""

    def __init__(self, ahead: int = 10_000, wrong: str = "") -> None:
        self.ahead = ahead
        self.asked: list[list[str]] = []
        self.models: list[str | None] = []
        self._wrong = wrong

    def llm_query(self, prompt: str, model: str | None = None) -> str:
        self.asked.append([prompt])
        self.models.append(model)
        if self._wrong and self._wrong in prompt:
            raise LMError(f"no reply to {prompt}")
        return prompt.upper()

    def each(self, prompts: list[str], model: str | None) -> list[dict[str, Any]]:
        if any("refused" in prompt for prompt in prompts):
            raise CallRefused("a refused prompt")
        self.asked.append(prompts)
        self.models.append(model)
        return [self._slot(prompt) for prompt in prompts]

    def _slot(self, prompt: str) -> dict[str, Any]:
        if self._wrong and self._wrong in prompt:
            return {"error": {"type": "LMError", "message": f"no reply to {prompt}"}}
        return {"value": prompt.upper()}

    def fits(self, prompt: str) -> bool:
        return len(prompt) < LONG


def _run(host: _Host, source: str, given: dict[str, Any], *, rewrite: bool) -> dict[str, Any]:
    tree = ast.parse(source)
    names: dict[str, Any] = {"__name__": "__main__", **given, "texts": list(TEXTS), "out": []}
    names["llm_query"] = host.llm_query
    if rewrite:
        tree = Loops().visit(tree)
        names["_rlm_ahead"] = Ahead(host, names["llm_query"])
    printed: list[str] = []
    names["print"] = lambda *parts: printed.append(" ".join(map(str, parts)))
    ended = ""
    try:
        exec(compile(tree, "<cell>", "exec"), names)
    except Exception as error:  # noqa: BLE001 (held against that of the loop as it is written)
        line = error.__traceback__ and error.__traceback__.tb_next
        ended = f"{type(error).__name__}: {error} in {line and line.tb_lineno}"
    hidden = ("__builtins__", "llm_query", "print", "_rlm_ahead", "_rlm_asked", *given)
    kept = {n: repr(v) for n, v in names.items() if n not in hidden and " at 0x" not in repr(v)}
    return {"ended": ended, "printed": printed, **kept}


def _both(source: str, **given: Any) -> tuple[_Host, _Host]:
    """Run a cell as written and with its loops asked ahead, and hold what they leave together."""
    written, ahead = _Host(), _Host()
    assert _run(ahead, source, given, rewrite=True) == _run(written, source, given, rewrite=False)
    return written, ahead


def _flat(host: _Host) -> list[str]:
    return [prompt for prompts in host.asked for prompt in prompts]


ASKED_AT_ONCE = {
    "a list": "out = [llm_query(f'Sum up: {t}') for t in texts]",
    "what becomes of a reply": (
        "out = [(t, llm_query('Q ' + t).strip().lower()[:3]) for t in texts]"
    ),
    "a condition": "out = [llm_query(t) for t in texts if not t.endswith('3')]",
    "two loops in one": "out = [llm_query(f'{a}{b}') for a in texts[:3] for b in range(3)]",
    "a dict": "out = {t: llm_query(t) for t in texts}",
    "a set": "out = {llm_query(t) for t in texts}",
    "numbered": "out = [llm_query(f'{i} {t}') for i, t in enumerate(texts, 1)]",
    "pairs": "out = [llm_query(a + b) for a, b in zip(texts, reversed(texts))]",
    "a loop": "for t in texts:\n    out.append(llm_query(f'Sum up: {t}'))",
    "a loop over names": (
        "for i, t in enumerate(texts):\n"
        "    prompt = f'{i}: {t}'\n"
        "    reply = llm_query(prompt)\n"
        "    out.append((i, reply))\n"
        "    print(i, reply)"
    ),
    "pieces of a text": (
        "whole = ' '.join(texts)\n"
        "for start in range(0, len(whole), 9):\n"
        "    piece = whole[start:start + 9].strip()\n"
        "    out += [start]\n"
        "    last = llm_query(piece)"
    ),
    "those that are left out": (
        "for t in texts:\n    if '4' in t:\n        continue\n    out.append(llm_query(t))"
    ),
    "those that are taken": (
        "for t in texts:\n"
        "    if '1' in t:\n        out.append(llm_query(t))\n"
        "    else:\n        out.append('')"
    ),
    "errors that are caught": (
        "for t in texts:\n"
        "    try:\n        out.append(llm_query(t))\n"
        "    except ValueError as error:\n        out.append(str(error))"
    ),
    "counts": (
        "counts = {}\n"
        "for t in texts:\n"
        "    label = llm_query('Label ' + t).strip()\n"
        "    counts[label] = counts.get(label, 0) + 1"
    ),
    "in a function": (
        "def asked(all_of_them, question):\n"
        "    found = []\n"
        "    for one in all_of_them:\n"
        "        found.append(llm_query(f'{question} {one}'))\n"
        "    return found\n"
        "out = asked(texts, 'Why')"
    ),
    "the inner of two": (
        "for n in range(2):\n    for t in texts:\n        out.append(llm_query(f'{n} {t}'))"
    ),
    "a name bound anew": (
        "for t in texts:\n    t = t.strip().upper()\n    out.append(llm_query(t))\n    t = None"
    ),
    "a dict's items": (
        "for key, value in {t: t[::-1] for t in texts}.items():\n    out.append(llm_query(value))"
    ),
    "an else": "for t in texts:\n    out.append(llm_query(t))\nelse:\n    print('ended')",
}


@pytest.mark.parametrize("source", ASKED_AT_ONCE.values(), ids=ASKED_AT_ONCE)
def test_a_loop_that_asks_about_each_item_asks_at_once_and_leaves_the_same(source: str) -> None:
    written, ahead = _both(source)
    assert _flat(ahead) == _flat(written)
    assert len(ahead.asked) < len(written.asked) or len(written.asked) <= 3
    assert max(map(len, ahead.asked)) > 1


AS_WRITTEN = {
    "left early": "for t in texts:\n    r = llm_query(t)\n    if '3' in r:\n        break",
    "returned from": (
        "def first():\n"
        "    for t in texts:\n"
        "        if '3' in llm_query(t):\n            return t\n"
        "out = first()"
    ),
    "what was told goes on": "s = ''\nfor t in texts:\n    s = llm_query(s[-9:] + t)",
    "a list that grows": "for t in texts:\n    out.append(llm_query(t + str(len(out))))",
    "what it goes through grows": (
        "for t in texts:\n    llm_query(t)\n    if len(texts) < 15:\n        texts.append('more')"
    ),
    "another function": (
        "def kept(r):\n    out.append(r)\nfor t in texts:\n    kept(llm_query(t + str(len(out))))"
    ),
    "two calls": "for t in texts:\n    out.append(llm_query(llm_query(t)))",
    "an iterator": "it = iter(texts)\nfor t in it:\n    out.append((llm_query(t), next(it, '')))",
    "a generator": "out = list(llm_query(t) for t in texts)",
    "generated": (
        "def given():\n    for n in range(5):\n        print('given', n)\n        yield str(n)\n"
        "for t in given():\n    print(llm_query(t))"
    ),
    "in some cases": "for t in texts:\n    out.append('1' in t and llm_query(t))",
    "a name of its own": "def llm_query(p):\n    return p\nout = [llm_query(t) for t in texts]",
    "a function of its name": "def str(x):\n    print(x)\n    return 's'\n"
    "out = [llm_query(str(t)) for t in texts]",
    "an object that acts": (
        "class T:\n    def __str__(self):\n        print('made a text')\n        return 't'\n"
        "out = [llm_query(f'{t}') for t in [T(), T(), T()]]"
    ),
    "in a class": "class C:\n    own = 1\n    out = [llm_query(t) for t in ['a', 'b', 'c']]",
    "no name": "for t in texts:\n    out.append(llm_query(nobody + t))",
    "a handler": (
        "for t in texts:\n    try:\n        int(t)\n    except ValueError:\n        llm_query(t)"
    ),
    "keywords": "for t in texts:\n    out.append(llm_query(**{'prompt': t}))",
    "while": "while texts:\n    out.append(llm_query(texts.pop()))",
}


@pytest.mark.parametrize("source", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_any_other_runs_as_it_is_written(source: str) -> None:
    written, ahead = _both(source)
    assert ahead.asked == written.asked


def test_an_error_is_met_where_the_loop_would_have_met_it() -> None:
    source = "for t in texts:\n    out.append(t)\n    out.append(llm_query(t))"
    written, ahead = _Host(wrong="text 5"), _Host(wrong="text 5")
    left = _run(ahead, source, {}, rewrite=True)
    assert left == _run(written, source, {}, rewrite=False)
    assert left["ended"] == "LMError: no reply to text 5 in 3"
    assert len(ahead.asked) == 2  # the rest was never asked


def test_where_the_first_has_no_reply_no_other_is_asked() -> None:
    host = _Host(wrong="text")
    _run(host, ASKED_AT_ONCE["a loop"], {}, rewrite=True)
    assert host.asked == [["Sum up: text 0"]]


def test_an_item_that_cannot_be_asked_about_is_an_error_in_its_turn() -> None:
    written, ahead = _both("for t in [*texts, 7, 'x']:\n    out.append(llm_query('Q ' + t))")
    assert _flat(ahead) == _flat(written)
    _, ahead = _both("for t in ['a', 'b' * 50, 'c', 'd', 'e']:\n    out.append(llm_query(t))")
    assert ahead.asked == [["a"], ["c", "d", "e"], ["b" * 50]]


def test_prompts_that_are_refused_together_are_asked_in_turn() -> None:
    _, ahead = _both("for t in ['a', 'refused', 'c', 'd']:\n    out.append(llm_query(t))")
    assert ahead.asked == [["a"], ["refused"], ["c"], ["d"]]


def test_a_prompt_that_changed_meanwhile_is_asked_as_it_is_then() -> None:
    source = (
        "other = parts\nfor p in parts:\n    out.append(llm_query(f'{p}'))\n    other[2][0] = 'new'"
    )
    written, ahead = _Host(), _Host()
    first, second = ([["a"], ["b"], ["c"], ["d"]] for _ in range(2))
    left = _run(ahead, source, {"parts": first}, rewrite=True)
    assert left == _run(written, source, {"parts": second}, rewrite=False)
    assert _flat(written) == ["['a']", "['b']", "['new']", "['d']"]
    assert _flat(ahead) == _flat(written)  # the first was asked in its turn, and changed the third


def test_a_model_that_is_named_is_asked() -> None:
    _, ahead = _both("for t in texts:\n    out.append(llm_query(t, model='other'))")
    assert set(ahead.models) == {"other"}
    assert len(ahead.asked) == 3


def test_no_more_is_asked_at_once_than_a_call_may_bring_and_none_if_switched_off() -> None:
    for most, longest in ((4, 4), (1, 1), (0, 1)):
        host = _Host(ahead=most)
        _run(host, ASKED_AT_ONCE["a list"], {}, rewrite=True)
        assert max(map(len, host.asked)) == longest
        assert _flat(host) == [f"Sum up: {text}" for text in TEXTS]
