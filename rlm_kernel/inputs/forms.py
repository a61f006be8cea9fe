"""The wanted form of an answer: declared by the caller, told to the LM, checked at the gate."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..answers import Answer
from ..errors import RecordError, UsageError
from ..remote.guest.forms.schemas import WORDS, checked, schema_of
from ..remote.guest.forms.type_expressions import UnknownName
from ..remote.guest.forms.type_schemas import NoSchema
from .typed_dicts import with_known_typed_dicts

if TYPE_CHECKING:
    import pydantic

SAID_CHARS = 1_500
_SHOWN_CHARS = 100
WAYS = f"give {', '.join(WORDS)}, a type such as list or list[str], or a JSON Schema"
"""The ways to say a form, as the end of a sentence."""


@dataclass(frozen=True)
class Form:
    """A JSON Schema that an answer is to fit, and how it is ``said`` to the LM. With an ``adapter``
    the caller is given a Python object."""

    schema: dict[str, Any]
    said: str
    adapter: pydantic.TypeAdapter[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def recorded(self) -> dict[str, Any]:
        """Return it as the record has it, and as the kernel is told of it."""
        return {"schema": self.schema, "said": self.said}

    @property
    def told(self) -> str:
        """Return what an LM is told of it first: of a type that names classes of the kernel, which
        it knows nothing of, the schema too."""
        try:
            schema_of(self.said)
        except UnknownName:
            return f"{self.said}, by {_said_of(_plainer(self.schema))}"
        except NoSchema:
            pass
        return self.said

    def refused(self, answer: Answer) -> str | None:
        """Return why an answer is not of this form, None where it is."""
        if answer.value is None:
            return "it has no value"
        wrong = self._wrong(answer.json)
        if wrong is None and self.adapter is not None:
            return _unlike(self.adapter, answer.value)
        return wrong

    def _wrong(self, value: Any) -> str | None:
        # Not by the kernel's engine: that makes code of a schema, which may be a stranger's.
        import jsonschema  # type: ignore[import-untyped]

        check = jsonschema.Draft202012Validator(self.schema)
        try:
            error = next(check.iter_errors(value), None)
        except RecursionError:
            return "it is nested too deeply to be checked"
        where = "" if error is None else error.json_path.lstrip("$.")
        return None if error is None else f"{where and f'at {where}: '}{error.message[:300]}"

    def value_of(self, answer: Answer | None) -> Any:
        """Return what the caller is given for an answer that fits; None for any other."""
        if answer is None or answer.value is None:
            return None
        if self.adapter is None:
            return answer.json
        return self.adapter.validate_json(answer.value, strict=True)


def form_of(wanted: object) -> Form:
    """Return the form that a Python type, a class, a JSON Schema or a text says. Raises
    ``UsageError``."""
    if isinstance(wanted, Form):
        return wanted
    if isinstance(wanted, str):
        try:
            return form_of_text(wanted)
        except UnknownName as error:
            raise UsageError(f"answer={_shown(wanted)}: {error}; {WAYS}") from None
    if isinstance(wanted, Mapping):
        return _of_schema(dict(wanted), None)
    import pydantic

    known = with_known_typed_dicts(wanted)
    try:
        adapter = pydantic.TypeAdapter(known, config=_config(known))
        schema = _plainer(adapter.json_schema())
    except (pydantic.errors.PydanticUserError, pydantic.errors.PydanticSchemaGenerationError) as e:
        raise UsageError(
            f"answer={_shown(wanted)}: no JSON Schema can be made of it: {str(e).splitlines()[0]}"
        ) from None
    simple = wanted is None or _is_simple(wanted)
    return _of_schema(schema, _name_of(wanted) if simple else None, adapter)


def form_of_text(text: str, where: str = "answer") -> Form:
    """Return the form that a word, a type expression or a JSON Schema says. Raises ``UsageError``,
    which calls it ``where``, and ``UnknownName`` for an expression that names a class."""
    written = text.strip()
    if written.startswith("{"):
        return _of_schema(_json(written, where), None)
    try:
        return Form(schema_of(written), written)
    except UnknownName:
        raise
    except NoSchema as error:
        raise UsageError(f"{where}={_shown(text)}: {error}; {WAYS}") from None


def form_of_option(text: str) -> Form:
    """Return the form that ``--answer`` gives: a file with a JSON Schema, too. Blocks. Raises
    ``UsageError``, and ``UnknownName`` for an expression that names a class."""
    try:
        return form_of_text(text, "--answer")
    except UnknownName:
        path = Path(text).expanduser()
        if not path.is_file():
            raise
    except UsageError:
        path = Path(text).expanduser()
        if text.strip().startswith("{") or not path.is_file():
            raise
    try:
        return _of_schema(_json(path.read_text("utf-8"), str(path)), None)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--answer={_shown(text)}: it cannot be read: {error}") from None


def form_in(settings: Mapping[str, Any]) -> Form | None:
    """Return the form that a record's settings tell of. Raises ``RecordError``."""
    told = settings.get("answer")
    if told is None:
        return None
    try:
        return Form(_valid(told["schema"]), str(told["said"]))
    except UsageError as error:
        raise RecordError(f"the wanted form of the answer in the record is none: {error}") from None


def _of_schema(
    schema: dict[str, Any], said: str | None, adapter: pydantic.TypeAdapter[Any] | None = None
) -> Form:
    _valid(schema)
    return Form(schema, said or _said_of(schema), adapter)


def _said_of(schema: dict[str, Any]) -> str:
    written = json.dumps(schema, ensure_ascii=False)
    cut = written if len(written) <= SAID_CHARS else f"{written[:SAID_CHARS]}…"
    return f"JSON Schema {cut}"


def _valid(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that is one. Raises ``UsageError``."""
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(checked(schema))
    except (NoSchema, jsonschema.SchemaError, RecursionError) as error:
        message = f"this is no JSON Schema: {getattr(error, 'message', error)}"
        raise UsageError(f"answer={_shown(schema)}: {message[:400]}") from None
    return schema


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: this is no JSON Schema: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{where}: a JSON Schema is an object, this is {_shown(found)}")
    return found


def _config(wanted: Any) -> pydantic.ConfigDict | None:
    """Return how values that are no models are read: bytes are base64 in an answer."""
    import pydantic

    owns = isinstance(wanted, type) and hasattr(wanted, "__pydantic_config__")
    owns = owns or (isinstance(wanted, type) and issubclass(wanted, pydantic.BaseModel))
    own_kind = owns or hasattr(wanted, "__dataclass_fields__") or hasattr(wanted, "__total__")
    return None if own_kind else pydantic.ConfigDict(val_json_bytes="base64")


def _plainer(schema: Any, named: bool = False) -> Any:
    """Return a schema without pydantic's titles, which say nothing to an LM. ``named`` says that
    its keys are names of fields."""
    if isinstance(schema, list):
        return [_plainer(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plainer(part, key in ("properties", "$defs") and not named)
        for key, part in schema.items()
        if named or key != "title" or not isinstance(part, str)
    }


def _is_simple(wanted: Any) -> bool:
    """Return whether its name says all of it: of builtins only."""
    inner = typing.get_args(wanted)
    if typing.get_origin(wanted) is typing.Literal:
        return True
    if inner:
        return all(part is Ellipsis or _is_simple(part) for part in inner)
    return wanted in (str, int, float, bool, list, dict, set, tuple, type(None), Any)


def _name_of(wanted: Any) -> str:
    name = wanted.__name__ if isinstance(wanted, type) and not typing.get_args(wanted) else wanted
    return str(name).replace("typing.", "").replace("NoneType", "None")


def _unlike(adapter: pydantic.TypeAdapter[Any], value: str) -> str | None:
    import pydantic

    try:
        adapter.validate_json(value, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return (f"at {where}: " if where else "") + str(first["msg"])[:300]
    return None


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"
