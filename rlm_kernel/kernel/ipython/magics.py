"""The magics of a plain IPython: a cell of ours is served by the engine, and shown in its place."""

from __future__ import annotations

import _thread
import contextlib
import getpass
import queue
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from jupyter_client.session import Session

from ...environments.messages import Message
from ...errors import RLMError, UsageError
from ...session.event_loop import engine
from .. import cell_parser
from ..cell_parser import Completion, Question
from ..front_end import ExecuteReply
from ..own_variables import OwnVariables
from ..request_handler import RequestHandler
from ..requests import is_done_beside, stops
from .front_end import CellFrontEnd, Screen, Step, Steps

END_SECONDS = 30.0
"""Seconds that a cell that was interrupted has to end."""
BUSY = "another cell asks at this moment: in this one %rlm stop, tell and watch can be used"
ELSEWHERE = (
    "%rlm {verb} is for a trajectory in the kernel RLM: choose that for its notebook, or use "
    "`rlm replay`"
)


class Magics:
    """Serves the cells of one shell, one question at a time."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._front_end = CellFrontEnd()
        own = OwnVariables(shell.user_ns, shell.user_ns_hidden)
        self._requests = RequestHandler(self._front_end, Path.cwd(), own)
        self._one = threading.Lock()
        self._prompts = False
        self._wire = Session()

    def start(self) -> None:
        """Begin to start the inner kernel. What goes wrong is told by the first cell."""
        engine().start(self._requests.start())

    def close(self, seconds: float) -> None:
        """End what runs, seal the records, end the inner kernel; wait for that so long."""
        done, _ = engine().start(self._requests.close())
        with contextlib.suppress(TimeoutError):
            done.result(seconds)

    # cells
    def is_whole(self, code: str) -> bool:
        """Return whether all of a cell is ours, and not its ``%rlm`` lines alone."""
        try:
            cell = cell_parser.split(code, ask=self._requests.asks_in_text)
        except UsageError:
            return True
        return isinstance(cell, Question) or any(c.verb == "tell" for c in cell.commands)

    def run(self, code: str) -> None:
        """Do what a cell of ours says. Raises the error that it ends with."""
        request = self._request(code)
        if self._one.locked() and stops(code):
            engine().run(self._requests.interrupt())
            return
        if self._one.locked() and is_done_beside(code):
            self._serve(request, self._requests.beside(request))
            return
        if not self._one.acquire(blocking=False):
            raise _failed("UsageError", BUSY)
        try:
            _refuse_elsewhere(code)
            self._serve(request, self._requests.execute(request))
        finally:
            self._one.release()

    def complete(self, code: str, cursor_pos: int) -> Completion | None:
        """Return what may stand at the cursor; None where that is not ours to say."""
        if not cell_parser.is_ours(code, cursor_pos):
            return None
        return engine().run(self._requests.completed(code, cursor_pos))

    def _request(self, code: str) -> Message:
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": self._takes_input,
            "stop_on_error": True,
        }
        request: Message = self._wire.msg("execute_request", content)
        return request

    @property
    def _takes_input(self) -> bool:
        kernel = getattr(self._shell, "kernel", None)
        if kernel is None:
            return sys.stdin is not None and sys.stdin.isatty()
        return kernel.get_parent("shell").get("content", {}).get("allow_stdin") is True

    def _serve(self, request: Message, work: Coroutine[Any, Any, ExecuteReply]) -> None:
        """Show what the work causes until it ends; raise the error that it ends with."""
        screen = Screen(updates=hasattr(self._shell, "kernel"))
        with self._front_end.heard(request) as steps:
            done, _ = engine().start(work)
            done.add_done_callback(lambda _: self._end(steps))
            self._follow(done, steps, screen)
        content, _ = done.result()
        if content["status"] == "error":
            raise _failed(content["ename"], content["evalue"])
        for told in content["payload"]:
            self._shell.set_next_input(told["text"])

    def _end(self, steps: Steps) -> None:
        steps.put(None)
        if self._prompts:  # nobody waits for the line any more
            _thread.interrupt_main()

    def _follow(self, done: Future[ExecuteReply], steps: Steps, screen: Screen) -> None:
        """Do the steps of a cell until it has ended; an interrupt ends it."""
        late: float | None = None
        while not (done.done() and steps.empty()):
            try:
                step = _next(steps, late)
                if step is not None:
                    self._do(step, screen)
            except KeyboardInterrupt:
                if late is None and not done.done():
                    engine().start(self._requests.interrupt())
                    late = time.monotonic() + END_SECONDS

    def _do(self, step: Step, screen: Screen) -> None:
        if step.kind != "input_request":
            screen.show(step)
            return
        ask = getpass.getpass if step.content["password"] else input
        self._prompts = threading.current_thread() is threading.main_thread()
        try:
            line = ask(step.content["prompt"])
        finally:
            self._prompts = False
        engine().start(self._requests.answer_input(line))


def _next(steps: Steps, late: float | None) -> Step | None:
    """Return what comes next, None for nothing. Raises ``UsageError`` for a cell that has not ended
    in time."""
    try:
        return steps.get(timeout=1.0)
    except queue.Empty:
        if late is not None and time.monotonic() > late:
            said = f"the cell was interrupted and did not end in {END_SECONDS:g} s"
            raise _failed("KeyboardInterrupt", said) from None
        return None


def _refuse_elsewhere(code: str) -> None:
    with contextlib.suppress(UsageError):  # it is told where the cell is read
        for command in cell_parser.split(code).commands:
            if command.begins or command.verb == "verdict":
                raise _failed("UsageError", ELSEWHERE.format(verb=command.verb))


def _failed(name: str, text: str) -> BaseException:
    """Return the error that a cell ends with: its text says all, so it is shown without the way
    that it took."""
    error: BaseException
    if name == "KeyboardInterrupt":
        error = KeyboardInterrupt(text)
    else:
        error = type(name, (RLMError,), {})(text)
    error._render_traceback_ = lambda: [f"\x1b[0;31m{name}\x1b[0m: {text}"]  # type: ignore[attr-defined]
    return error
