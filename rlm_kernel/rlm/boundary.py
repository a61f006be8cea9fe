"""The boundary for errors that nobody foresaw: a line for people, a traceback in a file."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RecordError, RLMError, RunFailed, one_line
from ..record import files

log = logging.getLogger(__name__)
ERROR_LOG = "error.log"
"""In the run's folder."""


@contextmanager
def boundary(folder: Path | None = None) -> Iterator[None]:
    """Raise ``RunFailed`` for whatever the body raises that is no ``RLMError``, and leave its
    traceback in the run's ``folder``. An interrupt and a cancellation stay what they are."""
    try:
        yield
    except (RLMError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        log.debug("an error that nobody foresaw", exc_info=True)
        if folder is not None:
            _keep(error, folder)
        raise RunFailed(one_line(error)) from error


def _keep(error: BaseException, folder: Path) -> None:
    text = "".join(traceback.format_exception(error))
    try:
        if folder.is_dir():
            files.write(folder / ERROR_LOG, text.encode("utf-8", "backslashreplace"))
    except RecordError as refused:
        log.debug("%s", refused)
