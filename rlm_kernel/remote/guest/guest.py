"""The guest itself: the names it gives to the cells, and the hooks around them."""

import contextlib
import inspect
import json
import sys
import threading

from . import globals as repl_globals
from .answers import PICTURES, check, written
from .broker_client import BrokerClient
from .calls import Calls
from .describe import describe, guarded
from .errors import AnswerRefused, CallRefused, LimitReached, LMError
from .hardening import harden, hide_our_frames
from .magics import register
from .rewriter import Rewriter
from .schemas import schema_of
from .seeds import Seeds
from .threads import cell_now
from .tools import define, findable
from .type_schemas import NoSchema
from .values import load, plain, snapshot
from .wire import SNAPSHOT_BYTES
from .writers import Writers

NAMES_SHOWN = 60
MODULES_OFTEN_WANTED = (
    "numpy", "pandas", "matplotlib", "scipy", "sklearn", "polars", "requests", "bs4", "yaml",
    "tiktoken", "networkx", "sympy",
)  # fmt: skip


class Guest:
    """The REPL globals of one kernel and the hooks around its cells."""

    def __init__(self, shell, config):
        self.shell = shell
        self.broker = BrokerClient(config["address"], config["token"])
        self.calls = Calls(self.broker)
        self.guards_names = False
        self._cell = None
        self._notices = []
        self._answer = None
        self._refused = None
        self._wanted = None
        self.given = []  # the object of the last answer
        self._hidden = set(shell.user_ns)
        self._streams = sys.stdout, sys.stderr
        self._writers = Writers()
        self.seeds = Seeds()
        self._context = None
        self._has_context = False
        self._given = None
        self.names = self._functions(config["tools"])
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
        self.broker.ask({"op": "context", "info": describe(self._given)})

    def find(self, name):
        """Tell the host whether there is such a variable, if not then what there is."""
        found = name in self.shell.user_ns
        told = {} if found else {"missing": name, "names": [n for n, _ in self.variables()]}
        self.broker.ask(dict(told, op="find"))

    def form(self, text):
        """Tell the host the schema of a type expression, or what is wrong with it."""
        try:
            told = {"schema": json.dumps(schema_of(text, self.shell.user_ns))}
        except NoSchema as error:
            told = {"wrong": str(error)}
        self.broker.ask(dict(told, op="form"))

    def adopt(self, name):
        """Take a variable as ``context`` and tell the host what it is, with a copy of its value
        where it is of a moderate size and can be copied."""
        value = self.shell.user_ns[name]
        self._take(value)
        report = {"op": "context", "info": describe(value), "same": value is self._given}
        copied = None if report["same"] else guarded(lambda v: snapshot(v, SNAPSHOT_BYTES), value)
        kind, data = copied or (None, b"")
        self.broker.ask(dict(report, kind=kind), data)

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
        """Take a value, as it is now, for the answer. Raises ``AnswerRefused`` for one that is not
        of the wanted form, which is kept as a draft."""
        self._answer, self._refused = written(value, self._bundle), None
        self.given[:] = [value]
        try:
            if self._wanted is not None:
                check(value, self._wanted)
        except AnswerRefused as refused:
            self._refused = refused.wrong
            raise

    def _bundle(self, value):
        """The pictures that a notebook would show of a value. Not all that it would show: an
        object that displays itself would do so now."""
        formatters = self.shell.display_formatter.formatters
        return {mime: formatters[mime](value) for mime, _ in PICTURES if mime in formatters}

    # hooks
    def _before(self, info):
        request = self.shell.kernel.get_parent("shell").get("metadata", {}).get("rlm", {})
        self._cell = request.get("cell")
        cell_now.set(self._cell)
        threading.main_thread()._rlm_cell = self._cell  # type: ignore[attr-defined]
        self.guards_names = request.get("author") == "lm"
        self.calls.hold_to(request.get("most", {}))
        self._notices = []
        self._answer = None
        self._refused = None
        self._wanted = request.get("wanted")
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
        given, draft = self._answers(error)
        told = given or draft
        if told is not None and told.notice is not None:
            self.notice(told.notice)
        # Not current_cell(): a cell that awaits ran in a task with variables of its own.
        report = {"op": "ran", "cell": self._cell}
        report.update(answer=given and given.told(), draft=draft and draft.told())
        report.update(refused=self._refused)
        report.update(notices=self._notices, names=[n for n, _ in self.variables()])
        report.update(concurrent=self._writers.several)
        if self.guards_names:  # now: before the next cell the kernel tells them where to write
            sys.stdout, sys.stderr = self._streams
        self.guards_names = False
        self._report(report, told.attached.data if told and told.attached else b"")

    def _report(self, report, attached):
        """Tell the host how the cell ended; without its answer where it does not take that."""
        try:
            if not self.broker.ask(report, attached).get("error"):
                return
        except CallRefused:
            pass  # as if the host had refused it
        except ConnectionError:  # the host is gone, or ends what is far too large
            return
        self._notices.append("The answer is too large to be taken: give less of it.")
        with contextlib.suppress(ConnectionError):
            self.broker.ask(dict(report, answer=None, draft=None))

    def _answers(self, error):
        """The answer of a cell that ended well, and the best answer so far otherwise."""
        box = self.shell.user_ns.get("answer")
        box = box if isinstance(box, dict) else {}
        ready, given = bool(box.get("ready")), self._answer
        if given is None and (ready or box.get("content", "") not in ("", None)):
            try:
                self.finish(box.get("content", ""))
            except AnswerRefused as refused:
                if ready:
                    self.notice("`answer` was not taken: %s." % refused)
            given, self._answer = self._answer, None
            ready = ready and not self._refused
        if error is None and not self._refused and (ready or self._answer is not None):
            if ready:
                box["ready"] = False  # the next question of this session is not answered by it
            return given, None
        return None, given

    def _hint(self, error):
        if isinstance(error, NameError):
            names = ", ".join([n for n, _ in self.variables()] + sorted(self.names))
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
    def _functions(self, tools):
        """Return ours and the tools that are called back, by name."""
        names = repl_globals.bind(self)
        names.update((tool["name"], self._tool(**tool)) for tool in tools)
        for name, function in names.items():  # so that multiprocessing can pickle them by name
            function.__module__, function.__qualname__ = "__main__", name
        return names

    def variables(self):
        """Return names and values made in this session, oldest first, at most ``NAMES_SHOWN``."""
        made = [
            (name, value)
            for name, value in list(self.shell.user_ns.items())
            if name not in self._hidden and not name.startswith("_") and not inspect.ismodule(value)
        ]
        return made[-NAMES_SHOWN:]

    def _tool(self, name, signature, doc):
        def tool(*args, **kwargs):
            kwargs_and_args = {"args": list(args), "kwargs": kwargs}
            if not plain(kwargs_and_args):
                raise CallRefused(
                    "%s takes JSON values only (str, numbers, lists, dicts, None)" % name
                )
            return self.calls.ask(self.calls.request("tool", name=name, **kwargs_and_args))

        tool.__name__ = name
        tool.__doc__ = "%s%s\n\n%s" % (name, signature, doc)
        return tool
