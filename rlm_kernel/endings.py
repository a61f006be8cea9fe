"""Ends of work: in time, to its very end, and at no cost to what was done before."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

from .errors import RLMError

T = TypeVar("T")
log = logging.getLogger("rlm_kernel")


@asynccontextmanager
async def within(
    seconds: float | None, late: Callable[[], Exception]
) -> AsyncIterator[asyncio.Timeout]:
    """Give the body so many seconds, None for no end; raise ``late()`` where they are over.

    A ``TimeoutError`` of the body's own is raised as it is: it has another cause.
    """
    clock = asyncio.timeout(seconds)
    try:
        async with clock:
            yield clock
    except TimeoutError as error:
        if not clock.expired():
            raise
        raise late() from error


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` gives. A caller that is cancelled meanwhile waits for its end all the
    same, and is cancelled then: the work needs an end of its own."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (failed := task.exception()) is not None:
        raise cancelled from failed
    raise cancelled


async def done_within(task: asyncio.Task[Any], seconds: float) -> bool:
    """Return whether a task has ended in so many seconds, or not yet; it goes on either way."""
    await asyncio.wait({task}, timeout=seconds)
    return task.done()


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all give, in their order, once each has ended; the first error cancels the rest.

    ``asyncio.gather`` leaves the others running where one fails or is cancelled.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if not all(task.done() for task in tasks):
            await to_the_end(_ended(tasks))


async def _ended(tasks: Iterable[asyncio.Future[Any]]) -> None:
    await asyncio.wait(tasks)


@contextmanager
def at_no_cost(what: str) -> Iterator[None]:
    """Log what goes wrong in the body as ``what``, and go on: a result that is there already must
    not be lost for it."""
    try:
        yield
    except (RLMError, OSError) as error:
        log.error("%s: %s", what, error)
    except Exception:
        log.exception(what)


async def in_daemon_thread(work: Callable[..., T], *given: Any) -> T:
    """Call what blocks in a thread of its own, which nobody waits for at the end of the process: it
    may be long after it was called off. Context variables are those of the caller."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = context.run(work, *given)
        except BaseException as error:  # noqa: BLE001 (raised where the result is awaited)
            failed = error
        with suppress(RuntimeError):  # the loop that waited is closed
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="rlm-daemon", daemon=True).start()
    return await done
