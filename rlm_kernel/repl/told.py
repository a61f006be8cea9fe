"""Reads and checks the guest's reports: an expression's value, a fork, a context."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..environments.kernel import Executed
from ..events import ContextInfo
from ..inputs.contexts import Source
from .protocol import MAX_NOTICE, as_text, as_texts


@dataclass(frozen=True)
class Taken:
    """The guest's account of a frozen fork that it was to take: its process id, None where there is
    none, since it would have ``lost`` these or for an ``error``."""

    pid: int | None
    lost: list[str]
    error: str | None

    @classmethod
    def of(cls, text: str) -> Taken:
        """Read it, checked."""
        try:
            told = json.loads(ast.literal_eval(text))
            pid = told.get("pid")
        except (ValueError, SyntaxError, AttributeError, RecursionError):
            return cls(None, [], "the kernel does not say what came of it")
        number = pid if isinstance(pid, int) and pid > 1 else None
        return cls(number, as_texts(told.get("lost")), as_text(told.get("error"), MAX_NOTICE))


def value_of(done: Executed) -> tuple[str, str | None]:
    """Return the text of an expression's value, checked, and None, or what went wrong."""
    told = done.reply["content"].get("user_expressions")
    told = told.get("rlm") if isinstance(told, dict) else None
    data = told.get("data") if isinstance(told, dict) else None
    value = as_text(data.get("text/plain")) if isinstance(data, dict) else None
    if value is not None:
        return value, None
    error = told if isinstance(told, dict) else {}
    return "", f"{as_text(error.get('ename'), 100)}: {as_text(error.get('evalue'), MAX_NOTICE)}"


def copied(told: dict[str, Any], data: bytes, name: str) -> Source | None:
    """Return the copy of a variable's value that the guest sent with its report, if it did."""
    kind = told.get("kind")
    if kind not in ("text", "bytes", "json", "pickle"):
        return None
    return Source(
        kind=kind,
        path=None,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        name=name,
    )


def unknown(name: str) -> dict[str, Any]:
    """Return the spec of a value of which there is no copy."""
    return {"kind": "variable", "name": name, "sha256": None, "size": None, "path": None}


def info_of(told: object, spec: dict[str, Any], source: Source | None) -> ContextInfo:
    """Return what the guest says its context is, checked, with where it came from."""
    notes = [] if source is None else list(source.notes)
    info = told if isinstance(told, dict) else {}
    number = {k: v if isinstance(v := info.get(k), int) else None for k in ("length", "lines")}
    return ContextInfo(
        type=as_text(info.get("type"), 100) or "unknown",
        length=number["length"],
        lines=number["lines"],
        format=as_text(info.get("format"), 500),
        head=as_text(info.get("head"), 2000) or "",
        tail=as_text(info.get("tail"), 2000) or "",
        spec=spec,
        notice=None if source is None else source.notice,
        notes=notes + as_texts(info.get("notes"))[:9],
        overview=as_text(info.get("overview"), 4000) or "",
        python=as_text(info.get("python"), 20),
        modules=as_texts(info.get("modules")),
    )
