"""``%rlm fork``: the LM goes on from where it left off several times at once."""

from __future__ import annotations

from ..repl.repl import Repl
from ..session.forking import Forked, fork
from ..session.session import Result, Session
from .grammar import Command
from .notebook_session import NotebookSession


async def fork_here(notebook: NotebookSession, command: Command, repl: Repl) -> list[Forked]:
    """Do it in forks of the notebook's kernel; see ``forking.fork``."""
    count, note = int(command.options.get("branches", "1")), command.options.get("note", "")
    before = await notebook.before(None, note, notebook.force(), repl, lambda run: [])

    async def ask(twin: Session) -> Result:
        return await twin.ask("context", before.question, before=before, form=before.form)

    forked = await fork(notebook.session, notebook.cwd, count, ask)
    notebook.results += [each.result for each in forked]
    return forked
