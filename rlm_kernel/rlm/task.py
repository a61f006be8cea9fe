"""The task of one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..events import ROOT, Event
from ..inputs.contexts import Source
from ..inputs.forms import Form
from ..lm.model import Model
from .facts import Exchange
from .history import Opening
from .memory import Numbers


@dataclass(frozen=True)
class Task:
    """A question for one node. ``call`` is the parent's call that asked it.

    The context is the source, or the value of a ``variable`` that earlier cells made. ``prelude``
    is what was run before in the kernel that the question is asked in, ``numbers`` how its cells
    and calls are numbered on, where the node's memory does not say, and ``conversation`` the
    questions that were answered there. With an ``opening`` the LM goes on with an earlier exchange.
    ``max_turns`` may lower the run's limit; ``form`` is that of the answer, if it must have one;
    ``first`` is a cell that runs before the LM is asked, who is not where it gives the answer.
    """

    question: str
    source: Source | None
    node: str = ROOT
    parent: str | None = None
    call: int | None = None
    depth: int = 0
    model: Model | None = None
    variable: str | None = None
    prelude: Sequence[Event] = ()
    opening: Opening | None = None
    numbers: Numbers | None = None
    max_turns: int | None = None
    conversation: Sequence[Exchange] = ()
    form: Form | None = None
    first: str | None = None
