"""Rules for values of single options. Each raises ``UsageError``, which begins with ``label``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..errors import UsageError

_SIZE = r"0*[1-9]\d*(\.\d+)?[kmg]?b?"
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_OWN_FIELDS = {"model", "messages", "stream", "stream_options", "response_format"}
_SECRET_VARIABLES = {
    "RLM_API_KEY",
    "RLM_SUB_API_KEY",
    "OPENAI_API_KEY",
    "RLM_HEADERS",
    "RLM_SUB_HEADERS",
}


def mounted(paths: tuple[str, ...]) -> dict[str, str]:
    """Return where code in a container finds files and folders of this machine, by their paths."""
    whole = [Path(path).expanduser().resolve() for path in paths]
    return {str(path): f"/mnt/{path.name or 'root'}" for path in whole}


def check_positive(value: float, label: str) -> None:
    if not value > 0:
        raise UsageError(f"{label}={value!r}: give a number above 0")


def check_size(value: str, label: str) -> None:
    if not re.fullmatch(_SIZE, value, re.IGNORECASE):
        raise UsageError(f"{label}={value!r}: give a size, such as 512m or 2g")


def size(text: str, label: str) -> int:
    """Return the bytes of a size such as 512m or 2g."""
    text = text.strip()
    check_size(text, label)
    number, unit = re.fullmatch(r"([\d.]+)([kmg]?)b?", text.lower()).groups()  # type: ignore[union-attr]
    return int(float(number) * _BYTES[unit])


def check_variables(names: tuple[Any, ...], label: str) -> None:
    """Names of environment variables, and none that holds a key."""
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(f"{label}: {name!r} is no name of an environment variable")
        if name in _SECRET_VARIABLES:
            raise UsageError(
                f"{label}: {name} stays out of the cells' environment: code that an LM wrote could "
                "send the key anywhere. Cells ask LMs by llm_query, without a key."
            )


def check_headers(headers: dict[Any, Any], label: str) -> None:
    """HTTP headers by name. No error shows a value."""
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(_TOKEN, name):
            raise UsageError(f"{label}: {name!r} is no name of an HTTP header")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise UsageError(f"{label}: the value of {name!r} is no text that a header can carry")


def check_fields(fields: dict[Any, Any], label: str) -> None:
    """Fields of a request that are not set in another way, as JSON has them."""
    for name in fields:
        if not isinstance(name, str) or name in _OWN_FIELDS:
            raise UsageError(f"{label}: {name!r} is no field that can be added to a request")
    try:
        json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{label}: give what JSON can say ({error})") from None


def check_files(names: tuple[Any, ...], label: str) -> None:
    """Paths that are there, no two of which would be at the same place in a sandbox."""
    for name in names:
        if not isinstance(name, str) or not Path(name).expanduser().exists():
            raise UsageError(f"{label}: there is no folder or file {str(name)!r}")
    if len(mounted(names)) > len({*mounted(names).values()}):
        raise UsageError(f"{label}: two of {', '.join(names)} would be the same place under /mnt")
