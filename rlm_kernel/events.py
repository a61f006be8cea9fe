"""The events of a run, as small frozen records.

Every record has a ``kind``. Those in ``TRANSIENT`` are for the screen only and are not written to
the journal. Times are Unix seconds, durations seconds, money US dollars, sizes characters.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from .answers import Evidence
from .context_info import ContextInfo as ContextInfo

FORMAT = "2.4"
"""The version of the journal that is written now, its lines and events; older ones are read too."""
Status: TypeAlias = Literal["answered", "failed", "limit", "interrupted"]
Choice: TypeAlias = Literal["accepted", "edited", "rejected"]
CellStatus: TypeAlias = Literal["ok", "error", "timeout", "interrupted", "died"]
Output: TypeAlias = dict[str, Any]  # an nbformat 4 output
NodeId: TypeAlias = Annotated[str, re.compile(r"0(\.[1-9][0-9]{0,8}){0,99}")]
"""``ROOT``, or ``"0.2"`` for its second child. It is part of file names."""
ROOT: NodeId = "0"  # the node that answers the question itself


@dataclass(frozen=True)
class Usage:
    """The use of one call, or of a sum of calls. ``requests`` counts HTTP requests, failed ones and
    retries included. ``cost`` is the known part of the price; ``unpriced`` counts the requests
    whose price is not known. ``estimated`` is true where a number was not reported by the endpoint
    (a stream that we or it cut)."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost=self.cost + other.cost,
            unpriced=self.unpriced + other.unpriced,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True)
class RunStarted:
    """A run began. ``format`` is the record's version, in older ones an integer or not there."""

    kind: ClassVar[str] = "run_started"
    run: str
    question: str
    settings: dict[str, Any]
    versions: dict[str, str]
    time: float
    format: int | str = FORMAT


@dataclass(frozen=True)
class NodeStarted:
    """A node began, by a ``call`` of its parent. In a record of cells by hand it has no context."""

    kind: ClassVar[str] = "node_started"
    node: NodeId
    parent: NodeId | None
    depth: int
    call: int | None
    question: str
    model: str
    context: ContextInfo | None
    time: float


@dataclass(frozen=True)
class ContextSet:
    """The node's kernel was given another ``context``, before the question or by a human."""

    kind: ClassVar[str] = "context_set"
    node: NodeId
    context: ContextInfo
    time: float


@dataclass(frozen=True)
class Prompted:
    """The messages added to the LM's history before a turn; with ``compacted`` they are all of
    it, since what came before did not fit the model's window."""

    kind: ClassVar[str] = "prompted"
    node: NodeId
    turn: int
    messages: list[dict[str, Any]]
    time: float
    compacted: bool = False


@dataclass(frozen=True)
class ReplyDelta:
    kind: ClassVar[str] = "reply_delta"
    node: NodeId
    turn: int
    text: str


@dataclass(frozen=True)
class Replied:
    """One reply of the node's LM, whole. ``finish`` is the endpoint's reason, ``"cut"`` where we
    stopped reading after the first block. ``thoughts`` are no part of the ``text``."""

    kind: ClassVar[str] = "replied"
    node: NodeId
    turn: int
    text: str
    model: str
    finish: str | None
    usage: Usage
    seconds: float
    time: float
    thoughts: str = ""


@dataclass(frozen=True)
class CellProposed:
    """A cell waits for the human, who is to say if it may run."""

    kind: ClassVar[str] = "cell_proposed"
    node: NodeId
    turn: int
    source: str


@dataclass(frozen=True)
class CellDecided:
    """The human's decision on a cell before it ran, made in so many ``seconds``. ``source`` is the
    LM's, also where it was ``edited``: what ran then is a cell of the human's. ``word`` is for the
    LM. ``cell`` is 0 where it was ``rejected``: it has no number. Since 2.3."""

    kind: ClassVar[str] = "cell_decided"
    node: NodeId
    cell: int
    turn: int
    choice: Choice
    source: str
    word: str
    seconds: float
    time: float


@dataclass(frozen=True)
class CellStarted:
    kind: ClassVar[str] = "cell_started"
    node: NodeId
    cell: int
    turn: int
    source: str
    author: Literal["lm", "human"]
    time: float


@dataclass(frozen=True)
class OutputMade:
    """One output while its cell still runs."""

    kind: ClassVar[str] = "output_made"
    node: NodeId
    cell: int
    output: Output


@dataclass(frozen=True)
class CellRan:
    """A cell that ended. ``answer`` is the text of what was given to ``FINAL_VAR`` or ``answer`` in
    it, if it ended without an error; ``value``, ``type``, ``file`` and ``evidence`` are the rest of
    an ``Answer``, None before 2.1. ``notices`` is what the kernel's guard has to say to the LM.
    Turn 0 is the prelude: what was run in the kernel before the question, by whomever.
    ``inputs`` are the lines that the human typed for it; None stands for one that was not shown.
    ``concurrent`` says that threads or tasks wrote its outputs together, in an order of chance.
    ``wanted`` is the form, as JSON text, that its answer had to have."""

    kind: ClassVar[str] = "cell_ran"
    node: NodeId
    cell: int
    turn: int
    source: str
    author: Literal["lm", "human"]
    status: CellStatus
    outputs: list[Output]
    notices: list[str]
    answer: str | None
    execution_count: int | None
    seconds: float
    time: float
    inputs: list[str | None] = field(default_factory=list)
    concurrent: bool = False
    value: str | None = None
    type: str | None = None
    file: str | None = None
    evidence: list[Evidence] = field(default_factory=list)
    wanted: str | None = None


@dataclass(frozen=True)
class CallStarted:
    """A call began, for ``count`` prompts; a map says its ``size`` in words."""

    kind: ClassVar[str] = "call_started"
    node: NodeId
    cell: int
    op: str
    count: int
    size: str = ""


@dataclass(frozen=True)
class CallEnded:
    """One prompt of a call (or one call of a tool), answered or failed.

    ``call`` numbers the calls of a node; prompts of a batch share it and differ by ``index``
    (of ``count``). ``key`` identifies the call by what was written: operation, arguments, model
    as asked for (``asked``, None if unset). ``occurrence`` counts equal keys in one cell, from 0.
    ``child`` is the node that answered an ``rlm_query``; ``usage`` is not that one's. One of
    ``reply`` and ``error`` is set; an error has ``type``, ``message`` and, for a human, ``detail``.
    ``finish`` and ``thoughts`` are as in ``Replied``; ``about`` tells of a child that answered, of
    a map's row or of the loop that asked ahead. ``images`` are those of the prompt, by MIME type,
    size and ``sha256``, their name in ``blobs``. Of a map ``prompt`` is one item; the first has
    what was asked, as ``options``.
    """

    kind: ClassVar[str] = "call_ended"
    node: NodeId
    cell: int
    call: int
    op: Literal[
        "llm_query", "llm_query_batched", "llm_map", "rlm_query", "rlm_query_batched", "tool"
    ]
    index: int
    count: int
    key: str
    occurrence: int
    prompt: str
    asked: str | None
    model: str | None
    reply: Any | None
    error: dict[str, Any] | None
    usage: Usage
    child: NodeId | None
    started: float
    seconds: float
    finish: str | None = None
    thoughts: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KernelRestarted:
    """The node's kernel was replaced, since it died or would not stop, or by a human's order: by a
    new one, or since 2.4 by one that stands where it stood ``back_to`` a cell of this number (0:
    before the first), ``by`` its snapshot or by replay. The cells between are undone."""

    kind: ClassVar[str] = "kernel_restarted"
    node: NodeId
    cell: int
    reason: str
    lost: list[str]
    time: float
    back_to: int | None = None
    by: Literal["", "snapshot", "replay"] = ""


@dataclass(frozen=True)
class NodeEnded:
    """A node ended. ``confirmed`` is false for the best answer so far of a run that hit a limit,
    and for one that is doubted for a ``reason``; the answer's fields are as in ``CellRan``.
    ``usage`` is what the node's sandbox cost, where it has one that costs."""

    kind: ClassVar[str] = "node_ended"
    node: NodeId
    status: Status
    answer: str | None
    confirmed: bool
    reason: str | None
    time: float
    usage: Usage = field(default_factory=Usage)
    value: str | None = None
    type: str | None = None
    file: str | None = None
    evidence: list[Evidence] = field(default_factory=list)


@dataclass(frozen=True)
class RunEnded:
    """A run ended. ``usage`` is the sum over the tree, ``turns`` and ``calls`` likewise."""

    kind: ClassVar[str] = "run_ended"
    status: Status
    answer: str | None
    confirmed: bool
    reason: str | None
    usage: Usage
    turns: int
    calls: int
    seconds: float
    time: float
    value: str | None = None
    type: str | None = None
    file: str | None = None
    evidence: list[Evidence] = field(default_factory=list)


Event: TypeAlias = (
    RunStarted
    | NodeStarted
    | ContextSet
    | Prompted
    | ReplyDelta
    | Replied
    | CellProposed
    | CellDecided
    | CellStarted
    | OutputMade
    | CellRan
    | CallStarted
    | CallEnded
    | KernelRestarted
    | NodeEnded
    | RunEnded
)
TRANSIENT: tuple[type, ...] = (ReplyDelta, CellProposed, CellStarted, OutputMade, CallStarted)


def to_dict(event: Event) -> dict[str, Any]:
    """Return the event as plain JSON data, ``kind`` first. ``record.forms.event_of`` is its
    inverse."""
    return {"kind": event.kind, **dataclasses.asdict(event)}
