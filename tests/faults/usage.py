"""Wrong usage of the command line."""

from __future__ import annotations

from pathlib import Path

from .running import Case


def _run_there(folder: Path) -> str:
    (folder / "old").mkdir()
    (folder / "old" / "journal.jsonl").write_text("")
    return _some(folder)


def _file_there(folder: Path) -> str:
    (folder / "old").write_text("a file")
    return _some(folder)


def _mine(folder: Path) -> str:
    (folder / "old").mkdir()
    (folder / "old" / "trajectory.ipynb").write_text("of the human's\n")
    return _some(folder)


def _some(folder: Path) -> str:
    (folder / "input.txt").write_text("some text to ask about\n")
    return "input.txt"


def _wrong(name: str, phrase: str, *arguments: str, **more: object) -> Case:
    return Case(name, phrase, status=2, arguments=arguments, run=False, **more)  # type: ignore[arg-type]


CASES = [
    _wrong("an unknown option", "--temprature", "--temprature", "1"),
    _wrong("--max-turns abc", "give a whole number", "--max-turns", "abc"),
    _wrong("--max-turns 0", "at least 1", "--max-turns", "0", quick=False),
    _wrong("--max-cost much", "give a number, or none", "--max-cost", "much", quick=False),
    _wrong("--max-cost nan", "at least 0", "--max-cost", "nan", quick=False),
    _wrong("RLM_TIMEOUT_S=soon", "RLM_TIMEOUT_S='soon'", environ={"RLM_TIMEOUT_S": "soon"}),
    _wrong("an unknown --env", "--env='mars'", "--env", "mars"),
    _wrong("an unknown --prompt", "--prompt='long'", "--prompt", "long", quick=False),
    _wrong("an unknown --kernel", "no kernelspec 'julia'", "--kernel", "julia"),
    _wrong("--out holds a run", "holds a run already", "--out", "old", context=_run_there),
    _wrong("--out holds a notebook", "holds 'trajectory.ipynb'", "--out", "old", context=_mine),
    _wrong("--out is a file", "out='old'", "--out", "old", context=_file_there),
    _wrong("--out cannot be written", "cannot be made", "--out", "/proc/run"),
]
