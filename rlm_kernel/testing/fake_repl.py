"""A REPL in this process, so that what surrounds the cells is tested without a kernel."""

from __future__ import annotations

import ast
import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from ..answers import Answer
from ..endings import in_daemon_thread
from ..errors import CallRefused, ContextError, LimitReached
from ..events import ContextInfo, Output
from ..inputs.contexts import Source
from ..record.outputs import Collector
from ..remote.guest.answers.answer import check as check_form
from ..remote.guest.answers.answer import written
from ..remote.guest.answers.doubts import doubt as doubt_of
from ..remote.guest.answers.evidence import checked as evidence_in
from ..remote.guest.calls import Calls as GuestCalls
from ..remote.guest.describe import describe
from ..remote.guest.errors import AnswerRefused
from ..remote.guest.globals import BATCHES, GLOBALS, YIELDING, variable_line
from ..repl.broker import Request
from ..repl.frames import Payload
from ..repl.guest_client import KernelSetup
from ..repl.protocol import Call, Calls, RefusedCall, Slot, as_answer, check, refusal
from ..repl.running_cell import Author, Ran
from ..rlm.cell_runner import OpenRunner
from ..settings.limits import CellLimits, Rate
from .in_process import Stream, error_content, loaded

GRACE_SECONDS = 3.0
"""How long a cancelled cell may take to end before nobody waits for it."""


class FakeRepl:
    """Runs cells by ``exec`` in a thread of this process, as far as the loop uses a REPL.

    Cells have the names that a kernel's have but ``SHOW_VARS``, and a ``print`` of their own; the
    value of a last expression is shown. A cell whose source is in ``script`` does not run: it ends
    as is said there.

    Not promised: a clock, an interrupt, guarded names, the user's tools and data, seeds, IPython's
    magics, outputs of anything but ``print``. A cancelled cell ends only where it waits for a call.
    """

    def __init__(self, calls: Calls, script: Mapping[str, Ran] | None = None) -> None:
        self.calls = calls
        self.held = CellLimits()
        self.sandbox = ""
        self.ran: list[str] = []
        """The sources of the cells so far."""
        self._script = script or {}
        self._globals: dict[str, Any] = {}
        self._known: dict[str, tuple[int, str]] = {}
        self._own: set[str] = set()
        self._answer: Answer | None = None
        self._refused: str | None = None
        self._named: str | None = None
        self._word: str | None = None
        self._doubt: str | None = None
        self._unsure: str | None = None
        self._failure: BaseException | None = None
        self._caller = GuestCalls(self)  # type: ignore[no-untyped-call]
        self._serving: set[asyncio.Future[Slot]] = set()
        self._cell = 0

    @classmethod
    def opener(cls, script: Mapping[str, Ran] | None = None) -> OpenRunner:
        """Return what opens one for each node, as ``Session(open_runner=...)`` takes it."""

        @asynccontextmanager
        async def opened(calls: Calls, setup: KernelSetup) -> AsyncIterator[FakeRepl]:
            yield cls(calls, script)

        return opened

    @property
    def names(self) -> list[str]:
        """The variables that cells made, oldest first."""
        return list(self._known)

    @property
    def variables(self) -> list[str]:
        """The same with their types and sizes."""
        return [line for _, line in self._known.values()]

    def collector(self) -> Collector:
        return Collector()

    def unpaid(self) -> tuple[float, Rate]:
        return 0.0, Rate()

    async def seed(self, number: int | None) -> None:
        """Seed nothing: the cells draw from this process's generators."""

    async def restart(self) -> None:
        """Take the names of all cells away."""
        self._globals, self._known = {n: self._globals[n] for n in self._own & {*self._globals}}, {}

    async def revive(self, *, context: bool = True) -> str | None:
        """Return None: it does not die."""

    async def set_context(self, source: Source) -> ContextInfo:
        """Bind ``context`` to the source's value; a new one takes the names of all cells away."""
        value, notes = await asyncio.to_thread(loaded, source)
        self._caller.given = value
        self._globals = self._first(value)
        self._own = {*self._globals, "__builtins__"}
        told = {**describe(value), "notice": source.notice, "notes": [*source.notes, *notes]}
        return ContextInfo(**told, spec=source.spec())

    async def adopt(self, name: str) -> tuple[ContextInfo, Source | None]:
        """Bind ``context`` to a variable's value, of which there is no copy."""
        if name not in self._globals:
            raise ContextError(f"there is no variable {name!r}")
        value = self._globals["context"] = self._caller.given = self._globals[name]
        spec = {"kind": "variable", "name": name, "sha256": None, "size": None, "path": None}
        return ContextInfo(**describe(value), spec={**spec, "variable": name}), None

    async def run(
        self,
        source: str,
        *,
        cell: int,
        author: Author = "lm",
        seconds: float | None = None,
        collector: Collector | None = None,
        on_output: Callable[[Output], None] | None = None,
        inputs: Sequence[str | None] = (),
    ) -> Ran:
        """Run one cell; its errors are in the result. Raises what answering its calls raised."""
        self.ran.append(source)
        if source in self._script:
            return self._script[source]
        kept, loop = collector or self.collector(), asyncio.get_running_loop()
        show = partial(self._show, kept, on_output)
        self._cell, self._answer, self._refused = cell, None, None
        self._named = self._word = self._doubt = self._unsure = None
        most = {"prompt_chars": self.held.prompt_chars, "batch": self.held.batch}
        self._caller.hold_to(most)  # type: ignore[no-untyped-call]
        self._bind(loop, lambda *shown: loop.call_soon_threadsafe(show, *shown))
        started = time.monotonic()
        error = await self._awaited(asyncio.ensure_future(in_daemon_thread(self._executed, source)))
        if error is not None:
            show("error", error_content(error, source))
        if self._failure is not None:
            raise self._failure
        return self._ended(error, kept, time.monotonic() - started)

    async def _awaited(self, executing: asyncio.Future[Exception | None]) -> Exception | None:
        """Return what the cell raised. When cancelled, the calls that it waits for are too."""
        try:
            await asyncio.wait({executing})
        except asyncio.CancelledError:
            for serving in self._serving:
                serving.cancel()
            ending: set[asyncio.Future[Any]] = {executing, *self._serving}
            await asyncio.wait(ending, timeout=GRACE_SECONDS)
            executing.cancel()
            raise
        return executing.result()

    def _show(
        self,
        kept: Collector,
        on_output: Callable[[Output], None] | None,
        kind: str,
        content: dict[str, Any],
    ) -> None:
        output = kept.add(kind, content)
        try:
            if output is not None and on_output is not None:
                on_output(output)
        except Exception as error:  # noqa: BLE001 (raised where the cell is awaited)
            self._failure = error

    def _ended(self, error: Exception | None, kept: Collector, seconds: float) -> Ran:
        names = filter(self._made, self._globals)
        before, self._known = self._known, {name: self._seen(name) for name in names}
        made = [name for name, seen in self._known.items() if before.get(name) != seen]
        answer, draft = self._answers(error)
        return Ran(
            status="ok" if error is None else "error",
            outputs=kept.outputs,
            notices=[],
            answer=answer,
            draft=draft,
            refused=self._refused,
            wanted=self.held.wanted,
            execution_count=len(self.ran),
            seconds=seconds,
            names=self.names,
            variables=self.variables,
            made=made,
            called=self._answer is not None,
            named=self._named,
            word=self._word,
            doubt=self._doubt,
            unsure=self._unsure,
        )

    def _seen(self, name: str) -> tuple[int, str]:
        return id(self._globals[name]), variable_line(name, self._globals[name])  # type: ignore[no-untyped-call]

    # in the cell's thread
    def _executed(self, source: str) -> Exception | None:
        """Run a source; return what it raised."""
        try:
            tree = ast.parse(source)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<cell>", "exec"), self._globals)
            if isinstance(last, ast.Expr):
                shown = compile(ast.Expression(last.value), "<cell>", "eval")
                self._globals["__show__"](eval(shown, self._globals))
        except Exception as error:  # noqa: BLE001 (it is the cell's, and shown there)
            return error
        return None

    def _first(self, context: object) -> dict[str, Any]:
        """The names that are there before the first cell."""
        ours: dict[str, Any] = {g.name: g.function for g in GLOBALS if g.yields}
        asked = {g.name: getattr(self._caller, g.name) for g in GLOBALS if g.answered_by}
        box = {"content": "", "ready": False}
        return dict(ours | asked, context=context, answer=box, print=print, FINAL_VAR=self._final)

    def _bind(
        self, loop: asyncio.AbstractEventLoop, show: Callable[[str, dict[str, Any]], object]
    ) -> None:
        """Let what the next cell prints, shows and asks come to ``show`` and this ``loop``."""

        def shown(value: object) -> None:
            if value is not None:
                data = {"text/plain": repr(value)}
                show("execute_result", {"data": data, "execution_count": len(self.ran)})

        self._loop = loop
        self._globals["print"] = partial(print, file=Stream(show))
        self._globals["__show__"] = shown
        self._own |= {"print", "__show__"}

    def _made(self, name: str) -> bool:
        made = name not in self._own and not name.startswith("_")
        return made and not inspect.ismodule(self._globals[name])

    def _final(self, value: object, evidence: object = None, doubt: str | None = None) -> None:
        word = value if isinstance(value, str) and value.isidentifier() else None
        named = word in self._globals and word not in YIELDING
        self._named, self._word = (word, None) if named else (None, word)
        given = value if self._named is None else self._globals[self._named]
        self._unsure = doubt
        self._doubt = doubt_of(given, self._named)  # type: ignore[no-untyped-call]
        self._give(given, evidence_in(evidence, self._globals["context"]))

    def _give(self, value: object, evidence: Sequence[Any] = ()) -> None:
        told = {**written(value).told(), "evidence": list(evidence)}
        self._answer, self._refused = as_answer(told), None
        try:
            if self.held.wanted is not None:
                check_form(value, self.held.wanted)
                self._doubt = None
        except AnswerRefused as refused:
            self._refused = refused.wrong
            raise

    def _answers(self, error: Exception | None) -> tuple[Answer | None, Answer | None]:
        """The answer of a cell that ended well, and the best one so far of another."""
        box = self._globals["answer"]
        if self._answer is None and box["ready"]:
            self._doubt = doubt_of(box["content"])  # type: ignore[no-untyped-call]
            with suppress(AnswerRefused):
                self._give(box["content"])
        if self._answer is None:
            return None, self._draft(box["content"])
        if error is not None or self._refused is not None:
            return None, self._answer
        box["ready"] = False
        return self._answer, None

    def _draft(self, content: object) -> Answer | None:
        if content == "":
            return None
        with suppress(AnswerRefused):
            self._give(content)
        draft, self._answer = self._answer, None
        return draft

    # calls
    def ask(self, header: dict[str, Any], payload: bytes = b"") -> Slot:
        """Answer a request of the cell as the host does. For the guest's ``Calls``."""
        request = Request({**header, "cell": self._cell}, Payload.of(payload))
        try:
            call = check(request, self.held.prompt_chars, self.held.batch)
        except CallRefused as error:
            return refusal(str(error))
        assert call is not None, header
        # Answered on the loop, for which the cell's thread waits.
        return asyncio.run_coroutine_threadsafe(self._attended(call), self._loop).result()

    async def _attended(self, call: Call) -> Slot:
        """Serve a call in a task that is cancelled with its cell."""
        serving = asyncio.ensure_future(self._served(call))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        return await serving

    async def _served(self, call: Call) -> Slot:
        try:
            slots = await self.calls.serve(call)
        except RefusedCall as refused:
            return refused.slot
        except (LimitReached, CallRefused) as error:
            return refusal(str(error), type(error).__name__)
        except Exception as error:  # noqa: BLE001 (raised where the cell is awaited)
            self._failure = error
            return refusal("the run ends", "LMError", cause="interrupted")
        return {"value": slots} if call.op in BATCHES else slots[0]
