"""A live kernel with the guest in it: how values get into it, and what the guest tells of them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from ..answers import Answer
from ..endings import within
from ..environments.kernel import Executed
from ..environments.kernel_config import KernelConfig
from ..environments.live_kernel import BrokerAddress, LiveKernel
from ..environments.messages import Message
from ..environments.registry import open_live
from ..errors import ContextError, KernelDied, KernelStartError, UsageError
from ..events import ContextInfo
from ..inputs.contexts import Source
from ..remote import guest
from ..remote.guest.forms.schemas import checked
from ..remote.guest.forms.type_schemas import NoSchema
from ..remote.guest.wire import SNAPSHOT_BYTES
from . import broker
from .protocol import MAX_NOTICE, as_text, as_texts
from .told import Taken, copied, info_of, unknown, value_of

GUEST = "__import__('rlm_guest')"
SEED = f"{GUEST}.seed"
CHECKER = Path(str(find_spec("fastjsonschema").origin)).parent  # type: ignore[union-attr]
HOOKS = Path(guest.__file__).with_name("cells").joinpath("hooks.py").read_text("utf-8")
LOAD_SECONDS = 600.0
"""How long the guest or a context may take to load; a context may have gigabytes."""
SMALL_SECONDS = 20.0
"""How long a seed or an answer may take, and what the guest tells of a context it has loaded."""


@dataclass(frozen=True)
class KernelSetup:
    """A kernel's configuration and what it is given besides its context. ``tools`` holds name,
    signature and doc of each function that is called back; ``modules`` are those that are sent,
    as in ``guest.tools.define``; ``data`` are the sources of values under their names."""

    config: KernelConfig
    tools: list[dict[str, str]] = field(default_factory=list)
    modules: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, Source] = field(default_factory=dict)


@dataclass(frozen=True)
class _Told:
    """The guest's account of a context or a variable, with a copy of its value if it sent one."""

    header: dict[str, Any]
    copy: bytes


class GuestClient:
    """Made by ``open_guest``. Its methods run code of ours in the kernel, between two cells.

    They raise ``KernelDied`` where the kernel ends, or the code cannot be run, meanwhile.
    """

    def __init__(self, live: LiveKernel) -> None:
        self.kernel = live.kernel
        self._live = live
        self.sandbox_name = live.sandbox_name
        self.rate = live.rate
        self.begun = False
        """True in the middle of a question."""
        self._awaited: asyncio.Future[_Told] | None = None

    def takes(self) -> int:
        """Return the most bytes of a copy that the guest may send now: none unasked."""
        return SNAPSHOT_BYTES if self._awaited is not None else 0

    def told(self, request: broker.Request) -> None:
        """Take what the guest tells of a context or a variable, where it was asked."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(_Told(request.header, request.payload.read()))

    async def boot(self, address: BrokerAddress, setup: KernelSetup) -> None:
        """Load the guest, which defines the REPL globals. Raises ``UsageError`` where a tool
        cannot be defined there."""
        data = {name: await self._put(source, name) for name, source in setup.data.items()}
        config = {
            "address": address.where,
            "token": address.token,
            "tools": setup.tools,
            "modules": setup.modules,
            "data": {name: {**spec, "file": path} for name, (spec, path) in data.items()},
        }
        boot = await self._live.put("boot.json", json.dumps(config).encode())
        package = await self._live.copy("rlm_guest", Path(guest.__file__).parent)
        # Beside it, where a kernel finds the engine of ``guest.forms`` that has none of its own.
        await self._live.copy("fastjsonschema", CHECKER)
        folder = str(PurePosixPath(package).parent)
        await self._run(
            f"__import__('sys').path.insert(0, {folder!r}); "
            f"__import__('rlm_guest').boot({boot!r}); "
            f"__import__('sys').path.remove({folder!r})",
            "the guest",
            may_refuse=True,
        )

    async def give(self, source: Source) -> ContextInfo:
        """Bind ``context`` to the source's value; return what the guest says it became."""
        spec, path = await self._put(source, "context")
        report = await self._ask(f"set_context({spec!r}, {path!r})")
        return info_of(report.header.get("info"), source.spec(), source)

    async def find(self, name: str) -> None:
        """Raise ``ContextError`` if the kernel has no such variable."""
        report = await self._ask(f"find({name!r})")
        if "missing" in report.header:
            near = ", ".join(as_texts(report.header.get("names"))) or "none"
            raise ContextError(f"there is no variable {name!r}; there are: {near}")

    async def adopt(self, name: str, given: Source | None) -> tuple[ContextInfo, Source | None]:
        """Bind ``context`` to the value of a variable. The source is a copy of the value;
        ``given`` if the value still is what that made; None where it cannot be copied."""
        await self.find(name)
        report = await self._ask(f"adopt({name!r})")
        source = given if report.header.get("same") else copied(report.header, report.copy, name)
        spec = unknown(name) if source is None else source.spec()
        return info_of(report.header.get("info"), {**spec, "variable": name}, source), source

    async def begin(self, seed: int) -> None:
        """Begin a question: note how the kernel runs cells, and seed what they draw from."""
        await self._evaluate(_with_hooks(f"{SEED}({seed}), h['begin']()"), "the seed")
        self.begun = True

    async def end(self) -> list[str] | None:
        """End the question: take back what its cells changed in how the kernel runs cells, and let
        what they draw go on from where it was before. Returns names of what was taken back; None
        where the kernel does not do what it is told."""
        if not self.begun:
            await self._evaluate(f"{SEED}(None)", "the seed")
            return []
        self.begun, nonce = False, secrets.token_hex(8)
        told = f"'|'.join([{nonce!r}] + h['end']() + [{SEED}(None) or ''])"
        what = "the end of the question"
        done = await self._execute("", what, SMALL_SECONDS, expression=_with_hooks(told))
        value, _ = value_of(done)
        names = value.strip("'\"").split("|")
        return as_texts(names[1:-1]) if names[0] == nonce else None

    async def freeze(self, name: str) -> Taken:
        """Take a frozen fork of this name of the kernel as it is now."""
        path = self._live.fork_path(name)
        call = f"{GUEST}.freeze({path!r})"
        done = await self._execute("", "a snapshot", SMALL_SECONDS, expression=call)
        value, error = value_of(done)
        if error is not None:
            raise KernelDied(f"no snapshot can be taken: {error}")
        return Taken.of(value)

    async def ask_fork(self, name: str, what: str) -> dict[str, Any]:
        """Return what a frozen fork answers. Raises ``OSError`` and ``ValueError``."""
        return await self._live.ask_fork(name, {"do": what})

    async def work_in(self, folder: str) -> None:
        """Let the kernel work in this folder from now on."""
        await self._evaluate(f"__import__('os').chdir({folder!r})", "a working folder")

    @property
    def most_forks(self) -> int:
        """See ``LiveKernel.most_forks``."""
        return self._live.most_forks

    @asynccontextmanager
    async def woken(
        self, name: str, keep: Collection[int] | None, answerer: broker.Answerer, *, begun: bool
    ) -> AsyncIterator[GuestClient]:
        """Have a frozen fork wake in this kernel's place, in the middle of a question where one had
        ``begun``; see ``LiveKernel.wake``."""
        folder = await asyncio.to_thread(self._live.wake_folder)
        async with broker.serve(folder, answerer) as address:
            reached = await self._live.reach(address)
            async with self._live.wake(name, folder, reached, keep) as live:
                client = GuestClient(live)
                client.begun = begun
                async with within(SMALL_SECONDS, lambda: _late("the snapshot", SMALL_SECONDS)):
                    await client._evaluate(f"{GUEST}.is_awake()", "the snapshot")
                yield client

    async def assign(self, name: str, answer: Answer) -> str:
        """Bind a variable to the object that was given as the answer, or in another kernel than the
        one it was given in to its value; return the source that does it."""
        value = repr(answer.json)
        if answer.type != "str":
            told = await self._execute(
                "", "the answer", SMALL_SECONDS, expression=f"{GUEST}.is_given()"
            )
            value = f"{GUEST}.given()" if value_of(told)[0] == "True" else value
        source = f"{name} = {value}"
        await self._run(source, f"the variable {name}", seconds=SMALL_SECONDS)
        return source

    async def display(self, name: str) -> dict[str, Any]:
        """Return the MIME bundle that the kernel shows of a variable, unfiltered; empty where it
        has none."""
        done = await self._execute("", f"the variable {name}", SMALL_SECONDS, expression=name)
        told = done.reply["content"].get("user_expressions")
        told = told.get("rlm") if isinstance(told, dict) else None
        data = told.get("data") if isinstance(told, dict) else None
        return data if isinstance(data, dict) else {}

    async def form(self, text: str) -> dict[str, Any]:
        """Return the JSON Schema of a type expression that may name classes of the kernel. Raises
        ``UsageError``."""
        report = (await self._ask(f"form({text!r})")).header
        try:
            return checked(json.loads(as_text(report.get("schema")) or ""))
        except (NoSchema, ValueError, AttributeError, RecursionError) as error:
            wrong = as_text(report.get("wrong"), MAX_NOTICE) or str(error)
            raise UsageError(f"{text!r} is no form of an answer: {wrong}") from None

    async def _put(self, source: Source, name: str) -> tuple[dict[str, Any], str]:
        """Make the source's bytes readable for the kernel; return how it must read them, and their
        path there. A copy made for it takes up the sandbox's memory: it goes once it is read."""
        if source.kind == "folder":
            return await self._put_folder(source, name)
        data = source.path if source.path is not None else source.data or b""
        path = await self._live.put(f"value-{name}", data)
        return {**source.spec(), "remove": self._live.copies}, path

    async def _put_folder(self, source: Source, name: str) -> tuple[dict[str, Any], str]:
        assert source.path is not None
        files = json.loads(source.data or b"[]")
        listing = await self._live.put(f"value-{name}-files", source.data or b"[]")
        path = await self._live.put_files(f"value-{name}", source.path, [row[0] for row in files])
        return {**source.spec(), "files": listing}, path

    async def _ask(self, call: str) -> _Told:
        """Return what the guest tells when this call of its module is made."""
        awaited: asyncio.Future[_Told] = asyncio.get_running_loop().create_future()
        self._awaited = awaited
        try:
            await self._evaluate(f"__import__('rlm_guest').{call}", "the context", LOAD_SECONDS)
            async with within(SMALL_SECONDS, lambda: _late("the context", SMALL_SECONDS)):
                return await awaited
        finally:
            self._awaited = None

    async def _run(
        self, source: str, what: str, *, may_refuse: bool = False, seconds: float = LOAD_SECONDS
    ) -> None:
        """Run code of ours, unseen by the guest's hooks; ``what`` names it. Where no cell has run
        yet it may refuse what the user handed in: that is raised as ``UsageError``."""
        said: list[tuple[str, str]] = []

        def listen(message: Message) -> None:
            if message["msg_type"] == "error":
                content = message["content"]
                said.append((str(content["ename"]), str(content["evalue"])))

        done = await self._execute(source, what, seconds, on_message=listen)
        if may_refuse and said and said[0][0] == "UsageError":
            raise UsageError(said[0][1][:MAX_NOTICE])
        if not done.ok:
            told = " ".join(f"{name}: {text}" for name, text in said)
            raise KernelDied(f"{what} could not be loaded in the kernel: {told}")

    async def _evaluate(self, expression: str, what: str, seconds: float = SMALL_SECONDS) -> None:
        """Evaluate an expression of ours past all that cells, and humans, hang into the shell."""
        _, error = value_of(await self._execute("", what, seconds, expression=expression))
        if error is not None:
            raise KernelDied(f"{what} could not be loaded in the kernel: {error}")

    async def _execute(self, source: str, what: str, seconds: float, **options: Any) -> Executed:
        async with within(seconds, lambda: _late(what, seconds)):
            return await self.kernel.execute(source, silent=True, **options)


def _with_hooks(then: str) -> str:
    """Return an expression that runs our file of hooks, which it brings: the one in there may have
    been changed."""
    names = "{'__name__': 'rlm_hooks'}"
    return f"(lambda h: (__import__('builtins').exec({HOOKS!r}, h), {then})[-1])({names})"


@asynccontextmanager
async def open_guest(setup: KernelSetup, answerer: broker.Answerer) -> AsyncIterator[GuestClient]:
    """Open a kernel with the guest in it, whose calls ``answerer`` answers. One that ends while it
    starts is tried once more. Raises what ``open_live`` raises."""
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(_opened(setup, answerer))
        except KernelStartError as first:
            if not first.died:
                raise
            try:
                client = await stack.enter_async_context(_opened(setup, answerer))
            except KernelStartError as second:
                told = f"{first}\nIt was tried once more: {second}"
                raise KernelStartError(told, died=second.died) from first
        yield client


@asynccontextmanager
async def _opened(setup: KernelSetup, answerer: broker.Answerer) -> AsyncIterator[GuestClient]:
    async with (
        open_live(setup.config) as live,
        broker.serve(live.folder, answerer) as address,
    ):
        client = GuestClient(live)
        try:
            await client.boot(await live.reach(address), setup)
        except KernelDied as error:
            raise KernelStartError(str(error), died=not client.kernel.alive) from error
        yield client


def _late(what: str, seconds: float) -> KernelDied:
    return KernelDied(f"{what} could not be loaded in the kernel within {seconds:g} s")
