"""The guest: what runs inside the inner kernel and defines the REPL globals.

This package is sent to the kernel as it is, so it imports nothing but the standard library and
itself, keeps to Python 3.9 syntax and is given no secret but the broker's token of its own node.
The host trusts nothing that it sends.
"""

import contextlib
import inspect
import json
import os
import sys
import threading

from .describe import describe, guarded
from .errors import CallRefused, FailedReply, LimitReached, LMError, ToolError, from_host
from .hardening import harden, hide_our_frames
from .interrupts import reach_what_awaits
from .magics import register
from .rewriter import Rewriter
from .seeds import Seeds
from .threads import cell_now, current_cell, mark_threads
from .tools import define, findable
from .values import Folder, dump, load, plain, snapshot
from .wire import HEADER, MAX_HEADER, MAX_PAYLOAD, Line, pack, unpack_header
from .writers import Writers, lose_no_output

__all__ = [
    "HEADER",
    "MAX_HEADER",
    "MAX_PAYLOAD",
    "SNAPSHOT_BYTES",
    "CallRefused",
    "FailedReply",
    "Folder",
    "LMError",
    "LimitReached",
    "ToolError",
    "adopt",
    "boot",
    "describe",
    "dump",
    "find",
    "load",
    "pack",
    "plain",
    "set_context",
    "unpack_header",
]

NAMES_SHOWN = 60
LONGEST_MODEL = 200
SNAPSHOT_BYTES = 64 << 20
MODULES_OFTEN_WANTED = (
    "numpy", "pandas", "matplotlib", "scipy", "sklearn", "polars", "requests", "bs4", "yaml",
    "tiktoken", "networkx", "sympy",
)  # fmt: skip


class Listing(str):
    """Text that a notebook shows as it is."""

    def __repr__(self):
        return str(self)


class Guest:
    """The REPL globals of one kernel and the hooks around its cells."""

    def __init__(self, shell, config):
        self.shell = shell
        self.line = Line(config["address"], config["token"])
        self.max_prompt_chars = self.max_batch = sys.maxsize
        self.guards_names = False
        self._pid = os.getpid()
        self._cell = None
        self._notices = []
        self._answer = None
        self._hidden = set(shell.user_ns)
        self._streams = sys.stdout, sys.stderr
        self._writers = Writers()
        self.seeds = Seeds()
        self._context = None
        self._has_context = False
        self._given = None
        self.names = self._globals(config["tools"])
        for name, item in config["data"].items():
            self.names[name] = load(item, item.get("file"))
        errors = {error.__name__: error for error in (LMError, LimitReached, CallRefused)}
        self.names.update(define(config["modules"], {**errors, **self.names}))
        self._restore()
        shell.user_ns["answer"] = {"content": "", "ready": False}
        self._hidden.update(self.names, ("answer", "context"))
        harden(shell.kernel.session)
        hide_our_frames(shell)
        shell.ast_transformers.append(Rewriter(self))
        register(shell)
        shell.events.register("pre_run_cell", self._before)
        shell.events.register("post_run_cell", self._after)

    def set_context(self, spec, path):
        """Load ``context`` and tell the host what it became."""
        self._given = load(spec, path)
        self._take(self._given)
        self.line.ask({"op": "context", "info": describe(self._given)})

    def find(self, name):
        """Tell the host whether there is such a variable, if not then what there is."""
        found = name in self.shell.user_ns
        told = {} if found else {"missing": name, "names": [n for n, _ in self._variables()]}
        self.line.ask(dict(told, op="find"))

    def adopt(self, name):
        """Take a variable as ``context`` and tell the host what it is, with a copy of its value
        where it is of a moderate size and can be copied."""
        value = self.shell.user_ns[name]
        self._take(value)
        report = {"op": "context", "info": describe(value), "same": value is self._given}
        copied = None if report["same"] else guarded(lambda v: snapshot(v, SNAPSHOT_BYTES), value)
        kind, data = copied or (None, b"")
        self.line.ask(dict(report, kind=kind), data)

    def _take(self, value):
        self._context = value
        self._has_context = True
        self.shell.user_ns["context"] = value
        self.shell.user_ns["answer"] = {"content": "", "ready": False}

    # what a cell can do with us
    def notice(self, text):
        if text not in self._notices:
            self._notices.append(text)

    def finish(self, value):
        to_string = getattr(value, "to_string", None)  # a DataFrame's str leaves rows out
        self._answer = str(to_string() if callable(to_string) else value)

    # hooks
    def _before(self, info):
        request = self.shell.kernel.get_parent("shell").get("metadata", {}).get("rlm", {})
        self._cell = request.get("cell")
        cell_now.set(self._cell)
        threading.main_thread()._rlm_cell = self._cell  # type: ignore[attr-defined]
        self.guards_names = request.get("author") == "lm"
        most = request.get("most", {})
        self.max_prompt_chars = most.get("prompt_chars", sys.maxsize)
        self.max_batch = most.get("batch", sys.maxsize)
        self._notices = []
        self._answer = None
        self._writers.begin()
        if self.guards_names:
            self._restore()

    def _after(self, result):
        error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
        if result is None or error is not None:
            self._hint(error)
        if not self.guards_names and "context" in self.shell.user_ns:
            self._context = self.shell.user_ns["context"]  # a human's assignment stands
            self._has_context = True
        self._writers.end()
        answer, draft = self._answers(error)
        # Not current_cell(): a cell that awaits ran in a task with variables of its own.
        report = {"op": "ran", "cell": self._cell, "answer": answer, "draft": draft}
        report.update(notices=self._notices, names=[n for n, _ in self._variables()])
        report.update(concurrent=self._writers.several)
        if self.guards_names:  # now: before the next cell the kernel tells them where to write
            sys.stdout, sys.stderr = self._streams
        self.guards_names = False
        with contextlib.suppress(ConnectionError):  # the host is gone: nobody to tell
            self.line.ask(report)

    def _answers(self, error):
        """The answer of a cell that ended well, and the best answer so far otherwise."""
        box = self.shell.user_ns.get("answer")
        content = str(box.get("content", "")) if isinstance(box, dict) else ""
        ready = bool(isinstance(box, dict) and box.get("ready"))
        given = self._answer if self._answer is not None else (content if ready else None)
        if error is None and given is not None:
            if ready:
                box["ready"] = False  # the next question of this session is not answered by it
            return given, None
        return None, given or content or None

    def _hint(self, error):
        if isinstance(error, NameError):
            names = ", ".join([n for n, _ in self._variables()] + sorted(self.names))
            self.notice("Names there are: context, %s." % names)
        elif isinstance(error, ImportError):
            found = [m for m in MODULES_OFTEN_WANTED if findable(m)]
            self.notice("Modules there are: the standard library; %s." % ", ".join(found))

    def _restore(self):
        """Put back what an earlier cell rebound or deleted."""
        for name, value in self.names.items():
            if self.shell.user_ns.get(name) is not value:
                self.shell.user_ns[name] = value
        if self._has_context and self.shell.user_ns.get("context") is not self._context:
            self.shell.user_ns["context"] = self._context
        self.shell.user_ns.setdefault("answer", {"content": "", "ready": False})

    # the globals
    def _variables(self):
        """Names and values made in this session, oldest first, at most ``NAMES_SHOWN``."""
        made = [
            (name, value)
            for name, value in list(self.shell.user_ns.items())
            if name not in self._hidden and not name.startswith("_") and not inspect.ismodule(value)
        ]
        return made[-NAMES_SHOWN:]

    def _check(self, prompt, where="prompt"):
        if not isinstance(prompt, str):
            raise TypeError("%s must be a str, not %s" % (where, type(prompt).__name__))
        if len(prompt) > self.max_prompt_chars:
            raise CallRefused(
                "%s has %s characters, the sub-LM takes %s at most: cut the text into pieces and "
                "ask about each with llm_query_batched"
                % (where, format(len(prompt), ","), format(self.max_prompt_chars, ","))
            )

    def _check_batch(self, prompts, name, check=None):
        if isinstance(prompts, (str, bytes)):
            raise TypeError(
                "%s_batched takes a list of prompts; this is one %s: use %s(prompt), or put the "
                "prompts in a list" % (name, type(prompts).__name__, name)
            )
        prompts = list(prompts)
        if len(prompts) > self.max_batch:
            raise CallRefused(
                "a batch of %s prompts; %s is the most in one call: keep only the pieces that the "
                "question is about, or ask in several batches"
                % (format(len(prompts), ","), format(self.max_batch, ","))
            )
        for i, prompt in enumerate(prompts):
            (check or self._check)(prompt, "prompt %d" % i)
        return prompts

    def _request(self, op, **fields):
        model = fields.get("model")
        if model is not None and (
            not isinstance(model, str) or len(model) > LONGEST_MODEL or "\n" in model
        ):  # small models write llm_query(question, text)
            raise TypeError(
                "%s takes a model's name after the prompt, and this is no name: put the text into "
                "the prompt, as in %s(question + text)" % (op, op)
                if op.startswith("llm")
                else "%s: model must be a model's name" % op
            )
        # A forked process has a main thread too, but the cell does not wait in that one.
        main = threading.current_thread() is threading.main_thread() and os.getpid() == self._pid
        return dict(op=op, cell=current_cell(), main=main, **fields)

    def _value(self, reply):
        if reply.get("error"):
            raise from_host(reply["error"])
        return reply["value"]

    def _slots(self, reply):
        return [
            FailedReply(from_host(slot["error"])) if slot.get("error") else slot["value"]
            for slot in self._value(reply)
        ]

    def _children(self, prompts, contexts, model, op):
        """The request for children: contexts go as payload, one after another."""
        if contexts is None:
            contexts = [None] * len(prompts)
        contexts = list(contexts)
        if len(contexts) != len(prompts):
            raise CallRefused("%d prompts but %d contexts" % (len(prompts), len(contexts)))
        parts = [dump(p if c is None else c) for p, c in zip(prompts, contexts)]
        given = [c is not None for c in contexts]
        sizes = [{"kind": kind, "size": len(data)} for kind, data in parts]
        request = self._request(op, prompts=prompts, model=model, contexts=sizes, given=given)
        return request, b"".join(data for _, data in parts)

    def _globals(self, tools):
        guest = self

        def llm_query(prompt, model=None):
            """Ask a sub-LM and return its reply. It sees nothing but the prompt."""
            guest._check(prompt)
            request = guest._request("llm_query", prompts=[prompt], model=model)
            return guest._value(guest.line.ask(request))

        async def llm_query_aio(prompt, model=None):
            """``llm_query`` for asyncio code."""
            guest._check(prompt)
            request = guest._request("llm_query", prompts=[prompt], model=model)
            return guest._value(await guest.line.ask_aio(request))

        def llm_query_batched(prompts, model=None):
            """Ask a sub-LM many prompts at once; replies come in the same order.

            A prompt that failed has a ``FailedReply`` (a str beginning ``Error:``) in its slot.
            """
            prompts = guest._check_batch(prompts, "llm_query")
            request = guest._request("llm_query_batched", prompts=prompts, model=model)
            return guest._slots(guest.line.ask(request)) if prompts else []

        async def llm_query_batched_aio(prompts, model=None):
            """``llm_query_batched`` for asyncio code."""
            prompts = guest._check_batch(prompts, "llm_query")
            request = guest._request("llm_query_batched", prompts=prompts, model=model)
            return guest._slots(await guest.line.ask_aio(request)) if prompts else []

        def rlm_query(prompt, context=None, model=None):
            """Ask an LM that has a REPL of its own; ``context`` is its input."""
            _check_type(prompt, "prompt")
            request = guest._children([prompt], [context], model, "rlm_query")
            return guest._value(guest.line.ask(*request))

        def rlm_query_batched(prompts, contexts=None, model=None):
            """``rlm_query`` for many prompts, each with its own context, at the same time."""
            prompts = guest._check_batch(prompts, "rlm_query", _check_type)
            request = guest._children(prompts, contexts, model, "rlm_query_batched")
            return guest._slots(guest.line.ask(*request)) if prompts else []

        def FINAL_VAR(value):
            """End the run with this value, or with the variable that a string literal names."""
            guest.finish(value)

        def named(name):
            frame = sys._getframe(1)
            for names in (frame.f_locals, frame.f_globals):
                if name in names:
                    return guest.finish(names[name])
            there = ", ".join(n for n, _ in guest._variables()) or "none yet"
            raise NameError("FINAL_VAR: there is no variable %r; there are: %s" % (name, there))

        def SHOW_VARS():
            """The variables made so far: name, type, size."""
            lines = ["%s: %s%s" % (n, type(v).__name__, _size(v)) for n, v in guest._variables()]
            return Listing("\n".join(lines) or "no variables yet")

        llm_query.aio = llm_query_aio  # type: ignore[attr-defined]
        llm_query_batched.aio = llm_query_batched_aio  # type: ignore[attr-defined]
        FINAL_VAR.named = named  # type: ignore[attr-defined]
        ours = (llm_query, llm_query_batched, rlm_query, rlm_query_batched, FINAL_VAR, SHOW_VARS)
        names = {function.__name__: function for function in ours}
        names.update((tool["name"], self._tool(**tool)) for tool in tools)
        for name, function in names.items():  # so that multiprocessing can pickle them by name
            function.__module__, function.__qualname__ = "__main__", name
        return names

    def _tool(self, name, signature, doc):
        def tool(*args, **kwargs):
            kwargs_and_args = {"args": list(args), "kwargs": kwargs}
            if not plain(kwargs_and_args):
                raise CallRefused(
                    "%s takes JSON values only (str, numbers, lists, dicts, None)" % name
                )
            return self._value(self.line.ask(self._request("tool", name=name, **kwargs_and_args)))

        tool.__name__ = name
        tool.__doc__ = "%s%s\n\n%s" % (name, signature, doc)
        return tool


def _check_type(prompt, where):
    if not isinstance(prompt, str):
        raise TypeError("%s must be a str, not %s" % (where, type(prompt).__name__))


def _size(value):
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return " of shape %s" % (shape,)
    try:
        return " of length %s" % format(len(value), ",")
    except TypeError:
        return ""


_guest = None


def boot(path):
    """Define the globals in this kernel. Called once, by the host, before the first cell.

    ``path`` holds the configuration, the token among it; it is deleted once read.
    """
    from IPython import get_ipython

    global _guest
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    os.unlink(path)
    mark_threads()
    lose_no_output(get_ipython().kernel)
    reach_what_awaits(get_ipython())
    _guest = Guest(get_ipython(), config)


def find(name):
    """Look for a variable of the kernel."""
    assert _guest is not None
    _guest.find(name)


def adopt(name):
    """Take a variable of the kernel as its input."""
    assert _guest is not None
    _guest.adopt(name)


def seed(number):
    """Seed what the cells draw from; None lets it go on from where it was before."""
    assert _guest is not None
    _guest.seeds.end()
    if number is not None:
        _guest.seeds.begin(number)


def set_context(spec, path):
    """Give the kernel its input: ``spec`` says how to read the bytes at ``path``."""
    assert _guest is not None
    _guest.set_context(spec, path)
