"""The guest itself: the names it gives to the cells, and the hooks around them."""

import contextlib
import inspect
import json
import sys
import threading
from typing import Any

from IPython.core.error import StdinNotImplementedError

from . import globals as repl_globals
from .ahead import Ahead
from .answers.answer import PICTURES, check, written
from .answers.doubts import bound_in_text, doubt, looks_like_name
from .answers.evidence import checked as evidence_in
from .broker_client import BrokerClient
from .calls import Calls
from .cells.beside import refuse_beside, unless_beside
from .cells.hardening import harden, hide_our_frames
from .cells.loops import HELPER, Loops
from .cells.magics import register
from .cells.rewriter import Rewriter
from .cells.seeds import Seeds
from .cells.threads import cell_now
from .cells.writers import Writers
from .describe import describe
from .errors import AnswerRefused, CallRefused, LimitReached, LMError
from .forms.schemas import schema_of
from .forms.type_schemas import NoSchema
from .globals import YIELDING
from .pieces import guarded
from .surroundings import surroundings
from .tools import called_back, define, named_of_main
from .values import load, opened, snapshot
from .wire import SNAPSHOT_BYTES

NAMES_SHOWN = 60
ROWS = "rows: "
GUESSES_TOLD = 3
BOX = {"content": "", "ready": False}
"""The variable ``answer`` as it is at first."""


class Guest:
    """The REPL globals of one kernel and the hooks around its cells."""

    def __init__(self, shell, config):
        self.shell = shell
        self.broker = BrokerClient(config["address"], config["token"])
        self.calls = Calls(self.broker, self._typed)
        self.guards_names = False
        self._cell = None
        self._notices = []
        self._answer = None
        self._doubt = self._unsure = None
        self._named: dict[str, Any] = {}
        self._word = self._refused = self._wanted = None
        self.bound = set()
        """The names that cells of this question have bound, those that failed among them."""
        self.given = []  # the object of the last answer
        self._hidden = set(shell.user_ns)
        self._streams = sys.stdout, sys.stderr
        self._writers, self.seeds = Writers(), Seeds()
        self._context = self._given = None
        self._has_context = False
        self._known = {}
        ours = repl_globals.bind(self)
        self.names = {
            **ours,
            **{tool["name"]: called_back(self.calls, **tool) for tool in config["tools"]},
            HELPER: Ahead(self.calls, ours["llm_query"]),
        }
        named_of_main(self.names)
        for name, item in config["data"].items():
            self.names[name] = load(item, item.get("file"))
        errors = {error.__name__: error for error in (LMError, LimitReached, CallRefused)}
        self.names.update(define(config["modules"], {**errors, **self.names}))
        self._yielding = {n: self.names[n] for n in YIELDING if self.names[n] is ours[n]}
        self._restore()
        shell.user_ns["answer"] = dict(BOX)
        self._hidden.update(self.names, ("answer", "context"))
        harden(shell.kernel.session)
        hide_our_frames(shell)
        shell.ast_transformers += [Rewriter(self), Loops()]
        register(shell)
        shell.events.register("pre_run_cell", unless_beside(shell, self._before))
        shell.events.register("post_run_cell", unless_beside(shell, self._after))

    def set_context(self, spec, path):
        """Load ``context`` and tell the host what it became."""
        self._given, notes = opened(spec, path)
        self._take(self._given)
        info = dict(describe(self._given), notes=notes, **surroundings())
        self.broker.ask({"op": "context", "info": info})

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
        report = {
            "op": "context",
            "info": dict(describe(value), **surroundings()),
            "same": value is self._given,
        }
        copied = None if report["same"] else guarded(lambda v: snapshot(v, SNAPSHOT_BYTES), value)
        kind, data = copied or (None, b"")
        self.broker.ask(dict(report, kind=kind), data)

    def _take(self, value):
        self._context = self.calls.given = value
        self._has_context = True
        self.shell.user_ns["context"] = value
        self.shell.user_ns["answer"] = dict(BOX)

    # what a cell can do with us
    def notice(self, text):
        if text not in self._notices:
            self._notices.append(text)

    def notice_guess(self, guess):
        """Tell how rows were read, for the first few that a cell asks for."""
        if sum(text.startswith(ROWS) for text in self._notices) < GUESSES_TOLD:
            self.notice(ROWS + guess)

    def input(self, question):
        """Return the line that the human types for a cell of their own."""
        try:
            return self.shell.kernel.raw_input("%s " % question)
        except StdinNotImplementedError:
            raise CallRefused("ask_human: no human is there to type a line") from None

    def _typed(self, question):
        return None if self.guards_names else self.input(question)

    def finish_word(self, word, evidence=None, unsure=None):
        """Take a word for the answer that names no variable. Raises ``NameError`` where it was
        rather meant to; it is the best answer then that there is, if there is no other."""
        there = [n for n, _ in self.variables()]
        if not looks_like_name(word, [*there, *self._reserved()], self.bound):
            self.finish(word, evidence=evidence, unsure=unsure)
            self._named = {"word": word}
            return
        self._word = word
        raise NameError(
            "FINAL_VAR: there is no variable %r; there are: %s. Give a variable as it is: "
            'FINAL_VAR(name). If the answer is this word: FINAL_VAR(value="%s")'
            % (word, ", ".join(there) or "none yet", word)
        )

    def finish(self, value, name=None, evidence=None, unsure=None):
        """Take a value, as it is now, for the answer, or that of the variable ``name``, with its
        evidence and why it may be wrong. Raises ``AnswerRefused`` for one that is not of the wanted
        form, which is kept as a draft; ``TypeError`` and ``ValueError`` for what is no evidence."""
        refuse_beside(self.shell)
        found = evidence_in(evidence, self._input())
        self._unsure = unsure and str(unsure)
        if (
            value is self.shell.user_ns.get("answer")
            and isinstance(value, dict)
            and value.keys() == BOX.keys()
        ):
            value = value["content"]  # it is meant, and not the dict
        wanted = value is None and self._wanted is not None  # a form says what None is
        self._named = {"named": name}
        self._answer = self._written(value, found)
        shown = "" if self._answer.attached else self._answer.text  # a picture shows its content
        self._doubt = None if wanted else doubt(value, name, shown)
        made = self._check(value)
        if made is not value:
            self._answer = self._written(made, found)

    def _input(self):
        """Return the input; in a cell of the human's own what they call ``context`` now."""
        ours = self.guards_names and self._has_context
        return self._context if ours else self.shell.user_ns.get("context")

    def _written(self, value, evidence=()):
        self.given[:] = [value]
        return written(value, self._bundle)._replace(evidence=evidence)

    def _check(self, value):
        """Return the value as one of the wanted form. Raises ``AnswerRefused`` where it is none."""
        self._refused = None
        if self._wanted is None:
            return value
        try:
            made = check(value, self._wanted, self.shell.user_ns)
        except AnswerRefused as refused:
            self._refused = refused.wrong
            raise
        self._doubt = None  # it is what was asked for
        return made

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
        self._notices, self._named = [], {}
        self._answer = self._doubt = self._word = self._refused = self._unsure = None
        self._wanted = request.get("wanted")
        self._writers.begin()
        if self.guards_names:
            self._restore()

    def _after(self, result):
        error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
        if result is None or error is not None:
            self._hint(error)
        if result is not None and result.error_before_exec is not None:
            self.bound.update(bound_in_text(result.info.raw_cell))
        if not self.guards_names and "context" in self.shell.user_ns:
            self._context = self.calls.given = self.shell.user_ns["context"]  # a human's stands
            self._has_context = True
        self._writers.end()
        given, draft = self._answers(error)
        told = given or draft
        if told is not None and told.notice is not None:
            self.notice(told.notice)
        # Not current_cell(): a cell that awaits ran in a task with variables of its own.
        report = {"op": "ran", "cell": self._cell}
        report.update(answer=given and given.told(), draft=draft and draft.told())
        report.update(refused=self._refused, doubt=self._doubt, unsure=self._unsure)
        report.update(called=self._called, concurrent=self._writers.several, **self._named)
        report.update(notices=self._notices, **self._report_variables())
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

    def _report_variables(self):
        """The names of all variables, those with types and sizes, and the names of those that were
        made or changed since the last cell."""
        now = {n: (id(v), repl_globals.variable_line(n, v)) for n, v in self.variables()}
        made = [name for name, seen in now.items() if self._known.get(name) != seen]
        self._known = now
        return {"names": list(now), "variables": [s for _, s in now.values()], "made": made}

    def _answers(self, error):
        """The answer of a cell that ended well, and the best answer so far otherwise."""
        box = self._box()
        if self._answer is None and box["ready"]:
            try:
                self.finish(box["content"])
            except AnswerRefused as refused:
                self.notice("`answer` was not taken: %s." % refused)
        self._called = self._answer is not None
        if error is None and self._called and self._refused is None:
            if box["ready"]:  # the next question of this session is not answered by it
                self.shell.user_ns["answer"]["ready"] = False
            return self._answer, None
        return None, self._answer or self._best(box["content"])

    def _best(self, content):
        """The best answer of a cell that gave none."""
        if content is None or (isinstance(content, str) and not content):
            if self._word is None:
                return None
            content = self._word
        with contextlib.suppress(AnswerRefused):  # it is noted, and the draft is marked
            self._check(content)
        return self._written(content)

    def _box(self):
        """The dict ``answer`` as it is now, both of its values there."""
        box = self.shell.user_ns.get("answer")
        return dict(BOX, **box) if isinstance(box, dict) and set(map(type, box)) <= {str} else BOX

    def _hint(self, error):
        if isinstance(error, NameError):
            names = ", ".join([n for n, _ in self.variables()] + sorted(self._reserved()))
            self.notice("Names there are: context, %s." % names)
        elif isinstance(error, ImportError):
            found = ", ".join(surroundings()["modules"])
            self.notice("Modules there are: the standard library; %s." % found)

    def _restore(self):
        """Put back what an earlier cell rebound or deleted."""
        for name, value in self.names.items():
            if self.yields(name):
                self.shell.user_ns.setdefault(name, value)
            elif self.shell.user_ns.get(name) is not value:
                self.shell.user_ns[name] = value
        if self._has_context and self.shell.user_ns.get("context") is not self._context:
            self.shell.user_ns["context"] = self._context
        self.shell.user_ns.setdefault("answer", dict(BOX))

    # the globals
    def yields(self, name):
        """Return whether a cell may call something of its own so."""
        return name in self._yielding

    def is_yielding(self, name, value):
        """Return whether the value is our own of a name that yields."""
        return self.yields(name) and value is self._yielding[name]

    def _reserved(self):
        return self.names.keys() - self._yielding.keys()

    def variables(self):
        """Return names and values made in this session, oldest first, at most ``NAMES_SHOWN``."""
        made = [
            (name, value)
            for name, value in list(self.shell.user_ns.items())
            if self._is_made(name, value) and not name.startswith("_")
        ]
        return made[-NAMES_SHOWN:]

    def _is_made(self, name, value):
        if name in self._hidden:
            return self.yields(name) and not self.is_yielding(name, value)
        return not inspect.ismodule(value)
