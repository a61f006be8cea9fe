"""The end of a run, as the one who asked is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..answers import Answer, Evidence
from ..events import Status, Usage
from ..inputs.forms import Form, form_in
from ..record.checks import checks_of
from ..record.filters import for_terminal
from ..record.markdown import code, inert, literal
from ..record.numbers import spent
from ..record.outputs import cut
from ..record.recording import Recording
from ..remote.guest.maps.checked import Checked

SHOWN = 20_000
"""The most characters of an answer that are shown of a result."""


@dataclass(frozen=True, repr=False)
class Result:
    """The end of a run.

    ``response`` is the answer as text, ``value`` the same as plain JSON data and ``type`` the name
    of its Python type in the kernel; of a run whose ``status`` is not ``answered`` it is the best
    answer so far, unconfirmed, or None; one that was given may be unconfirmed too. ``reason`` says
    why there is no confirmed one. ``usage``
    sums the tree. ``trajectory`` is the root's notebook, in the run's folder. ``may_pass`` says of
    a run that failed that its cause may be gone a little later. ``unrecorded`` says why
    its record or a notebook of it is not on the disk, if so. ``file`` is what belongs to the
    answer: a figure's picture, the whole of a table that ``value`` has the head of. ``evidence``
    are the quotes of the input that it was given with, each ``supported`` or not, ``checks`` the
    figures of the checks of maps that it can rest on. ``turns`` and ``calls``, those to sub-LMs and
    children, are of the whole tree. ``answer`` is all that was recorded of it.
    """

    response: str | None
    status: Status
    confirmed: bool
    reason: str | None
    usage: Usage
    trajectory: Path
    question: str = ""
    may_pass: bool = False
    unrecorded: str | None = None
    value: Any = None
    type: str | None = None
    file: Path | None = None
    evidence: tuple[Evidence, ...] = ()
    checks: tuple[Checked, ...] = ()
    turns: int = 0
    calls: int = 0
    answer: Answer | None = field(default=None, repr=False)

    @property
    def cost(self) -> float | None:
        """US dollars; None where the price of a request is not known."""
        return None if self.usage.unpriced else self.usage.cost

    def __repr__(self) -> str:
        """Return how it ended and the answer, for a console."""
        head = f"Result: {self._ended()} · {self.trajectory}"
        shown = [head, self.reason, None if self.response is None else cut(self.response, SHOWN)]
        return for_terminal("\n".join(filter(None, shown)))

    def _repr_markdown_(self) -> str:
        """Return the same as a notebook shows it."""
        shown = [f"*{self._ended()}* · {code(str(self.trajectory))}", literal(self.reason or "")]
        shown.append("" if self.response is None else inert(cut(self.response, SHOWN)))
        return "\n\n".join(filter(None, shown))

    def _ended(self) -> str:
        unsure = "" if self.confirmed or self.response is None else "unconfirmed"
        return " · ".join(filter(None, [self.status, unsure, spent(self.usage)]))


def recalled(
    recording: Recording, answer: Answer | None, trajectory: Path, question: str
) -> Result:
    """Return the result of a question that a record answered, at no cost. An answer that was not
    confirmed in it is not."""
    started, ended = recording.started, recording.ended
    form = None if started is None else form_in(started.settings)
    unsure = None if ended is None else ended.reason
    return Result(
        **told(answer, form, trajectory.parent),
        status="answered",
        confirmed=unsure is None,
        reason=unsure,
        usage=Usage(),
        trajectory=trajectory,
        question=question,
        checks=tuple(checks_of(recording.events, recording.root.id)),
    )


def told(answer: Answer | None, form: Form | None, folder: Path) -> dict[str, Any]:
    """Return the fields of a ``Result`` that tell of the answer, which is of this form if one was
    asked for; ``folder`` is the run's."""
    if answer is None:
        return {"response": None}
    return {
        "response": answer.text,
        "value": answer.json if form is None else form.value_of(answer),
        "type": answer.type,
        "file": None if answer.file is None else folder / answer.file,
        "evidence": answer.evidence,
        "answer": answer,
    }
