"""The models that ``forms`` checks a record's events by, made of the dataclasses of ``events``.

Only what stands in their dicts is said here. ``forms`` imports this when it reads the first event:
pydantic takes a tenth of a second, and who starts or writes needs none of it.
"""

from __future__ import annotations

import dataclasses
import json
import types
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    create_model,
)

from .. import events as words
from ..settings.resolved import ENVIRONMENTS
from .forms import LARGEST, LATEST


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
def model_of(cls: type, newer: bool) -> type[BaseModel]:
    """Return what checks the fields of this dataclass, passing over unknown ones of a ``newer``
    minor version."""
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
        return model_of(hint, newer)
    return {int: Count, float: Amount}.get(hint, hint)
