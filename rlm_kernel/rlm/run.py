"""A run, as its nodes share it: its LMs, limits, ledger, tools and the reader of its events."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..endings import at_no_cost
from ..environments.kernel_config import KernelTemplate
from ..errors import CallRefused
from ..events import ROOT, Event, Usage
from ..inputs.contexts import Source
from ..inputs.tools import Tools
from ..lm.model import Model
from ..record import files
from ..repl.frames import Payload
from ..repl.guest_client import KernelSetup
from ..repl.protocol import Image
from ..repl.repl import open_repl
from ..repl.running_cell import Ran
from ..settings.limits import Budget, CellLimits, Ledger, Limits
from .cell_runner import OpenRunner
from .consent import Consent
from .human import AskHuman, Human
from .memory import Memory, NoMemory
from .prompts import Style
from .words import Words

CHARS_PER_TOKEN = 3.5
"""For the estimate of what fits a window; endpoints count in their own ways."""
INLINE_BYTES = 32_768
"""Contexts up to this size stand in the record; larger ones go to ``blobs`` or stay by path."""
COPIED_BYTES = 16 << 20
"""Files up to this size are copied into ``blobs``, so that a moved trajectory replays."""


CALLED_BY: ContextVar[tuple[Run, ...]] = ContextVar("rlm_called_by", default=())
"""The runs whose tools this code was called by, the outermost first."""


class CallMeter:
    """Books one call to the run's ledger and sums it for the call's own record. ``last_of`` is the
    node whose last turn it is, if it is one."""

    def __init__(self, ledger: Ledger, last_of: str | None = None) -> None:
        self._ledger = ledger
        self._last_of = last_of
        self.usage = Usage()

    @contextmanager
    def reserve(self, tokens: int, cost: float) -> Iterator[object]:
        with self._ledger.reserve(tokens, cost, self._last_of) as held:
            yield held

    def book(self, usage: Usage) -> None:
        self.usage = self.usage + usage
        self._ledger.book(usage)


class Run:
    """One question on its way to an answer; shared by every node of its tree."""

    def __init__(
        self,
        *,
        root: Model,
        sub: Model,
        limits: Limits,
        style: Style,
        emit: Callable[[Event], None],
        folder: Path,
        tools: Tools,
        kernels: KernelTemplate,
        seed: int = 0,
        memory: Callable[[str], Memory] = NoMemory,
        budget: Budget | None = None,
        open_runner: OpenRunner = open_repl,
        ask_human: AskHuman | None = None,
        consent: Callable[[], Consent] = Consent,
        words: Words | None = None,
        refused_model: Callable[[str], str | None] = lambda name: None,
        vision: bool = False,
        batches_loops: bool = False,
    ) -> None:
        self.root = root
        self.sub = sub
        self.limits = limits
        self.style = style
        self.emit = emit
        self.folder = folder
        self.tools = tools
        self.kernels = kernels
        self.seed = seed
        self.memory = memory
        """Returns what a node remembers, by its name."""
        self.open_runner = open_runner
        self.ledger = Ledger(limits, budget)
        self.vision = vision
        """True where the LM that writes is shown pictures."""
        self.batches_loops = batches_loops
        self.human = Human(ask_human, self.ledger)
        self.refused_model = refused_model
        """Returns why a cell may not ask a model of a name, None where it may."""
        self.words = words or Words()
        """The human's to the LM of the root."""
        self.consent = consent
        """Returns the cells that a human is asked for now, and what asks."""
        self.turns_of: Counter[str] = Counter()
        """By node, the replies of its LM so far."""
        self.sandbox: Callable[[], str] = str
        """The name of the root's sandbox, as it is now; empty where there is none to share."""
        self._writing = threading.Lock()
        self._child_slots: dict[int, asyncio.Semaphore] = {}

    def child_slots(self, depth: int) -> asyncio.Semaphore:
        """Return what bounds live children at one depth: if all depths shared it, parents that wait
        for their children would keep them from starting."""
        return self._child_slots.setdefault(depth, asyncio.Semaphore(self.limits.kernels))

    def model(self, name: str | None, default: Model) -> Model:
        """Return the model a cell asked for: one of the two roles by name, else the name at the
        default's endpoint. Raises ``CallRefused`` for one that may not be asked."""
        if name is None:
            return default
        for role in (default, self.sub, self.root):
            if role.name == name:
                return role
        if (why := self.refused_model(name)) is not None:
            raise CallRefused(f"model={name!r}: {why}")
        return replace(default, name=name)

    @property
    def model_names(self) -> list[str]:
        """Return the names by which its cells may ask for an LM, the sub-LM's first."""
        return list(dict.fromkeys([self.sub.name, self.root.name]))

    @property
    def prompt_chars(self) -> int:
        """The longest prompt a sub-LM takes, leaving room for its reply."""
        return max(int(self.sub.window * 0.75 * 3), 1000)

    @property
    def output_chars(self) -> int:
        """The most that an author sees of what a turn's cells put out: a quarter of its window at
        most."""
        quarter = int(self.root.window * CHARS_PER_TOKEN / 4)
        return (
            self.style.output_chars if self.style.remind else min(self.style.output_chars, quarter)
        )

    def held(self, depth: int) -> CellLimits:
        """Return the limits of the next cell of a node at this depth."""
        return CellLimits(
            seconds=self.limits.cell_seconds,
            prompt_chars=self.prompt_chars,
            batch=self.sub.max_batch,
            ahead=self.batches_loops,
            left=self.ledger.cells_left(depth),
        )

    def setup(self, node: str) -> KernelSetup:
        """Return what a node's kernel is given besides its context."""
        config = self.kernels.config(self.kernels.cwd or self.folder / "files" / node)
        if self.kernels.shared and node != ROOT and (name := self.sandbox()):
            config = replace(config, sandbox={**config.sandbox, "join": name})
        return KernelSetup(
            config,
            tools=self.tools.called,
            modules=self.tools.modules,
            data=self.tools.data,
        )

    def kept(self, source: Source) -> tuple[Source, str | None]:
        """Return the source with its bytes where the record can find them again, and its text where
        it is small enough to stand in the record itself. Blocks: it may write a file."""
        if source.kind == "folder" or (source.data is None and source.size > COPIED_BYTES):
            return source, None
        if (text := small_text(source)) is not None:
            return source, text
        data = source.data if source.data is not None else _bytes_at(source)
        path = self._blob(source.sha256, [data])
        return (source if source.data is None else replace(source, path=path, data=None)), None

    def keep_image(self, image: Image) -> dict[str, Any]:
        """Keep a picture that a cell has sent, and return what is recorded of it. Blocks."""
        self._blob(image.data.sha256, image.data.chunks())
        return image.spec

    def _blob(self, sha256: str, pieces: Iterable[bytes]) -> Path:
        """Keep the bytes in the run's folder, and return their path."""
        path = self.folder / "blobs" / sha256
        with self._writing:  # calls at the same time may bring the same bytes
            if not path.exists():
                files.write(path, pieces)
        return path

    def keep_file(self, node: str, cell: int, ran: Ran) -> Ran:
        """Return the end of a cell with the file of its answer in the run's folder. Where it cannot
        be kept, that is logged: the answer is not lost for it. Blocks, for one file."""
        attached, answer = ran.attached, ran.answer or ran.draft
        if attached is None or answer is None:
            return ran
        name = f"answer-{node}-{cell}.{attached.suffix}"
        with at_no_cost(f"{name}, which belongs to an answer, is not kept"):
            files.write(self.folder / name, attached.data)
            kept = replace(answer, file=name)
            return replace(ran, answer=kept) if ran.answer else replace(ran, draft=kept)
        return ran

    def recorded(self, spec: dict[str, Any], text: str | None) -> dict[str, Any]:
        """Return the spec as the record keeps it: with the text where it is small, and without a
        path into the run's own folder, which may move."""
        if text is not None:
            return {**spec, "text": text}
        path = spec["path"]
        inside = path is not None and Path(path).is_relative_to(self.folder)
        return {**spec, "path": None} if inside else spec

    def from_guest(self, kind: str, sent: Payload, name: str) -> Source:
        """Return the source for a child's context as the guest sent it; a large one is in the
        run's folder, where it outlives the call. Blocks."""
        path = None if sent.path is None else self._blob(sent.sha256, sent.chunks())
        return Source(
            kind=kind,  # type: ignore[arg-type]
            path=path,
            data=sent.read() if path is None else None,
            sha256=sent.sha256,
            size=sent.size,
            name=name,
        )


def inlined(kind: str, sent: Payload, most_chars: int) -> str | None:
    """Return a child's context as text for a plain prompt; None where it has no text, or more than
    any prompt of so many characters holds."""
    if kind not in ("text", "json") or sent.size > 4 * most_chars:
        return None
    return sent.read().decode("utf-8", "surrogatepass")


def small_text(source: Source) -> str | None:
    """Return the text of a source that is small enough to stand in the record. Blocks."""
    if source.kind == "folder" or source.size > INLINE_BYTES:
        return None
    return _plain_text(source.data if source.data is not None else _bytes_at(source))


def _bytes_at(source: Source) -> bytes:
    assert source.path is not None
    return source.path.read_bytes()


def _plain_text(data: bytes) -> str | None:
    """Return the bytes as text that survives JSON; two lone surrogates beside each other would
    not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
