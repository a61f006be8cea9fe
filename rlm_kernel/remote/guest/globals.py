"""The REPL globals: what every cell finds in its namespace.

``GLOBALS`` is the one list of them. The host derives its own lists from it, so nothing here needs
IPython. A new function is written here and entered there; tests then hold the system message and
the README to it.
"""

import inspect
import sys
from typing import Any, Callable, NamedTuple, Optional

from .calls import check_type, replies
from .describe import guarded

_guest: Any = None


def bind(guest):
    """Return the functions by name; from now on they speak for this guest."""
    global _guest
    _guest = guest
    return {g.name: g.function for g in GLOBALS if g.function is not None}


def llm_query(prompt, model=None):
    """Ask a sub-LM and return its reply. It sees nothing but the prompt."""
    calls = _guest.calls
    calls.check(prompt)
    return calls.ask(calls.request("llm_query", prompts=[prompt], model=model))


async def _llm_query_aio(prompt, model=None):
    """``llm_query`` for asyncio code."""
    calls = _guest.calls
    calls.check(prompt)
    return await calls.ask_aio(calls.request("llm_query", prompts=[prompt], model=model))


def llm_query_batched(prompts, model=None):
    """Ask a sub-LM many prompts at once; replies come in the same order.

    A prompt that failed has a ``FailedReply`` (a str beginning ``Error:``) in its slot.
    """
    calls = _guest.calls
    prompts = calls.check_batch(prompts, "llm_query", calls.check)
    request = calls.request("llm_query_batched", prompts=prompts, model=model)
    return replies(calls.ask(request)) if prompts else []


async def _llm_query_batched_aio(prompts, model=None):
    """``llm_query_batched`` for asyncio code."""
    calls = _guest.calls
    prompts = calls.check_batch(prompts, "llm_query", calls.check)
    request = calls.request("llm_query_batched", prompts=prompts, model=model)
    return replies(await calls.ask_aio(request)) if prompts else []


def rlm_query(prompt, context=None, model=None):
    """Ask an LM that has a REPL of its own; ``context`` is its input."""
    check_type(prompt, "prompt")
    calls = _guest.calls
    return calls.ask(*calls.for_children("rlm_query", [prompt], [context], model))


def rlm_query_batched(prompts, contexts=None, model=None):
    """``rlm_query`` for many prompts, each with its own context, at the same time."""
    calls = _guest.calls
    prompts = calls.check_batch(prompts, "rlm_query", check_type)
    request = calls.for_children("rlm_query_batched", prompts, contexts, model)
    return replies(calls.ask(*request)) if prompts else []


def FINAL_VAR(value):
    """End the run with this value, or with the variable that a string literal names."""
    _guest.finish(value)


def _named(name):
    """``FINAL_VAR("name")``: end the run with the caller's variable of that name."""
    frame = sys._getframe(1)
    for names in (frame.f_locals, frame.f_globals):
        if name in names:
            return _guest.finish(names[name])
    there = ", ".join(n for n, _ in _guest.variables()) or "none yet"
    raise NameError("FINAL_VAR: there is no variable %r; there are: %s" % (name, there))


class _Listing(str):
    """Text that a notebook shows as it is."""

    def __repr__(self):
        return str(self)


def SHOW_VARS():
    """The variables made so far: name, type, size."""
    lines = [variable_line(name, value) for name, value in _guest.variables()]
    return _Listing("\n".join(lines) or "no variables yet")


def variable_line(name, value):
    """Return a variable's name, type and size in a line. Never raises."""
    return "%s: %s%s" % (name, type(value).__name__, guarded(_size, value) or "")


def _size(value):
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return " of shape %s" % (shape,)
    return " of length %s" % format(len(value), ",")


llm_query.aio = _llm_query_aio  # type: ignore[attr-defined]
llm_query_batched.aio = _llm_query_batched_aio  # type: ignore[attr-defined]
FINAL_VAR.named = _named  # type: ignore[attr-defined]


class Global(NamedTuple):
    """A name of ours in the cells' namespace. ``function`` is None for a variable; ``answered_by``
    says who answers its calls, which the host records under its name: an ``"lm"``, a ``"child"``,
    or nobody; ``told`` is false for what the system message leaves out."""

    name: str
    function: Optional[Callable[..., Any]] = None
    answered_by: Optional[str] = None
    told: bool = True

    @property
    def call(self) -> str:
        """Return it as a cell writes it: ``name(parameters)``, or a variable's name alone."""
        return self.name + (str(inspect.signature(self.function)) if self.function else "")


GLOBALS = (
    Global("context"),
    Global("llm_query", llm_query, answered_by="lm"),
    Global("llm_query_batched", llm_query_batched, answered_by="lm"),
    Global("rlm_query", rlm_query, answered_by="child"),
    Global("rlm_query_batched", rlm_query_batched, answered_by="child"),
    Global("FINAL_VAR", FINAL_VAR),
    Global("answer", told=False),
    Global("SHOW_VARS", SHOW_VARS),
)
NAMES = frozenset(g.name for g in GLOBALS)
ASKING = frozenset(g.name for g in GLOBALS if g.answered_by is not None)
"""Those whose calls an LM or a child answers."""
CHILD_STARTING = frozenset(g.name for g in GLOBALS if g.answered_by == "child")
