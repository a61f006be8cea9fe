"""A REPL in this process, so that what surrounds the cells is tested without a kernel."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NoReturn

from ..endings import in_daemon_thread
from ..errors import CallRefused, ContextError, LimitReached
from ..events import Answer, ContextInfo, Output
from ..inputs.contexts import Source
from ..record.outputs import Collector
from ..remote.guest.answers import check, written
from ..remote.guest.describe import describe
from ..remote.guest.errors import AnswerRefused, FailedReply, from_host
from ..remote.guest.values import dump, load
from ..repl.frames import Payload
from ..repl.guest_client import KernelSetup
from ..repl.protocol import Call, Calls, RefusedCall, Slot, as_answer, refusal
from ..repl.running_cell import Author, Ran
from ..rlm.cell_runner import OpenRunner
from ..settings.limits import CellLimits, Rate

GRACE_SECONDS = 3.0
"""How long a cancelled cell may take to end before nobody waits for it."""


class FakeRepl:
    """Runs cells by ``exec`` in a thread of this process, as far as the loop uses a REPL.

    Cells have ``context``, ``answer``, ``FINAL_VAR``, ``llm_query``, ``rlm_query``, their batched
    forms and a ``print`` of their own; the value of a last expression is shown. A cell whose source
    is in ``script`` does not run: it ends as is said there.

    Not promised: a clock, an interrupt, a guard of the names, tools and data that the user hands
    in, seeds, IPython's magics, outputs of anything but ``print``. A cell that is cancelled ends
    only where it waits for a call; another one goes on for as long as the process does.
    """

    def __init__(self, calls: Calls, script: Mapping[str, Ran] | None = None) -> None:
        self.calls = calls
        self.held = CellLimits()
        self.sandbox = ""
        self.ran: list[str] = []
        """The sources of the cells so far."""
        self._script = script or {}
        self._globals: dict[str, Any] = {}
        self._names: list[str] = []
        self._own: set[str] = set()
        self._answer: Answer | None = None
        self._refused: str | None = None
        self._failure: BaseException | None = None
        self._serving: set[asyncio.Future[list[Slot]]] = set()
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
        return list(self._names)

    def collector(self) -> Collector:
        return Collector()

    def unpaid(self) -> tuple[float, Rate]:
        return 0.0, Rate()

    async def seed(self, number: int | None) -> None:
        """Seed nothing: the cells draw from this process's generators."""

    async def revive(self, *, context: bool = True) -> str | None:
        """Return None: it does not die."""
        return None

    async def set_context(self, source: Source) -> ContextInfo:
        """Bind ``context`` to the source's value; a new one takes the names of all cells away."""
        value = await asyncio.to_thread(_loaded, source)
        self._globals = self._first(value)
        self._own = {*self._globals, "__builtins__"}
        return ContextInfo(**describe(value), spec=source.spec(), notice=source.notice)

    async def adopt(self, name: str) -> tuple[ContextInfo, Source | None]:
        """Bind ``context`` to a variable's value, of which there is no copy."""
        if name not in self._globals:
            raise ContextError(f"there is no variable {name!r}")
        value = self._globals["context"] = self._globals[name]
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
        self._bind(loop, lambda *shown: loop.call_soon_threadsafe(show, *shown))
        started = time.monotonic()
        error = await self._awaited(asyncio.ensure_future(in_daemon_thread(self._executed, source)))
        if error is not None:
            show("error", _told(error, source))
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
        self._names = [name for name in self._globals if self._made(name)]
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
        )

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
        batched = {"llm_query_batched": self._llm_batched, "rlm_query_batched": self._rlm_batched}
        single = {"llm_query": self._llm, "rlm_query": self._rlm, "FINAL_VAR": self._final}
        answer = {"content": "", "ready": False}
        return {"context": context, "answer": answer, "print": print, **single, **batched}

    def _bind(
        self, loop: asyncio.AbstractEventLoop, show: Callable[[str, dict[str, Any]], object]
    ) -> None:
        """Let what the next cell prints, shows and asks come to ``show`` and this ``loop``."""

        def shown(value: object) -> None:
            if value is not None:
                data = {"text/plain": repr(value)}
                show("execute_result", {"data": data, "execution_count": len(self.ran)})

        self._loop = loop
        self._globals["print"] = partial(print, file=_Stream(show))
        self._globals["__show__"] = shown
        self._own |= {"print", "__show__"}

    def _made(self, name: str) -> bool:
        made = name not in self._own and not name.startswith("_")
        return made and not inspect.ismodule(self._globals[name])

    def _final(self, value: object) -> None:
        named = isinstance(value, str) and value.isidentifier() and value in self._globals
        given = self._globals[str(value)] if named else value
        self._answer, self._refused = as_answer(written(given).told()), None
        try:
            if self.held.wanted is not None:
                check(given, self.held.wanted)
        except AnswerRefused as refused:
            self._refused = refused.wrong
            raise

    def _answers(self, error: Exception | None) -> tuple[Answer | None, Answer | None]:
        """The answer of a cell that ended well, and the best one so far of another."""
        box = self._globals["answer"]
        given = self._answer
        if given is None and (box["ready"] or box["content"] != ""):
            with suppress(AnswerRefused):
                self._final(box["content"])
            given, self._answer = self._answer, None
        if error is None and not self._refused and (self._answer is not None or box["ready"]):
            return given, None
        return None, given

    # calls
    def _llm(self, prompt: str, model: str | None = None) -> Any:
        return _value(
            self._asked(Call(op="llm_query", cell=self._cell, prompts=[prompt], model=model))
        )

    def _llm_batched(self, prompts: Sequence[str], model: str | None = None) -> list[Any]:
        call = Call(op="llm_query_batched", cell=self._cell, prompts=list(prompts), model=model)
        return [_reply(slot) for slot in self._asked(call)]

    def _rlm(self, prompt: str, context: object = None, model: str | None = None) -> Any:
        return _value(self._asked(self._children("rlm_query", [prompt], [context], model)))

    def _rlm_batched(
        self,
        prompts: Sequence[str],
        contexts: Sequence[object] | None = None,
        model: str | None = None,
    ) -> list[Any]:
        inputs = [None] * len(prompts) if contexts is None else contexts
        call = self._children("rlm_query_batched", prompts, inputs, model)
        return [_reply(slot) for slot in self._asked(call)]

    def _children(
        self, op: str, prompts: Sequence[str], inputs: Sequence[object], model: str | None
    ) -> Call:
        pairs = zip(prompts, inputs, strict=True)
        sent = [_dumped(prompt if given is None else given) for prompt, given in pairs]
        return Call(
            op=op,
            cell=self._cell,
            prompts=list(prompts),
            model=model,
            contexts=[(kind, Payload.of(data)) for kind, data in sent],
            given=[given is not None for given in inputs],
        )

    def _asked(self, call: Call) -> list[Slot]:
        """Have a call answered on the loop, for which the cell's thread waits."""
        return asyncio.run_coroutine_threadsafe(self._attended(call), self._loop).result()

    async def _attended(self, call: Call) -> list[Slot]:
        """Serve a call in a task that is cancelled with its cell."""
        serving = asyncio.ensure_future(self._served(call))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        return await serving

    async def _served(self, call: Call) -> list[Slot]:
        try:
            return await self.calls.serve(call)
        except RefusedCall as refused:
            slot = refused.slot
        except (LimitReached, CallRefused) as error:
            slot = refusal(str(error), type(error).__name__)
        except Exception as error:  # noqa: BLE001 (raised where the cell is awaited)
            self._failure = error
            slot = refusal("the run ends", "LMError", cause="interrupted")
        return _raise(slot)


class _Stream:
    """The file that the cell's ``print`` writes to."""

    def __init__(self, show: Callable[[str, dict[str, Any]], object]) -> None:
        self._show = show

    def write(self, text: str) -> int:
        self._show("stream", {"name": "stdout", "text": text})
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def _raise(slot: Slot) -> NoReturn:
    raise from_host(slot["error"])  # type: ignore[no-untyped-call]


def _value(slots: list[Slot]) -> Any:
    return slots[0]["value"] if "value" in slots[0] else _raise(slots[0])


def _reply(slot: Slot) -> Any:
    if "value" in slot:
        return slot["value"]
    return FailedReply(from_host(slot["error"]))  # type: ignore[no-untyped-call]


def _dumped(value: object) -> tuple[str, bytes]:
    return dump(value)  # type: ignore[no-any-return, no-untyped-call]


def _loaded(source: Source) -> Any:
    if source.path is not None:
        return load(source.spec(), str(source.path))
    handle, path = tempfile.mkstemp(prefix="rlm-fake-")
    with os.fdopen(handle, "wb") as file:
        file.write(source.data or b"")
    return load({**source.spec(), "remove": True}, path)


def _told(error: Exception, source: str) -> dict[str, Any]:
    """The error as a kernel's message tells it, with the line of the cell."""
    frames = traceback.extract_tb(error.__traceback__)
    at = [frame.lineno or 0 for frame in frames if frame.filename == "<cell>"]
    lines = source.splitlines()
    arrow = [f"----> {at[0]} {lines[at[0] - 1]}"] if at and at[0] <= len(lines) else []
    name = type(error).__name__
    return {"ename": name, "evalue": str(error), "traceback": [*arrow, f"{name}: {error}"]}
