"""What calls give to the code in a cell."""

from .errors import FailedReply, from_host


class ChildReply(str):
    """A child's answer: its text, and what is known of the child. ``status`` is that of its run,
    ``turns`` and ``seconds`` what it took, ``notebook`` its path in the run's folder. At the depth
    limit, where a plain sub-call answers, there are no turns and no notebook. A copy of it is a
    plain str."""

    status: str
    turns: int
    seconds: float
    notebook: "str | None"

    def __new__(cls, text, status="answered", turns=0, seconds=0.0, notebook=None):
        reply = super().__new__(cls, text)
        reply.status, reply.turns = status, turns
        reply.seconds, reply.notebook = seconds, notebook
        return reply

    @property
    def value(self):
        """The answer as it was given."""
        return str(self)

    def __reduce__(self):
        return str, (str(self),)


def of_slot(slot):
    """Return the value of a slot. Raises the error that it holds."""
    if slot.get("error"):
        raise from_host(slot["error"])
    return slot["value"]


def child_reply(slot):
    """Return a child's reply. Raises the error that its slot holds."""
    return ChildReply(of_slot(slot), **slot.get("about") or {})


def of_batch(slots, reply=of_slot):
    """Return the replies of a batch; a ``FailedReply`` where a prompt failed."""
    return [FailedReply(from_host(s["error"])) if s.get("error") else reply(s) for s in slots]
