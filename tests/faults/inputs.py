"""Contexts that cannot be read, or hardly."""

from __future__ import annotations

from pathlib import Path

from .running import END, Case, cell

GIGABYTE = 1_000_000_000
LINE = b"%09d a line of a text that is one gigabyte long, and whose end is to be found\n"


def _missing(folder: Path) -> str:
    (folder / "report.txt").write_text("here")
    return "reprot.txt"


class _File:
    """Writes a file into the working folder and gives its name."""

    def __init__(self, data: bytes, name: str = "input.txt") -> None:
        self._data = data
        self._name = name

    def __call__(self, folder: Path) -> str:
        (folder / self._name).write_bytes(self._data)
        return self._name


def _huge(folder: Path) -> str:
    block, size = b"".join(LINE % n for n in range(20_000)), 0
    with (folder / "huge.txt").open("wb") as file:
        while size < GIGABYTE:
            size += file.write(block)
        file.write(b"the last line of all\n")
    return "huge.txt"


def _empty_folder(folder: Path) -> str:
    (folder / "nothing").mkdir()
    return "nothing"


def _loop(folder: Path) -> str:
    (folder / "loop.txt").symlink_to("loop.txt")
    return "loop.txt"


HUGE = cell("print(f'{len(context):,}', context[-21:])")
CASES = [
    Case("missing, a name much like another", "near it: report.txt", status=2, context=_missing,
         run=False),
    Case("missing, in no folder", "no such file or folder", status=2, run=False,
         context=lambda folder: "/no/such/folder/a.txt"),
    Case("a device", "device", status=2, context=lambda folder: "/dev/null", run=False),
    Case("unreadable: a link to itself", "cannot be read", status=2, context=_loop, run=False),
    Case("an unknown --encoding", "is no text encoding", status=2, run=False,
         arguments=("--encoding", "utf-99")),
    Case("not in the encoding given", "is not ascii", status=2, run=False, quick=False,
         context=_File("é".encode()), arguments=("--encoding", "ascii")),
    Case("empty", "The context is empty", "LM", context=_File(b"")),
    Case("nothing on standard input", "The context is empty", "LM", context=lambda folder: "-",
         quick=False),
    Case("an empty folder", "type ", "LM", context=_empty_folder, quick=False),
    Case("binary", "type bytes", "LM", context=_File(bytes(range(256)) * 8, "input.bin"),
         quick=False),
    Case("JSON that is none", "not valid JSON", "LM", context=_File(b'{"a": 1,}', "input.json"),
         quick=False),
    Case("1 GB of text", "the last line of all", "LM", turns=(HUGE, END), context=_huge,
         quick=False),
]  # fmt: skip
