"""A folder of text files as a mapping, each read when it is asked for."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any

_ESCAPED = "backslashreplace"


class Folder(Mapping):
    """The text files of a folder: relative posix path -> text, read when it is asked for.

    ``files`` are the path, the encoding, the handler of its errors and the characters of each, as
    they were when the context was given: the host has judged what is text. Bytes that fit no
    encoding stand as ``\\xNN``.
    """

    def __init__(self, path: str, name: str, files: list[list[Any]]) -> None:
        self._root = os.path.realpath(path)
        self._name = name
        self._files = {file: (encoding, size) for file, encoding, _, size in files}

    def __getitem__(self, key: str) -> str:
        path = os.path.join(self._root, key) if key in self._files else None
        if path is None or not _inside(path, self._root):
            near = difflib.get_close_matches(str(key), list(self._files)[:10_000], n=3, cutoff=0.4)
            raise KeyError(f"{key!r} is not a file of this folder; near it: {near}")
        with open(path, "rb") as file:
            return file.read().decode(self._files[key][0], _ESCAPED)

    def head(self, key: str, most: int) -> str:
        """Return the first characters of a file."""
        encoding = self._files[key][0]
        with open(os.path.join(self._root, key), encoding=encoding, errors=_ESCAPED) as file:
            return file.read(most)

    def sizes(self) -> dict[str, int]:
        """Return the characters of each file."""
        return {name: size for name, (_, size) in self._files.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._files

    def __repr__(self) -> str:
        first = ", ".join(list(self._files)[:5]) + (", …" if len(self) > 5 else "")
        return f"<Folder {self._name!r} of {len(self)} files: {first}>"


def _inside(path: str, root: str) -> bool:
    return os.path.commonpath([os.path.realpath(path), root]) == root
