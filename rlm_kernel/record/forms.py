"""Events as the plain data of a record, and back: what is read is checked here, once, by type.

A record may come from anyone. The forms that are checked are made from the dataclasses of
``events``; only what stands in their dicts is said here. Behind this nothing checks again.
"""

from __future__ import annotations

import dataclasses
import json
import re
import reprlib
import types
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
)

from .. import events as words
from ..answers import Evidence
from ..errors import RecordError
from ..events import FORMAT, ContextInfo, Event, RunStarted, Usage
from ..settings.resolved import ENVIRONMENTS
from .format_version import FormatVersion, checked

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
    try:
        _form(cls, newer).model_validate(fields)
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


# -- forms ----------------------------------------------------------------------------------------
class _Open(BaseModel):
    """A dict that may hold more than what is said of it."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, defer_build=True)


Count = Annotated[int, Field(ge=0, le=LARGEST)]
Amount = Annotated[float, Field(ge=0, le=LARGEST)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Stream(_Open):
    name: str
    text: str


class _Error(_Open):
    ename: str
    evalue: str
    traceback: list[str]


class _Display(_Open):
    data: dict[str, Any]
    metadata: dict[str, Any] = {}


def _tag(output: Any) -> str:
    kind = output.get("output_type") if isinstance(output, dict) else None
    known = {"stream": "stream", "error": "error"} | dict.fromkeys(
        ("display_data", "execute_result"), "display"
    )
    return known.get(kind, "output") if isinstance(kind, str) else "output"


class _Other(_Open):
    output_type: str


class _Failure(_Open):
    type: str
    message: str
    cause: str | None = None


class _ImageUrl(_Open):
    url: str


class _Part(_Open):
    type: Literal["text", "image_url"]
    text: str = ""
    image_url: _ImageUrl | None = None


class _Message(_Open):
    role: str
    content: str | list[_Part]


class _Spec(_Open):
    kind: str
    sha256: Sha256 | None = None
    size: Count | None = None
    path: str | None = None
    text: str = ""
    variable: str | None = None


class _Module(_Open):
    name: str
    source: str
    tools: dict[str, str]
    needs: dict[str, Any]


class _Form(_Open):
    schema_: dict[str, Any] = Field(alias="schema")
    said: str


class _Exchange(_Open):
    question: str
    answer: str
    name: str = ""


class _Settings(_Open):
    model: str | None = None
    sub_model: str | None = None
    environment: Literal[ENVIRONMENTS] = "local"  # type: ignore[valid-type]
    sandbox: dict[str, Any] = {}
    kernel: str | None = None
    prompt: str | None = None
    seed: Count | None = None
    temperature: Amount | None = None
    prompt_chars: Count = 0
    max_batch: Count = 0
    trust_html: bool = True
    tools: list[str] = []
    tool_modules: list[_Module] = []
    limits: dict[str, Count | Amount | None] = {}
    unpriced: list[str] = []
    data: dict[str, _Spec] = {}
    origin: dict[str, Any] | None = None
    asked: dict[str, Any] | None = None
    answer: _Form | None = None
    conversation: list[_Exchange] = []


def _json(text: str) -> str:
    """Return a text that is JSON. Raises ``ValueError`` for any other."""
    try:
        json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return text


_Output = Annotated[
    Annotated[_Stream, Tag("stream")]
    | Annotated[_Error, Tag("error")]
    | Annotated[_Display, Tag("display")]
    | Annotated[_Other, Tag("output")],
    Discriminator(_tag),
]
_Time = Annotated[float, Field(ge=0, le=LATEST)]


def _form_text(text: str) -> str:
    """Return a text that is a form as JSON. Raises ``ValueError`` for any other."""
    _Form.model_validate(json.loads(_json(text)))
    return text


_Json = Annotated[str, AfterValidator(_json)]  # pydantic's own takes no lone surrogate
_File = Annotated[str, Field(pattern=r"^answer-[0-9.]{1,1000}-[0-9]{1,15}\.[a-z]{1,4}$")]
_DICTS: dict[str, Any] = {
    "value": _Json | None,
    "wanted": Annotated[str, AfterValidator(_form_text)] | None,
    "file": _File | None,
    "settings": _Settings,
    "spec": _Spec,
    "messages": list[_Message],
    "outputs": list[_Output],
    "output": _Output,
    "error": _Failure | None,
    "time": _Time,
    "started": _Time,
}
"""By the name of the field, what its type alone does not say."""


@cache
def _form(cls: type, newer: bool) -> type[BaseModel]:
    hints = get_type_hints(cls, vars(words), include_extras=True)
    fields: dict[str, Any] = {
        field.name: (_DICTS.get(field.name) or _hint(hints[field.name], newer), _default(field))
        for field in dataclasses.fields(cls)
    }
    unknown: Literal["ignore", "forbid"] = "ignore" if newer else "forbid"
    config = ConfigDict(strict=True, extra=unknown, allow_inf_nan=False)
    return create_model(cls.__name__, __config__=config, **fields)


def _default(field: dataclasses.Field[Any]) -> Any:
    required = field.default is field.default_factory is dataclasses.MISSING
    return ... if required else None


def _hint(hint: Any, newer: bool) -> Any:
    """Return the type that a field is checked by: numbers are bounded, ids are of their pattern."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return reduce(or_, (_hint(one, newer) for one in inner))
    if origin is Annotated:
        return Annotated[inner[0], Field(pattern=f"^(?:{inner[1].pattern})$")]
    if origin is list and dataclasses.is_dataclass(inner[0]):
        return list[_hint(inner[0], newer)]  # type: ignore[misc]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _form(hint, newer)
    return {int: Count, float: Amount}.get(hint, hint)
