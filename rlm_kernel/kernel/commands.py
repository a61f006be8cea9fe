"""The ``%rlm`` lines: doing what each says, and showing what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from ..environments.local.kernel import check_kernelspec
from ..errors import UsageError
from ..events import ContextInfo
from ..record.markdown import code, fenced, isolated, literal, one_line, shorten
from ..record.notebooks.ipynb import dumps
from ..record.notebooks.metadata import ROOT_PAGE
from ..record.numbers import counted, spent
from ..record.summary import RUNNING, add_up
from ..repl.repl import Repl
from ..reports.listing import Row
from ..session.human_calls import HumanCalls
from ..settings.option import Group
from ..settings.resolved import OPTIONS, unknown_variables
from .display.bundles import Linked, Shown, joined, table, text
from .display.card import page_link
from .display.forks import COMPARED, branch_rows
from .display.going_back import cells_to_go_back_to, snapshots_kept, went_back
from .forks import fork_here
from .front_end import Execution
from .grammar import SETTING_VERBS, Command
from .help import help_shown
from .in_force import kept_keys, limit_rows, value_in_force
from .keys import AskSecret
from .live_cells.live_cells import LiveCells
from .notebook_session import URLS, NotebookSession
from .replaying.session import NotebookReplay
from .runs.folder import chosen
from .runs.watching import Watch

MOST_RUNS = 50
"""Runs that are listed, the newest ones."""
_OF_KERNELS = tuple(
    v for v, n in SETTING_VERBS.items() if OPTIONS[n].group is Group.PLACE and v != "snapshots"
)
"""Verbs that start another kernel."""
NOT_IN_REPLAY = ("context", "back", "fork", *_OF_KERNELS)
"""Verbs that would take the kernel or its context from a replay that goes on."""


class Commands:
    """The verbs of ``grammar.VERBS``, done for a cell in a notebook's session and, for ``live``
    cells, in its pages."""

    def __init__(
        self,
        notebook: NotebookSession,
        replay: NotebookReplay,
        execution: Execution,
        live: LiveCells,
        secret: AskSecret | None,
    ) -> None:
        self._secret = secret
        self._notebook = notebook
        self._notebook_replay = replay
        self._execution = execution
        self._live = live
        self._verbs: Mapping[str, Callable[[Command, Repl], Awaitable[Shown | None]]] = {
            "status": self._status,
            "context": self._context,
            "limits": self._limits,
            **dict.fromkeys(_OF_KERNELS, self._kernel),
            "key": self._key,
            "runs": self._runs,
            "open": self._open,
            "watch": self._watch,
            "tell": self._tell,
            "cost": self._cost,
            "stop": self._stop,
            "replay": self._replay,
            "verdict": self._verdict,
            "back": self._back,
            "fork": self._fork,
            "snapshots": self._snapshots,
            "mode": self._mode,
            "trust": self._trust,
            "cells": self._cells,
            "take": self._take,
            "help": self._help,
        }

    async def run(self, command: Command, repl: Repl) -> Shown | None:
        """Do it; return what it shows, None where there is nothing. Raises ``UsageError``."""
        if self._notebook_replay.on and command.verb in NOT_IN_REPLAY:
            raise UsageError(f"%rlm {command.verb}: a replay goes on; %rlm verdict ends it")
        return await self._verbs.get(command.verb, self._setting)(command, repl)

    async def _setting(self, command: Command, repl: Repl) -> Shown | None:
        name = SETTING_VERBS[command.verb]
        if command.settings or command.reset:
            self._notebook.change(command.settings, command.reset)
            note = kept_keys(self._notebook.force()) if name in URLS else None
            return None if note is None else text(note)
        value, origin = value_in_force(self._notebook.force(), name)
        return text(f"{command.verb}: {value} ({origin})")

    async def _key(self, command: Command, repl: Repl) -> Shown:
        notebook = self._notebook
        done = await notebook.keys.change(command.value, notebook.force(), self._secret)
        notebook.change({}, ())
        return text(done)

    async def _limits(self, command: Command, repl: Repl) -> Shown | None:
        if command.settings or command.reset:
            self._notebook.change(command.settings, command.reset)
            return None
        return table(["limit", "value", "from"], limit_rows(self._notebook.force()))

    async def _kernel(self, command: Command, repl: Repl) -> Shown | None:
        if not (command.settings or command.reset):
            return await self._setting(command, repl)
        if command.settings:
            check_kernelspec(str(command.settings.get("kernel", "python3")))
        lost = f" Variables that are lost: {', '.join(repl.names)}" if repl.names else ""
        kept = await self._notebook.renew_kernel(command.settings, command.reset)
        more = " The context is there again." if kept else ""
        return text(f"A new kernel was started.{more}{lost}")

    async def _context(self, command: Command, repl: Repl) -> Shown | None:
        if command.value is not None:
            return _described(await self._notebook.give(repl, command))
        if self._notebook.context is None:
            return text("No context was given yet: %rlm context PATH gives one.")
        return _described(self._notebook.context)

    async def _status(self, command: Command, repl: Repl) -> Shown:
        force, notebook = self._notebook.force(), self._notebook
        shown = [n for n, o in OPTIONS.items() if n in SETTING_VERBS.values() or o.secret]
        rows = [[OPTIONS[n].flag, *value_in_force(force, n)] for n in shown]
        context = "none" if notebook.context is None else _in_words(notebook.context)
        rows += [
            ["context", context, ""],
            ["mode", notebook.mode, ""],
            ["replay", notebook.replay, ""],
        ]
        rows += [[f"limit {name}", value, origin] for name, value, origin in limit_rows(force)]
        made = table(["setting", "in force", "from"], rows)
        warnings = "\n".join(unknown_variables())
        return joined([made, text(warnings)] if warnings else [made])

    async def _cost(self, command: Command, repl: Repl) -> Shown:
        by_hand, results = self._notebook.session.by_hand, self._notebook.results
        hand = by_hand.trajectory
        rows: list[list[str | Linked]] = [
            ["calls in your own cells", spent(by_hand.usage), self._linked(hand) if hand else ""]
        ]
        every = await self._notebook.runs.rows(self._folders)
        told = [row for row in every if row.question != HumanCalls.QUESTION]
        rows += [[_asked(row), _used(row), self._linked(row.path)] for row in told[-MOST_RUNS:]]
        here = add_up([by_hand.usage, *(result.usage for result in results)])
        whole = add_up(row.usage for row in every if row.usage is not None)
        rows.append(["all of this kernel", spent(here), ""])
        rows.append([f"all {counted(len(every), 'run')} of the folder", spent(whole), ""])
        return table(["what", "spent", "trajectory"], rows)

    async def _runs(self, command: Command, repl: Repl) -> Shown:
        runs = await self._questions()
        if not runs:
            return text("No question was asked yet.")
        rows: list[list[str | Linked]] = [
            [str(number), row.began_at, _asked(row), row.status, _answer(row), _used(row),
             self._linked(row.path)]
            for number, row in enumerate(runs, 1)
        ]  # fmt: skip
        head = ["run", "began", "question", "status", "answer", "spent", "trajectory"]
        shown = table(head, rows[-MOST_RUNS:])
        more = len(rows) - MOST_RUNS
        return shown if more <= 0 else joined([text(f"{more:,} older ones and:"), shown])

    async def _questions(self) -> list[Row]:
        return await self._notebook.runs.questions(self._folders)

    @property
    def _folders(self) -> list[Path]:
        """Return the folders of this kernel's runs, wherever they are."""
        return [result.trajectory.parent for result in self._notebook.results]

    def _linked(self, run: Path) -> Linked:
        """Return the trajectory of a run, or a page itself, as a link that is its path."""
        page = run if run.suffix == ".ipynb" else run / ROOT_PAGE
        target = self._notebook.link(page)
        return target, page_link(page.parent.name, target, str)

    async def _open(self, command: Command, repl: Repl) -> Shown:
        run = chosen(await self._questions(), command.value)
        target = self._notebook.link(run.path / ROOT_PAGE)
        return {"text/plain": target, "text/markdown": page_link(target, target, str)}

    async def beside(self, command: Command) -> None:
        """Do one that may come while a cell runs. Raises ``RLMError``."""
        if command.verb == "tell":
            self._notebook.session.words.say(command.value or "")
            self._execution.tell("The LM reads it before its next turn.")
        else:
            await self.watch(command)

    async def _tell(self, command: Command, repl: Repl) -> None:
        self._notebook.session.words.say(command.value or "")

    async def _watch(self, command: Command, repl: Repl) -> None:
        await self.watch(command)

    async def watch(self, command: Command) -> None:
        """Show a run, by default one that goes on or else the newest. Raises ``RLMError``."""
        runs = await self._questions()
        live = [row for row in runs if row.status == RUNNING]
        run = chosen(live if live and command.value is None else runs, command.value)
        await Watch(run, self._execution, self._notebook.link).show()

    async def _stop(self, command: Command, repl: Repl) -> Shown:
        return text("Nothing runs.")  # while something does, the outer kernel takes the word

    async def _replay(self, command: Command, repl: Repl) -> Shown | None:
        if command.begins:
            if await self._notebook_replay.begin(command, repl, self._execution.tell):
                return None
            return text(f"replay: {self._notebook.replay}; this notebook is no trajectory")
        folder = None if command.folder is None else Path(command.folder).expanduser()
        if folder is not None and not folder.is_dir():
            raise UsageError(f"{command.folder}: there is no such folder with recorded runs")
        assert command.value is not None
        self._notebook.replay, self._notebook.replay_folder = command.value, folder
        return None

    async def _verdict(self, command: Command, repl: Repl) -> Shown:
        return await self._notebook_replay.verdict(repl)

    async def _back(self, command: Command, repl: Repl) -> Shown:
        if command.value is None:
            await repl.snapshots.settled()
            return cells_to_go_back_to(self._notebook.session.prelude.events, repl.snapshots)
        event, why = await self._notebook.go_back(int(command.value))
        self._live.went_back(event)
        return went_back(event, why)

    async def _fork(self, command: Command, repl: Repl) -> Shown:
        forked = await fork_here(self._notebook, command, repl)
        rows = [[*row, self._linked(each.result.trajectory)] for row, each in branch_rows(forked)]
        shown = table(["branch", "kernel", "status", "answer", "spent", "trajectory"], rows)
        return joined([shown, text(COMPARED)])

    async def _snapshots(self, command: Command, repl: Repl) -> Shown | None:
        if not (command.settings or command.reset):
            await repl.snapshots.settled()
            return snapshots_kept(repl.snapshots)
        self._notebook.change(command.settings, command.reset)
        repl.snapshots.mode = self._notebook.force().settings.snapshots
        return None

    async def _mode(self, command: Command, repl: Repl) -> Shown | None:
        if command.value is None:
            return text(f"mode: {self._notebook.mode}")
        self._notebook.mode = command.value
        return None

    async def _trust(self, command: Command, repl: Repl) -> Shown | None:
        if command.value is None:
            return text(f"trust: {'html' if self._notebook.session.trust_html else 'off'}")
        self._notebook.session.trust_html = command.value == "html"
        return None

    async def _cells(self, command: Command, repl: Repl) -> Shown | None:
        match command.value:
            case None:
                return text(f"cells: {'on' if self._live.on else 'off'}")
            case "on" | "off":
                self._live.on = command.value == "on"
                return None
        done = self._live.do(command.value)
        return None if done else text("No page here has cells of a question of this kernel.")

    async def _take(self, command: Command, repl: Repl) -> Shown | None:
        last, cwd = self._live.last, self._notebook.cwd
        if command.value is None:
            return text(f"turns of the last question with cells: {last.turns}")
        if command.value != "all":
            if not command.value.isdecimal():
                raise UsageError(f"{command.value!r}: give the number of a turn, or all")
            self._execution.put_below(last.turn(int(command.value)))
            return None
        path = cwd / f"{last.run or 'cells'}.ipynb"
        data = dumps(last.notebook(cwd))
        try:
            with path.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise UsageError(f"{path.name} cannot be written: {error.strerror}") from error
        target = self._notebook.link(path)
        return {"text/plain": target, "text/markdown": f"[{literal(target)}](<{target}>)"}

    async def _help(self, command: Command, repl: Repl) -> Shown:
        return help_shown(command.value)


def _asked(row: Row) -> str:
    return isolated(shorten(one_line(row.question or "unknown"), 80))


def _answer(row: Row) -> str:
    said = shorten(one_line(row.answer or ""), 60)
    return isolated(said if row.confirmed or not said else f"({said})")


def _used(row: Row) -> str:
    return "" if row.usage is None else spent(row.usage)


def _in_words(info: ContextInfo) -> str:
    size = "" if info.length is None else f" of length {info.length:,}"
    return f"{info.spec.get('variable') or info.spec.get('name')}: {info.type}{size}"


def _described(info: ContextInfo) -> Shown:
    sizes = [info.type, f"length {info.length:,}" if info.length is not None else ""]
    sizes += [counted(info.lines, "line") if info.lines is not None else "", info.format or ""]
    line = " · ".join(size for size in sizes if size)
    name = info.spec.get("variable") or info.spec.get("name") or ""
    notice = "".join(f"\n{remark}" for remark in info.remarks)
    head = shorten(info.head + ("\n[…]\n" + info.tail if info.tail else ""), 400)
    return {
        "text/plain": f"context: {name} · {line}{notice}",
        "text/markdown": f"**context** · {code(str(name))} · {literal(line)}\n\n"
        + "".join(f"{literal(remark)}\n\n" for remark in info.remarks)
        + f"<details><summary>its beginning and its end</summary>\n\n{fenced(head)}\n\n</details>",
    }
