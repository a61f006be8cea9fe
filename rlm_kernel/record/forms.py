"""Events as the plain data of a record, and back: what is read is checked here, once, by type.

A record may come from anyone. What is checked is made from the dataclasses of ``events``, in
``event_models``. Behind this nothing checks again.
"""

from __future__ import annotations

import dataclasses
import re
import reprlib
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from ..answers import Evidence
from ..errors import RecordError
from ..events import FORMAT, ContextInfo, Event, RunStarted, Usage
from .format_version import FormatVersion, checked

if TYPE_CHECKING:
    from pydantic import ValidationError

T = TypeVar("T")

LARGEST = 10**15
"""No count, size, sum or time of a run is larger, and none is below zero."""
LATEST = 4 * 10**9
"""Unix seconds of the latest time that is one."""
_KINDS: dict[str, type] = {cls.kind: cls for cls in get_args(Event)}
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 60
_OBJECT = re.compile(r"a valid dictionary or instance of \w+")
_SHOULD = re.compile(r"^\w+ should ")


class UnknownKind(RecordError):
    """An event of a kind that is not known here."""


def event_of(data: Any, newer: bool = False) -> Event:
    """Return the event of ``events.to_dict``'s form. Fields that are not known here are passed over
    in one of a ``newer`` minor version, and refused in any other.

    Raises ``UnknownKind``, ``NewerRecord`` for the first event of a record of a newer major
    version, and ``RecordError``, which says which field is not what it should be.
    """
    if not isinstance(data, dict):
        raise RecordError("it is no object")
    fields = dict(data)
    kind = fields.pop("kind", None)
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise UnknownKind(f"there is no kind of event {_SHOWN.repr(kind)}")
    if cls is RunStarted and "format" in fields:
        newer = is_newer(fields["format"])
    _check(cls, fields, newer)
    for name, part in (("usage", Usage), ("context", ContextInfo)):
        if isinstance(fields.get(name), dict):
            fields[name] = known_part(part, fields[name])
    if fields.get("evidence"):
        fields["evidence"] = [known_part(Evidence, one) for one in fields["evidence"]]
    event: Event = known_part(cls, fields)
    return event


def known_part(cls: type[T], fields: dict[str, Any]) -> T:
    """Return a record of this dataclass made of those of the fields that it has."""
    names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in fields.items() if name in names})


def is_newer(written: Any) -> bool:
    """Return whether a journal of this version may have fields and events that are not known here.

    Raises ``NewerRecord`` for a newer major version and ``RecordError`` for what is no version.
    """
    known = FormatVersion.of(FORMAT)
    try:
        return checked(written, known, "journal").has_unknown(known)
    except ValueError as error:
        raise RecordError(f"its field `format` is no version: {error}") from None


def _check(cls: type, fields: dict[str, Any], newer: bool) -> None:
    from pydantic import ValidationError

    from .event_models import model_of

    try:
        model_of(cls, newer).model_validate(fields)
    except ValidationError as error:
        raise RecordError(_sentence(error)) from None
    except RecursionError:
        raise RecordError("it is nested too deeply") from None


def _sentence(error: ValidationError) -> str:
    """Say the first thing that is wrong."""
    wrong, *others = error.errors(include_url=False, include_context=False)
    name = ".".join(str(part) for part in wrong["loc"])[:200]
    if wrong["type"] == "missing":
        text = f"it has no field `{name}`"
    elif wrong["type"] == "extra_forbidden":
        text = f"it has a field `{name}`, which is not known here"
    else:
        should = _OBJECT.sub("an object", _SHOULD.sub("it should ", wrong["msg"]))
        text = f"its field `{name}` is {_SHOWN.repr(wrong['input'])}: {should}"
    return f"{text} (and {len(others):,} more)" if others else text
