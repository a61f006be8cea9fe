"""Questions asked one after another with the same settings: the core under every face."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .contexts import Source
from .errors import UsageError
from .events import Event, RunStarted, Status, Usage
from .inner import check_kernelspec
from .loop import Task, solve_tree
from .models import Models, open_models
from .protocol import Nobody
from .record.recorder import JOURNAL, Recorder, new_run_folder
from .repl import Repl, open_repl
from .run import LM, Kernels, Run
from .settings import InForce
from .tools import Tools
from .versions import versions

QUESTION = (
    "`context` holds a question or a task together with what is needed for it. Find it there "
    "and answer it."
)
Reader = Callable[[Event], None]


@dataclass(frozen=True)
class Result:
    """How a run ended.

    ``response`` is the answer; of a run whose ``status`` is not ``answered`` it is the best
    answer so far, unconfirmed, or None. ``reason`` says why there is no confirmed one. ``usage``
    sums the tree. ``trajectory`` is the root's notebook, in the run's folder.
    """

    response: str | None
    status: Status
    confirmed: bool
    reason: str | None
    usage: Usage
    trajectory: Path

    @property
    def cost(self) -> float | None:
        """US dollars; None where the price of a request is not known."""
        return None if self.usage.unpriced else self.usage.cost


class Session:
    """LMs, and with ``persistent`` a kernel, kept between questions. For one event loop.

    ``root`` and ``sub`` are LMs handed in as objects. Close it, or connections, the kernel and the
    embedded LM's process stay.
    """

    def __init__(
        self,
        force: InForce,
        tools: Tools,
        *,
        persistent: bool = False,
        root: LM | None = None,
        sub: LM | None = None,
    ) -> None:
        self._force = force
        self._tools = tools
        self._persistent = persistent
        self._given = root, sub
        self._stack = AsyncExitStack()
        self._models: Models | None = None
        self._repl: Repl | None = None
        self._opening = asyncio.Lock()
        self._asking = asyncio.Lock()
        self.trajectory: Path | None = None
        """The root notebook of the run that started last."""

    async def close(self) -> None:
        await self._stack.aclose()
        self._stack, self._models, self._repl = AsyncExitStack(), None, None

    async def ask(
        self, source: Source, question: str | None, readers: Sequence[Reader] = ()
    ) -> Result:
        """Answer a question about ``source``; ``readers`` get each event as it happens.

        Cancelling ends the run, whose trajectory stays, and is raised again. With a persistent
        kernel questions wait for one another.
        """
        check_kernelspec(self._force.settings.kernel)
        models = await self._open()
        if not self._persistent:
            return await self._run(models, source, question, readers)
        async with self._asking:
            return await self._run(models, source, question, readers)

    async def _open(self) -> Models:
        async with self._opening:
            if self._models is None:
                force = self._force
                self._models = await self._stack.enter_async_context(
                    open_models(force.settings, force.limits, *self._given)
                )
            return self._models

    def _folder(self) -> Path:
        out = self._force.settings.out
        if out is None:
            return new_run_folder(Path.cwd(), time.strftime("%Y%m%d-%H%M%S"))
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"out={str(out)!r}: the run's folder cannot be made: {error.strerror}; choose "
                "another one"
            ) from error
        if (out / JOURNAL).exists():
            raise UsageError(
                f"out={str(out)!r}: the folder holds a run already; choose another one or remove it"
            )
        return out.resolve()  # kernels have another working folder

    async def _run(
        self, models: Models, source: Source, question: str | None, readers: Sequence[Reader]
    ) -> Result:
        folder = self._folder()
        recorder = Recorder(folder)
        self.trajectory = recorder.trajectory

        def emit(event: Event) -> None:
            recorder(event)
            for reader in readers:
                reader(event)

        run = Run(
            root=models.root,
            sub=models.sub,
            limits=self._force.limits,
            style=models.style,
            emit=emit,
            folder=folder,
            tools=self._tools,
            kernels=Kernels(kernel_name=self._force.settings.kernel),
        )
        text = question or QUESTION
        try:
            settings = self._described(run)
            settings["data"] = await asyncio.to_thread(_kept_data, run)
            emit(RunStarted(folder.name, text, settings, versions(), time.time()))
            outcome = await solve_tree(run, Task(text, source), await self._kept_repl(run))
        finally:
            _drop_empty(folder / "files", "0" if self._persistent else None)
            await asyncio.shield(recorder.close())
        return Result(
            outcome.answer,
            outcome.status,
            outcome.confirmed,
            outcome.reason,
            run.ledger.usage,
            recorder.trajectory,
        )

    async def _kept_repl(self, run: Run) -> Repl | None:
        """The kernel of a persistent session, started with its first question."""
        if self._persistent and self._repl is None:
            repl = open_repl(Nobody(), run.setup("0"))
            self._repl = await self._stack.enter_async_context(repl)
        return self._repl

    def _described(self, run: Run) -> dict[str, Any]:
        """The settings as the record keeps them: no key, no address with a password."""
        settings = self._force.settings
        return {
            "model": run.root.name,
            "sub_model": run.sub.name,
            "environment": settings.environment,
            "kernel": settings.kernel,
            "prompt": run.style.name,
            "temperature": run.root.sampling.temperature,
            "prompt_chars": run.prompt_chars,
            "max_batch": run.sub.max_batch,
            "tools": [tool["name"] for tool in self._tools.functions],
            "limits": dataclasses.asdict(self._force.limits),
        }


def _kept_data(run: Run) -> dict[str, dict[str, Any]]:
    """Where replay finds the values that the user handed in. Blocks."""
    kept = {name: run.kept(source) for name, source in run.tools.data.items()}
    return {
        name: source.spec() if text is None else {**source.spec(), "text": text}
        for name, (source, text) in kept.items()
    }


def _drop_empty(files: Path, in_use: str | None) -> None:
    """Remove the working folders that no cell wrote to; one may be ``in_use``."""
    if not files.is_dir():
        return
    for folder in [*files.iterdir(), files]:
        if folder.is_dir() and folder.name != in_use and not any(folder.iterdir()):
            folder.rmdir()
