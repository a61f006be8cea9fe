"""The tasks of an evaluation: sets, lengths and seeds multiplied, built once in its folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..batch import Tasks, read_tasks
from ..batch.folder import CONTEXTS, EVALUATION, TASKS
from ..errors import RecordError, UsageError
from ..record import files
from .lengths import Length, parsed
from .pythons import Unavailable, python_of
from .rules import answer_chars
from .sets import SETS, Kind, Made, TaskSet, Wanted, size

OURS = "rlm"
PEERS = ("rlms", "dspy")
"""Those that run in Pythons of their own."""
BASELINES = ("window", *PEERS)
SPLITS = ("open", "held-out")
VERSION = 1
"""The version of the generators: others make other tasks of the same seeds."""
DRAFT_CHARS = 40_000
CHARS_A_TOKEN = 4
OTHERS = 200
ENOUGH = 0.7
"""The share of the length asked for that a context must have."""
CountTokens = Callable[[str], int]
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The tasks of an evaluation, and who answers them.

    ``names`` are sets, or kinds of them as ``set/kind``; without ``lengths`` each set has its own.
    Kinds and seeds are multiplied with the lengths; the wording changes with the seed. A ``split``
    is one of ``SPLITS``; without it both are asked. Raises ``UsageError`` for what there is not.
    """

    names: tuple[str, ...] = tuple(SETS)
    lengths: tuple[Length, ...] | None = None
    seeds: int = 3
    first_seed: int = 0
    split: str | None = None
    systems: tuple[str, ...] = (OURS,)

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.first_seed < 0:
            raise UsageError(
                f"seeds={self.seeds}, first_seed={self.first_seed}: give 1 or more, and 0 or more"
            )
        if self.split is not None and self.split not in SPLITS:
            raise UsageError(f"split={self.split!r}: give {' or '.join(SPLITS)}")
        for name in self.systems:
            if name not in (OURS, *BASELINES):
                raise UsageError(f"baseline={name!r}: give any of {', '.join(BASELINES)}")
        self.kinds()

    def kinds(self) -> list[tuple[TaskSet, Kind]]:
        """Return the kinds that are asked, those of the split only. Raises ``UsageError``."""
        found = [pair for name in self.names for pair in _named(name)]
        split = [(s, k) for s, k in found if self.split in (None, split_of(k))]
        if not split:
            raise UsageError(f"{', '.join(self.names)}: no kind of it is {self.split}")
        return list(dict.fromkeys(split))

    @property
    def in_tokens(self) -> bool:
        """Return True where a length is one in tokens."""
        every = [self.lengths or parsed(each.lengths) for each, _ in self.kinds()]
        return any(length.in_tokens for lengths in every for length in lengths)

    def asked(self) -> dict[str, Any]:
        """Return it as JSON data, by which a folder is recognised."""
        return json.loads(json.dumps({"version": VERSION, **dataclasses.asdict(self)}))  # type: ignore[no-any-return]


def _named(name: str) -> list[tuple[TaskSet, Kind]]:
    of, _, kind = name.partition("/")
    if of not in SETS:
        raise UsageError(f"there is no set {of!r}: give any of {', '.join(SETS)}, or a .jsonl file")
    found = [(SETS[of], each) for each in SETS[of].kinds if kind in ("", each.name)]
    if not found:
        every = ", ".join(each.name for each in SETS[of].kinds)
        raise UsageError(f"{of} has no kind {kind!r}: give any of {every}")
    return found


def split_of(kind: Kind) -> str:
    """Return the split that a kind belongs to."""
    return SPLITS[kind.held_out]


@dataclass
class Built:
    """The tasks of an evaluation, and by set, kind and length why others could not be made."""

    tasks: Tasks
    skipped: dict[str, str] = field(default_factory=dict)


def build(
    grid: Grid,
    folder: Path,
    count_tokens: CountTokens | None = None,
    tell: Tell = lambda text: None,
) -> Built:
    """Return the tasks in a folder, made and written there if they are not. Blocks.

    ``count_tokens`` counts those of the model in use; without it a token is four characters.
    Raises ``UsageError`` for a folder of other tasks or where no task can be made here.
    """
    about = folder / EVALUATION
    if about.exists():
        return _there(grid, folder, about)
    try:
        files.make_folder(folder)
        files.make_folder(folder / CONTEXTS)
        fields, skipped = _make(grid, folder, count_tokens, tell)
        if not fields:
            raise UsageError("no task can be made here: " + "; ".join(_reasons(skipped)))
        said = "".join(f"{json.dumps(each)}\n" for each in fields)
        files.write(folder / TASKS, said.encode(), sync=True)
        made = {"asked": grid.asked(), "skipped": skipped}
        files.write(about, json.dumps(made).encode() + b"\n", sync=True)
    except OSError as error:
        raise UsageError(f"{folder}: the tasks cannot be written there: {error}") from error
    return Built(read_tasks(folder / TASKS), skipped)


def _there(grid: Grid, folder: Path, about: Path) -> Built:
    try:
        made: Any = json.loads(about.read_text(encoding="utf-8"))
        before, skipped = dict(made["asked"]), dict(made["skipped"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{about}: this is not the file of an evaluation: {error}") from error
    now = grid.asked()
    if differ := [name for name in now if now[name] != before.get(name)]:
        name = differ[0]
        raise UsageError(
            f"{folder}: the folder holds an evaluation with {name}={before.get(name)!r}, not "
            f"{now[name]!r}: ask for the same, or choose another folder (-o)"
        )
    return Built(read_tasks(folder / TASKS), skipped)


def _reasons(skipped: dict[str, str]) -> list[str]:
    return list(dict.fromkeys(skipped.values()))


@dataclass(frozen=True)
class _Cell:
    """One context that is to be made: of a kind, at a length, by a seed."""

    of: TaskSet
    length: Length
    wanted: Wanted

    @property
    def name(self) -> str:
        return f"{self.of.name}-{self.wanted.kind.name}-{self.length.written}-{self.wanted.seed}"


def _make(
    grid: Grid, folder: Path, count_tokens: CountTokens | None, tell: Tell
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    fields: list[dict[str, Any]] = []
    systems, skipped = _there_are(grid.systems, tell)
    for of in dict.fromkeys(each for each, _ in grid.kinds()):
        kinds = [kind for each, kind in grid.kinds() if each is of]
        for kind in kinds:
            if (lack := kind.missing()) is not None:
                skipped[f"{of.name}/{kind.name}"] = lack
        there = [kind for kind in kinds if f"{of.name}/{kind.name}" not in skipped]
        tell(f"making tasks: {of.name}")
        try:
            cells = list(_cells(grid, of, there, count_tokens))
            for cell, made in zip(cells, of.make([c.wanted for c in cells]), strict=True):
                if size(made.context) < ENOUGH * cell.wanted.chars:
                    what = f"{of.name}/{cell.wanted.kind.name} at {cell.length.written}"
                    skipped[what] = f"this machine has {size(made.context):,} characters for it"
                    continue
                fields += _tasks_of(cell, made, systems, folder)
        except Unavailable as error:
            skipped[of.name] = str(error)
    return fields, skipped


def _there_are(systems: Sequence[str], tell: Tell) -> tuple[list[str], dict[str, str]]:
    """Return the systems that can be had here, and why others cannot."""
    there, skipped = [], {}
    for system in systems:
        try:
            if system in PEERS:
                tell(f"the Python of {system}")
                python_of(system)
            there.append(system)
        except Unavailable as error:
            skipped[system] = str(error)
    return there, skipped


def _cells(
    grid: Grid, of: TaskSet, kinds: Sequence[Kind], count_tokens: CountTokens | None
) -> Iterator[_Cell]:
    lengths = grid.lengths or parsed(of.lengths)
    ratios = dict.fromkeys((kind.name for kind in kinds), float(CHARS_A_TOKEN))
    if count_tokens is not None and any(length.in_tokens for length in lengths):
        ratios = _ratios(of, kinds, count_tokens)
    for kind in kinds:
        for length in lengths:
            times = ratios[kind.name] if length.in_tokens else 1
            for seed in range(grid.first_seed, grid.first_seed + grid.seeds):
                yield _Cell(of, length, Wanted(kind, seed, round(length.count * times)))


def _ratios(of: TaskSet, kinds: Iterable[Kind], count_tokens: CountTokens) -> dict[str, float]:
    """Return the characters of a token in a draft of each kind."""
    drafts = [Wanted(kind, 0, DRAFT_CHARS) for kind in kinds]
    found = {}
    for wanted, made in zip(drafts, of.make(drafts), strict=True):
        text = as_text(made.context)[:DRAFT_CHARS]
        found[wanted.kind.name] = len(text) / max(count_tokens(text), 1)
    return found


def as_text(context: Any) -> str:
    """Return a context as one text: of a folder, each file below its path."""
    if isinstance(context, str):
        return context
    return "\n".join(f"=== {path} ===\n{said}" for path, said in context.items())


def _tasks_of(
    cell: _Cell, made: Made, systems: Sequence[str], folder: Path
) -> Iterator[dict[str, Any]]:
    """Write a context and yield the fields of its task, once for each system."""
    kind, seed = cell.wanted.kind, cell.wanted.seed
    path = _written(folder / CONTEXTS, cell.name, kind.suffix, made)
    wording = seed % len(kind.wordings)
    for system in systems:
        yield {
            "id": cell.name if system == OURS else f"{cell.name}-{system}",
            "question": kind.wordings[wording].format(**made.words),
            "context_path": path.relative_to(folder).as_posix(),
            "expected": made.gold,
            "set": cell.of.name,
            "kind": kind.name,
            "length": cell.length.written,
            "chars": size(made.context),
            "seed": seed,
            "wording": wording,
            "split": split_of(kind),
            "system": system,
            "rule": kind.rule,
            "answer_chars": kind.answer_chars or answer_chars(made.gold),
            "others": list(made.others[:OTHERS]),
        }


def _written(contexts: Path, name: str, suffix: str, made: Made) -> Path:
    if isinstance(made.context, str):
        path = contexts / f"{name}{suffix}"
        path.write_text(made.context, encoding="utf-8", newline="")
        return path
    for relative, said in made.context.items():
        path = contexts / name / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said, encoding="utf-8", newline="")
    return contexts / name
