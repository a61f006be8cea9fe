"""The values that calls give to the code in a cell."""

from typing import Any

from .errors import FailedReply, from_host


class _OfChild:
    """A child's answer, a value of its own type that knows of the child as well. ``status`` is that
    of its run, ``turns`` and ``seconds`` what it took, ``notebook`` its path in the run's folder.
    At the depth limit, where a plain sub-call answers, there are no turns and no notebook. A copy
    of it is a plain value."""

    status = "answered"
    turns = 0
    seconds = 0.0
    notebook: Any = None

    @property
    def value(self):
        """The answer alone."""
        return _plain_type(self)(self)

    def __reduce__(self):
        return _plain_type(self), (self.value,)


class ChildReply(_OfChild, str):
    """A child's text."""


class ChildInt(_OfChild, int):
    """A child's whole number."""


class ChildFloat(_OfChild, float):
    """A child's number."""


class ChildList(_OfChild, list):
    """A child's list."""


class ChildDict(_OfChild, dict):
    """A child's dict."""


_KINDS: "dict[type, Any]" = {kind.__bases__[1]: kind for kind in _OfChild.__subclasses__()}


def _plain_type(reply):
    return type(reply).__bases__[1]


def of_slot(slot):
    """Return the value of a slot. Raises the error that it holds."""
    if slot.get("error"):
        raise from_host(slot["error"])
    return slot["value"]


def child_reply(slot):
    """Return a child's answer; one that is None, true or false knows nothing of the child. Raises
    the error that its slot holds."""
    value = of_slot(slot)
    if type(value) not in _KINDS:
        return value
    reply = _KINDS[type(value)](value)
    reply.__dict__.update(slot.get("about") or {})
    return reply


def of_batch(slots, reply=of_slot):
    """Return the replies of a batch; a ``FailedReply`` where a prompt failed."""
    return [FailedReply(from_host(s["error"])) if s.get("error") else reply(s) for s in slots]
