"""The cells of a notebook in the making."""

from __future__ import annotations

import re
from typing import Any

from ...events import Output
from ..markdown import literal, printable
from ..pictures import alt, mime_of
from ..summary import Node
from .language import whole
from .metadata import page

_NOT_IN_ID = re.compile(r"[^A-Za-z0-9]")


class Cells:
    """Cells in the making. Ids tell what a cell is, so that two versions differ calmly."""

    def __init__(self, node: Node, digests: list[str]) -> None:
        self.node = node
        self.digests = iter(digests)  # of the cells that ran, in their order
        self.made: list[dict[str, Any]] = []
        self._ids: set[str] = set()

    def markdown(self, name: str, source: str) -> None:
        self._add(name, {"cell_type": "markdown", "metadata": {}, "source": source})

    def code(
        self,
        name: str,
        source: str,
        metadata: dict[str, Any],
        outputs: list[Output],
        count: int | None = None,
    ) -> None:
        cell = {
            "cell_type": "code",
            "metadata": metadata,
            "source": printable(source),
            "outputs": outputs,
            "execution_count": count,
        }
        self._add(name, cell)

    def link(self, node: str, *, root: bool = False) -> str:
        """Return a link that is right from this node's notebook."""
        target = page(node, root=root)
        if self.node.parent is not None:
            target = f"../{target}" if root else target.removeprefix("calls/")
        return f"[{literal(node)}]({target})"

    def anchor(self, name: str) -> str:
        """Return the address of a cell of this notebook, which JupyterLab and nbconvert know."""
        return f"#cell-id={self._stem(name)}"

    def _stem(self, name: str) -> str:
        return _NOT_IN_ID.sub("-", f"n{self.node.id}-{name}")[-50:]

    def _add(self, name: str, cell: dict[str, Any]) -> None:
        stem = self._stem(name)
        unique, again = stem, 1
        while unique in self._ids:
            again += 1
            unique = f"{stem}-{again}"
        self._ids.add(unique)
        self.made.append({"id": unique, **cell})


def as_shown(output: Output, source: str, number: int | None) -> Output:
    """Return an output as it is kept, with what only readers look at: a picture says what it shows,
    by the ``source`` of its cell, and a result has the cell's ``number``."""
    shown = as_kept(output)
    if "metadata" in shown:
        shown["metadata"] = _worded(shown, source)
    if "execution_count" in shown:
        shown["execution_count"] = number
    return shown


def as_kept(output: Output) -> Output:
    """Return the parts that the notebook format knows; an output it does not know becomes text."""
    match output.get("output_type"):
        case "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            return {
                "output_type": "stream",
                "name": name,
                "text": printable(str(output.get("text", ""))),
            }
        case "display_data" | "execute_result" as kind:
            shown = {"output_type": kind, "metadata": output.get("metadata") or {}}
            shown["data"] = _printable_data(output.get("data") or {})
            if kind == "execute_result":
                shown["execution_count"] = output.get("execution_count")
            return shown
        case "error":
            lines = [printable(str(line)) for line in output.get("traceback") or []]
            named = {key: printable(str(output.get(key, ""))) for key in ("ename", "evalue")}
            return {"output_type": "error", **named, "traceback": lines}
    return {"output_type": "stream", "name": "stderr", "text": f"[an unknown output: {output!r}]"}


def _worded(output: Output, source: str) -> dict[str, Any]:
    metadata: dict[str, Any] = whole(output["metadata"])
    mime = mime_of(output["data"])
    given = metadata.get(mime or "", {})
    if mime is None or not isinstance(given, dict):
        return metadata
    return {**metadata, mime: {"alt": alt(source), **given}}


def _printable_data(data: dict[str, Any]) -> dict[str, Any]:
    return {mime: printable(v) if isinstance(v, str) else v for mime, v in data.items()}
