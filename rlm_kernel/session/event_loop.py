"""The event loop that runs live on: one thread for the process, whatever loop the caller has."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ..errors import UsageError

T = TypeVar("T")
log = logging.getLogger(__name__)
CLEANUP_SECONDS = 30.0
LAST_SECONDS = 5.0
"""So long the process's end waits for what was left to end by itself."""


class Engine:
    """A daemon thread with an event loop. ``run`` blocks, ``start`` and ``soon`` do not: a signal's
    handler may use them, but make no engine, since what it interrupted may be making it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._left: set[Future[Any]] = set()
        self._exiting = False
        atexit.register(self._wait_for_left)  # of two such hooks either may come first
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._main, args=(ready,), name="rlm-engine", daemon=True
        )
        self._thread.start()
        ready.wait()

    def _main(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(ready.set)
        while True:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                # Raised by a task's code: asyncio gives it to the task and to us, and who waits
                # for the task can be told by a loop that goes on only.
                log.debug("a task raised an exit", exc_info=True)

    def start(self, work: Coroutine[Any, Any, T]) -> tuple[Future[T], Callable[[], None]]:
        """Start ``work`` on the loop; return its future, and a function that cancels it.

        Cancelling asks the work to end; the future is done when it has cleaned up.
        """
        started: Future[asyncio.Task[T]] = Future()
        done: Future[T] = Future()

        def begin() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda task: _settle(task, done))
            started.set_result(task)

        def cancel() -> None:  # without waiting: it may be called on the loop itself
            started.add_done_callback(
                lambda started: self._loop.call_soon_threadsafe(started.result().cancel)
            )

        self._loop.call_soon_threadsafe(begin)
        return done, cancel

    def soon(self, work: Callable[[], object]) -> None:
        """Call ``work`` on the loop."""
        self._loop.call_soon_threadsafe(work)

    def leave(self, work: Coroutine[Any, Any, object]) -> None:
        """Start ``work`` for which only the end of the process waits, and not for long. What goes
        wrong is logged."""
        done, _ = self.start(work)
        self._left.add(done)
        done.add_done_callback(self._ended)
        if self._exiting:
            self._wait_for_left()

    def _ended(self, left: Future[Any]) -> None:
        self._left.discard(left)
        if (error := left.exception()) is not None:
            log.warning("what nobody used any more could not be closed: %r", error)

    def _wait_for_left(self) -> None:
        self._exiting = True
        if self.pid == os.getpid():
            concurrent.futures.wait(list(self._left), LAST_SECONDS)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of ``work``. What a signal's handler raises meanwhile, such as a
        ``KeyboardInterrupt``, cancels it and waits for its clean-up.

        Raises ``UsageError`` on the loop's own thread, where an async tool runs: it would wait for
        itself for ever.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise UsageError(
                "this call would block the event loop that is to answer it, as in an async tool: "
                "there use `await rlm.acompletion(...)`, or make the tool a plain function, which "
                "runs in a thread of its own"
            )
        done, cancel = self.start(work)
        try:
            return done.result()
        except BaseException:
            if not done.done():
                cancel()
                concurrent.futures.wait([done], CLEANUP_SECONDS)
            raise

    async def await_(self, work: Coroutine[Any, Any, T]) -> T:
        """``run`` for callers on any asyncio loop; cancelling waits for the clean-up too."""
        done, cancel = self.start(work)
        waiting = asyncio.wrap_future(done)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            cancel()
            await asyncio.wait({waiting}, timeout=CLEANUP_SECONDS)
            raise


def _settle(task: asyncio.Task[T], done: Future[T]) -> None:
    """Hand over the outcome; a cancelled task is an error here, so that waiters see its end."""
    if task.cancelled():
        done.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


_engine: Engine | None = None
_lock = threading.Lock()


def _unlock() -> None:
    """In a forked process, where whoever held the lock is not."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


def engine() -> Engine:
    """Return the process's engine; a forked process gets its own."""
    global _engine
    there = _engine  # without the lock, which a signal's handler may have interrupted
    if there is not None and there.pid == os.getpid():
        return there
    with _lock:
        if _engine is None or _engine.pid != os.getpid():
            _engine = Engine()
        return _engine
