"""The chat completions protocol: requests written, replies and their pieces read.

Nothing here does any I/O; streams are split in ``stream``, errors are read in ``failures``, what a
reply has used in ``usage``. Bodies come from endpoints of many makers, so every shape is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import usage
from .failures import Failure, sent_as_success
from .said import page_of, short

STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""The fields that are added to a request for a stream that ends with its usage."""
COMPLETIONS = "/chat/completions"
MODELS = "/models"
"""Paths below the endpoint's address."""
IMAGE_CHARS = 4000  # an image is charged about a thousand tokens, whatever its bytes
_CALLS = ("tool_calls", "function_call")
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
_THOUGHT_TYPES = ("thinking", "reasoning", "reasoning_content")


@dataclass(frozen=True)
class Piece:
    """The part of a reply in one body, or in one event of a stream.

    ``text`` is new, ``whole`` all of the text there is, for those who send it in the end once more.
    ``thoughts`` are those that the endpoint sends apart from the text, in the same two ways.
    ``called`` says that the model calls a tool, though it was given none. ``choice`` is false where
    there was none, as in the last event of many streams.
    """

    text: str = ""
    whole: str = ""
    thoughts: str = ""
    whole_thoughts: str = ""
    called: bool = False
    refusal: str = ""
    finish: str | None = None
    model: str | None = None
    reported: usage.Reported | None = None
    choice: bool = True


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the field of a request that asks for a reply that fits a JSON Schema."""
    about = {"name": "reply", "schema": schema, "strict": _closed(schema)}
    return {"type": "json_schema", "json_schema": about}


def _closed(schema: object) -> bool:
    """Return whether no object of a schema may lack or add a property, as strict modes require."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    names = schema.get("properties")
    if isinstance(names, Mapping):
        required = schema.get("required")
        whole = isinstance(required, list) and set(required) == set(names)
        if not whole or schema.get("additionalProperties") is not False:
            return False
    elif schema.get("type") == "object":
        return False
    return all(map(_closed, schema.values()))


def piece(body: object) -> Piece | None:
    """Read a completion or one event of a stream; None for what is neither, and is passed over.

    Raises ``Failure`` for an error that was sent with status 200.
    """
    if (failed := sent_as_success(body)) is not None:
        raise failed
    if isinstance(body, list) and len(body) == 1:  # some put what they send into a list
        body = body[0]
    if not isinstance(body, dict):
        return None
    choices, reported = body.get("choices"), usage.reported(body)
    if not (isinstance(choices, list) and choices):
        # Ollama's own form has its message where others have choices.
        if not isinstance(body.get("message"), dict):
            return Piece(reported=reported, choice=isinstance(choices, list))
        choices = [body]
    choice = _mapping(choices[0])
    delta, message = _mapping(choice.get("delta")), _mapping(choice.get("message"))
    bare = "" if delta or message else _string(choice.get("text"))
    finish, model = choice.get("finish_reason") or choice.get("done_reason"), body.get("model")
    refusal = delta.get("refusal") or message.get("refusal")
    return Piece(
        text=_text(delta.get("content")) or bare,
        whole=_text(message.get("content")),
        thoughts=_thoughts(delta),
        whole_thoughts=_thoughts(message),
        called=any(part.get(name) for part in (delta, message) for name in _CALLS),
        refusal=_string(refusal),
        finish=finish if isinstance(finish, str) and finish != "null" else None,
        model=model if isinstance(model, str) else None,
        reported=reported,
    )


def model_names(body: object) -> list[str]:
    """Return the names in the body of ``GET /models``. Raises ``Failure`` if it is none."""
    listed = body if isinstance(body, list) else _mapping(body).get("data")
    listed = _mapping(body).get("models") if listed is None else listed
    if not isinstance(listed, list):
        page = page_of(body) if isinstance(body, str) else None
        raise sent_as_success(body) or Failure("garbage", page or short(body))
    return [name for item in listed if (name := _model_name(item))]


def _model_name(item: object) -> str:
    names = (_string(_mapping(item).get(name)) for name in ("id", "name", "model"))
    return _string(item) or next(filter(None, names), "")


def mend(text: str) -> str:
    """``text`` with surrogate pairs joined and each lone surrogate as U+FFFD.

    JSON over UTF-8 cannot carry them, and endpoints do send halves of an escaped pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def mend_all(value: Any) -> Any:
    """``mend`` for every text inside messages."""
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, list):
        return [mend_all(item) for item in value]
    if isinstance(value, dict):
        return {key: mend_all(item) for key, item in value.items()}
    return value


def size(messages: list[dict[str, Any]]) -> int:
    """The characters of all texts in messages; a part that is no text counts ``IMAGE_CHARS``."""
    return sum(_size(message.get("content")) for message in messages)


def _size(content: object) -> int:
    if isinstance(content, list):
        texts = [_mapping(part).get("text") for part in content]
        return sum(len(text) if isinstance(text, str) else IMAGE_CHARS for text in texts)
    return len(content) if isinstance(content, str) else 0


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(content: object) -> str:
    """The text of a message, whose parts may be thoughts too."""
    if isinstance(content, list):
        parts = [part for part in map(_mapping, content) if part.get("type") not in _THOUGHT_TYPES]
        return "".join(_string(part.get("text")) for part in parts)
    return _string(content)


def _thoughts(message: dict[str, Any]) -> str:
    """The thoughts that stand beside the text, in the fields and parts that makers have for it."""
    beside = next((text for name in _THOUGHT_FIELDS if (text := _string(message.get(name)))), "")
    content = message.get("content")
    parts = map(_mapping, content) if isinstance(content, list) else ()
    for part in (part for part in parts if part.get("type") in _THOUGHT_TYPES):
        inner = part.get("thinking") or part.get("text")
        beside += _text(inner)
    return beside


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
