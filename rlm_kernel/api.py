"""The Python face: ``RLM(...).completion(prompt)``."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from .errors import UsageError
from .events import Event
from .inputs import contexts
from .inputs.contexts import Source
from .inputs.forms import form_of
from .inputs.tools import Tools
from .lm.model import LM
from .lm.models import is_lm
from .replay import continuation
from .replay.continuation import Continuation
from .session.branching import branch
from .session.event_loop import engine
from .session.session import Reader, Result, Session
from .settings.limits import Limits
from .settings.resolved import Resolved, in_force

log = logging.getLogger("rlm_kernel")


class RLM:
    """A Recursive Language Model: answers questions about inputs of any length.

    ``model`` and ``sub_model`` are names at the endpoint (or objects like
    ``testing.ScriptedLM``); with none, the environment decides, and where that names no endpoint
    the embedded LM. ``tools`` are functions, classes and values for the cells; functions are sent
    there as source unless marked with ``on_host``. ``persistent`` keeps one kernel, with its
    variables, for all questions until ``close``. Further settings are those of
    ``settings.Settings`` and ``max_turns``, ``max_cost`` and the like.

    Raises ``UsageError`` for a setting that is unknown or wrong. Use it in a ``with`` block or
    call ``close``: it keeps connections, and the embedded LM's process, between questions.
    """

    def __init__(
        self,
        model: str | LM | None = None,
        *,
        sub_model: str | LM | None = None,
        environment: str | None = None,
        limits: Limits | None = None,
        tools: Mapping[str, object] | None = None,
        persistent: bool = False,
        **settings: Any,
    ) -> None:
        root = model if is_lm(model) else None
        sub = sub_model if is_lm(sub_model) else None
        if sub is not None and root is None:
            raise UsageError("sub_model is an object: give model as an object too")
        named = {
            "model": None if root else model,
            "sub_model": None if sub else sub_model,
            "environment": environment,
        }
        self._given = {**named, **settings}
        self._limits = limits
        self._force = in_force(self._given, limits=limits)
        self._tools = Tools(tools)
        self._options: dict[str, Any] = {"persistent": persistent, "root": root, "sub": sub}
        self._session: Session | None = None

    @property
    def limits(self) -> Limits:
        """Return the limits of each run."""
        return self._force.limits

    def completion(
        self, prompt: object, root_prompt: str | None = None, *, answer: object = None
    ) -> Result:
        """Answer ``root_prompt`` about ``prompt``, which becomes ``context``.

        Without ``root_prompt`` the question is taken to stand in ``prompt`` itself. A ``Path`` is
        read as ``rlm run --context`` reads it. ``answer`` is the form that the answer must have,
        and that the result's ``value`` has then: a Python type, a dataclass, a pydantic model, a
        JSON Schema. Blocks; works in any thread and inside a running
        event loop. An interrupt ends the run, keeps its trajectory and is raised again.

        Raises ``UsageError`` and its children, and ``LMError`` where the endpoint had to be asked
        for its models and gave none. What goes wrong later is in the result, whatever the run
        raised; ``RecordError`` and ``RunFailed`` say that there can be none.
        """
        return engine().run(self._ask(prompt, root_prompt, (), answer))

    def resume(self, run_dir: str | Path) -> Result:
        """Go on with a run that was killed, in its own folder; see ``continuation.resume``. What
        its record answers is not asked again."""
        return engine().run(self._go_on(lambda: continuation.resume(Path(run_dir))))

    def fork(
        self,
        path: str | Path,
        at: int | None = None,
        *,
        edit: str | None = None,
        note: str | None = None,
    ) -> Result:
        """Go on from the run at ``path``, before its cell ``at`` or after its last one, in a new
        run. ``edit`` is a source that runs in place of the cell, ``note`` a word to the LM."""
        return engine().run(
            self._go_on(lambda: continuation.fork(Path(path), at, edit=edit, note=note))
        )

    def branches(
        self,
        path: str | Path,
        at: int | None = None,
        count: int = 2,
        *,
        edit: str | None = None,
        note: str | None = None,
    ) -> list[Result]:
        """Fork the run at ``path`` as ``fork`` does, ``count`` times at once, in forks of one live
        kernel where there can be such. They share what one run may use, or the session's budget."""

        async def work() -> list[Result]:
            fork = partial(continuation.fork, Path(path), at, edit=edit, note=note)
            forks = [await asyncio.to_thread(fork) for _ in range(max(count, 1))]
            session, force = self._going_on(forks[0])
            return await branch(session, forks, [], log.info, force, self._tools)

        return engine().run(work())

    def rerun(self, path: str | Path, prompt: object) -> Result:
        """Run the cells of the run at ``path`` on another input. Sub-calls are asked anew; the LM
        that wrote the cells is not."""
        source = self._source(prompt)
        return engine().run(self._go_on(lambda: continuation.rerun(Path(path), source)))

    async def _go_on(self, found: Callable[[], Continuation]) -> Result:
        run = await asyncio.to_thread(found)
        session, force = self._going_on(run)
        return await session.go_on(run, force=force)

    def _going_on(self, run: Continuation) -> tuple[Session, Resolved]:
        force = in_force(self._given, limits=self._limits, layers=[run.spoken], config=[run.place])
        return self._opened(), force

    async def acompletion(
        self, prompt: object, root_prompt: str | None = None, *, answer: object = None
    ) -> Result:
        """Answer as ``completion`` does, for asyncio code; cancelling it ends the run."""
        return await engine().await_(self._ask(prompt, root_prompt, (), answer))

    async def astream(
        self, prompt: object, root_prompt: str | None = None, *, answer: object = None
    ) -> AsyncIterator[Event]:
        """Yield the run's events as they happen, ``RunEnded`` last. Leaving the loop ends it."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        def hand_over(event: Event) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, event)

        running = asyncio.ensure_future(
            engine().await_(self._ask(prompt, root_prompt, [hand_over], answer))
        )
        running.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def _ask(
        self, prompt: object, question: str | None, readers: Sequence[Reader], answer: object
    ) -> Result:
        form = None if answer is None else form_of(answer)
        source = await asyncio.to_thread(self._source, prompt)
        return await self._opened().ask(source, question, readers, form=form)

    def _opened(self) -> Session:
        """Return the session. One that keeps no kernel is closed when this object is gone, if
        nobody has closed it before: it has open connections."""
        if self._session is None:
            self._session = Session(self._force, self._tools, **self._options)
            if not self._options["persistent"]:
                weakref.finalize(self, _let_go, self._session, os.getpid())
        return self._session

    def _source(self, prompt: object) -> Source:
        """Return what becomes ``context``. Blocks."""
        if isinstance(prompt, Path):
            return contexts.from_path(prompt, exclude=self._force.settings.exclude)
        return contexts.from_value(prompt)

    def close(self) -> None:
        """End the kernel of a persistent session, the connections and the embedded LM."""
        engine().run(self._close())

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _let_go(session: Session, pid: int) -> None:
    if pid == os.getpid():  # a forked process has copies of what is not its own
        engine().leave(session.close())
