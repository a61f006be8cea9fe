"""The LM's cells republished, for consoles that show all kernel activity."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any, assert_never

from ... import events
from ...events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
)

Send = Callable[[str, dict[str, Any], dict[str, Any]], None]


class Activity:
    """A reader of a run's events that publishes the root's cells as if another front end ran them.

    A notebook takes no notice of a session that is not its own; a console may. Outputs have been
    through the filter.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._session = uuid.uuid4().hex
        self._request: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case CellStarted(node=events.ROOT):
                self._request = self._new_request()
                shown = {"code": event.source, "execution_count": event.cell}
                self._send("execute_input", shown, self._request)
            case OutputMade(node=events.ROOT):
                content = {k: v for k, v in event.output.items() if k != "output_type"}
                self._send(event.output["output_type"], content, self._request)
            case (
                CellStarted()
                | OutputMade()
                | RunStarted()
                | NodeStarted()
                | ContextSet()
                | Prompted()
                | ReplyDelta()
                | Replied()
                | CellRan()
                | CallStarted()
                | CallEnded()
                | CellDecided()
                | CellProposed()
                | KernelRestarted()
                | NodeEnded()
                | RunEnded()
            ):
                pass
            case _:
                assert_never(event)

    def _new_request(self) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).isoformat()
        header = {
            "msg_id": uuid.uuid4().hex,
            "session": self._session,
            "username": "rlm",
            "msg_type": "execute_request",
            "version": "5.4",
            "date": now,
        }
        return {"header": header}
