"""Judges what a cell gave to ``FINAL_VAR``: words that look like names, values that are none."""

import ast
import inspect
import re
import types
from collections.abc import Iterator
from functools import partial

from ..errors import FAILED_TEXTS, FailedReply

USUAL = frozenset(
    {
        "ans", "answer", "answers", "final", "out", "output", "outputs", "reply", "res", "response",
        "result", "results", "ret", "solution", "summary", "value", "var", "variable",
    }
)  # fmt: skip
"""Words that are names of variables far more often than answers."""
SHORTEST = 3
"""Shorter words are one edit from too many others to be taken for a slip."""
LOOKED_AT = 100_000
"""Characters of an answer in which addresses are looked for."""
DISPLAYS = (
    "_ipython_display_", "_repr_html_", "_repr_latex_", "_repr_markdown_", "_repr_mimebundle_",
    "_repr_svg_",
)  # fmt: skip
"""Methods of objects that a notebook shows otherwise than by their text."""
_ADDRESS = re.compile(r"<[^\n]{1,300}? at 0x[0-9a-fA-F]{6,16}>")
_BINDS = re.compile(r"\b(\w+)\s*=(?!=)|\b(?:def|class|as|for)\s+(\w+)")


def looks_like_name(word, names, bound):
    """Return whether a word that names no variable was rather meant for one: by its look, for being
    one edit from one of ``names``, or in ``bound``, those that cells would have made."""
    if "_" in word or any(c.isdigit() for c in word) or word.lower() in USUAL or word in bound:
        return True
    return any(_one_edit(word, name) for name in names)


def _one_edit(word, name):
    """Return whether one letter put in, left out, changed or swapped with the next makes a word a
    name."""
    short, long = sorted((word, name), key=len)
    if len(short) < SHORTEST or len(long) - len(short) > 1:
        return False
    same = next((i for i, c in enumerate(short) if c != long[i]), len(short))
    if len(long) > len(short):
        return short[same:] == long[same + 1 :]
    swapped = short[:same] + short[same : same + 2][::-1] + short[same + 2 :]
    return short[same + 1 :] == long[same + 1 :] or swapped == long


def bound_in(tree):
    """Return all names that a cell's syntax tree binds, in whatever scope."""
    names: set[str | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        else:  # functions, classes, caught errors, captures
            names.add(getattr(node, "name", None))
    return names - {None}


def bound_in_text(source):
    """Return names that a cell seems to bind whose syntax is wrong."""
    return {name for found in _BINDS.findall(source) for name in found if name}


def doubt(value, name=None, text=""):
    """Return the words with which the LM is asked about a value that is no answer, given by the
    variable ``name`` or as it is; None for any other. ``text`` is what a human would be shown."""
    found = _nothing(value) or _opaque(value, text)
    if found is None:
        return None
    kind, way = found
    if name is not None:
        kind = "the variable `%s`, which is %s" % (name, kind)
        way += ', or give the word: FINAL_VAR(value="%s")' % name
    return "FINAL_VAR was given %s. That is no answer: %s." % (kind, way)


def _nothing(value):
    """Return what a value is that is no answer, and what to do about it; None for any other."""
    if value is None:
        return "None", "print the value first; `print(...)` and `list.sort()` return None"
    if value is Ellipsis or value is NotImplemented:
        return "`%r`" % (value,), "give the value itself"
    if isinstance(value, FailedReply):
        return "the error of a sub-call that failed", "ask again, or answer without it"
    if isinstance(value, (str, bytes)) and not value.strip():
        return "an empty text", "give the answer in words"
    if isinstance(value, BaseException):
        return "an error (%s)" % type(value).__name__, "give the answer in words"
    return _failures(value) or _code(value) or _pending(value)


def _opaque(value, text):
    """Return what a value is in whose text an address stands for the content of an object."""
    found = _ADDRESS.search(text[:LOOKED_AT])
    if found is None or (isinstance(value, str) and found.group() != text.strip()):
        return None
    if any(hasattr(type(value), name) for name in DISPLAYS):
        return None
    shown = found.group()[:100]
    return "an object that does not show its content (`%s`)" % shown, "give the content itself"


def _failures(value):
    items = value.values() if isinstance(value, dict) else value
    if isinstance(value, str) and FAILED_TEXTS:  # which code may have made of them
        items = [line for line in value.splitlines() if line.strip()]
    elif not isinstance(value, (list, tuple, set, frozenset, dict)):
        return None
    if not items or not all(map(_failed, items)):
        return None
    return "nothing but errors of sub-calls that failed", "ask again, or answer without them"


def _failed(item):
    return isinstance(item, str) and item.strip() in FAILED_TEXTS


def _code(value):
    if isinstance(value, types.ModuleType):
        return "a module", "give a value"
    if isinstance(value, type):
        return "a class", "give a value"
    if isinstance(value, types.MethodType):
        return "a method", "call it"
    return (
        ("a function", "call it")
        if inspect.isroutine(value) or isinstance(value, partial)
        else None
    )


def _pending(value):
    if inspect.isawaitable(value):
        return "a coroutine that was not awaited", "await it"
    if inspect.isasyncgen(value):
        return "an async generator", "collect its items in a list"
    if isinstance(value, Iterator):
        return "an iterator (%s)" % type(value).__name__, "`list(...)` makes its items a list"
    return None
