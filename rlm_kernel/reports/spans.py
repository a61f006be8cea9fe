"""A run's events as OpenTelemetry spans and metrics, while it goes on: the extra ``otel``.

The tree of spans is that of the record: a run, its nodes, their turns, a turn's reply and cells, a
cell's calls, and below an ``rlm_query`` the child that answered it. Names and attributes are those
of the conventions for generative AI; what is ours begins with ``rlm.``. They hold no text of the
run unless it was asked for.

Spans go to the program's own tracer provider. A program without one, such as ``rlm`` or the kernel,
gets one that sends them by OTLP over HTTP, as the variables ``OTEL_*`` say.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, assert_never

from ..errors import UsageError
from ..events import (
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
    Usage,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

NAME = "rlm_kernel"
MOST_CHARS = 20_000
"""The most characters of an attribute that has content."""
_CHILD_OPS = ("rlm_query", "rlm_query_batched")
_setting_up = threading.Lock()


def telemetry(setting: str) -> list[Spans]:
    """Return the reader of one run's events that makes spans of them, below the caller's if there
    is one; none where the setting is off. Raises ``UsageError`` without OpenTelemetry."""
    if setting == "off":
        return []
    try:
        from opentelemetry import metrics, trace
    except ImportError:
        raise UsageError(
            f"telemetry={setting!r} needs OpenTelemetry: pip install 'rlm_kernel[otel]'"
        ) from None
    with _setting_up:
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            _set_up()
    content = setting == "content"
    return [Spans(trace.get_tracer(NAME), metrics.get_meter(NAME), content=content)]


def _set_up() -> None:
    """Send spans and metrics by OTLP, since nobody else has said where they go."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": NAME}
    about = Resource.create(named)
    provider = TracerProvider(resource=about)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider([reader], resource=about))


class Spans:
    """Makes the spans of one run of its events, as they come."""

    def __init__(self, tracer: Tracer, meter: Meter, *, content: bool) -> None:
        from opentelemetry import context, trace

        self._trace = trace
        self._tracer = tracer
        self._content = content
        self._around = context.get_current()
        self._model = ""
        self._open: dict[tuple[object, ...], Span] = {}
        """The spans that are open: ``()`` the run, then node, node and turn, node and cell, and by
        its name the call that a child answers."""
        self._turns: dict[str, int] = {}
        self._cells: dict[str, int] = {}
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", unit="{token}")
        self._durations = meter.create_histogram("gen_ai.client.operation.duration", unit="s")
        self._cost = meter.create_counter("rlm.cost", unit="USD")

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._run_started(event)
            case NodeStarted():
                self._node_started(event)
            case Prompted():
                self._turn_started(event)
            case Replied():
                self._replied(event)
            case CellStarted():
                self._begin_cell(event, event.time)
            case CellDecided():
                self._note("rlm.cell_decided", event, {"rlm.choice": event.choice})
            case CellRan():
                self._cell_ran(event)
            case CallEnded():
                self._call_ended(event)
            case KernelRestarted():
                self._note("rlm.kernel_restarted", event, {"rlm.reason": event.reason[:200]})
            case NodeEnded():
                self._node_ended(event)
            case RunEnded():
                self._run_ended(event)
            case ContextSet() | ReplyDelta() | CellProposed() | OutputMade() | CallStarted():
                pass
            case _:
                assert_never(event)

    # what begins
    def _run_started(self, event: RunStarted) -> None:
        self._model = str(event.settings.get("model") or "")
        about = {"rlm.run.id": event.run, "rlm.environment": event.settings.get("environment")}
        self._begin((), None, "invoke_agent rlm", event.time, {**self._agent, **about})
        self._show((), "gen_ai.input.messages", event.question)

    def _node_started(self, event: NodeStarted) -> None:
        above: tuple[object, ...] = ()
        if event.parent is not None:
            above = ("child", event.node)
            cell = (event.parent, "cell", self._cells.get(event.parent, 0))
            self._begin(above, self._or_node(cell), "execute_tool rlm_query", event.time, {})
        about = {"rlm.node": event.node, "rlm.depth": event.depth}
        model = {"gen_ai.request.model": event.model}
        name = f"invoke_agent {event.node}"
        self._begin((event.node,), above, name, event.time, {**self._agent, **about, **model})
        self._show((event.node,), "gen_ai.input.messages", event.question)

    def _turn_started(self, event: Prompted) -> None:
        key = (event.node, "turn", event.turn)
        if self._turns.get(event.node) == event.turn and key in self._open:
            return
        self._end_turn(event.node, event.time)
        self._turns[event.node] = event.turn
        about = {"rlm.node": event.node, "rlm.turn": event.turn}
        self._begin(key, (event.node,), f"turn {event.turn}", event.time, about)

    def _begin_cell(self, event: CellStarted | CellRan, began: float) -> tuple[object, ...]:
        key = (event.node, "cell", event.cell)
        if key not in self._open:
            self._cells[event.node] = event.cell
            above = self._or_node((event.node, "turn", event.turn))
            about = {
                "rlm.node": event.node,
                "rlm.turn": event.turn,
                "rlm.cell": event.cell,
                "rlm.author": event.author,
            }
            self._begin(key, above, f"cell {event.cell}", began, about)
            self._show(key, "rlm.source", event.source)
        return key

    # what ends
    def _replied(self, event: Replied) -> None:
        above = self._or_node((event.node, "turn", event.turn))
        key = (event.node, "reply", event.turn)
        about = {"rlm.node": event.node, "rlm.turn": event.turn}
        began = event.time - event.seconds
        self._begin(key, above, f"chat {event.model}", began, {**self._chat(event), **about})
        self._show(key, "gen_ai.output.messages", event.text)
        self._measure(event.model, event.usage, event.seconds)
        self._end(key, event.time)

    def _cell_ran(self, event: CellRan) -> None:
        key = self._begin_cell(event, event.time - event.seconds)
        self._set(key, {"rlm.status": event.status, "rlm.seconds": event.seconds})
        error = None if event.status == "ok" else event.status
        self._end(key, event.time, error)

    def _call_ended(self, event: CallEnded) -> None:
        key: tuple[object, ...] = ("child", event.child)
        if event.child is not None and key in self._open:
            self._set(key, self._of_call(event))
        else:
            key = (event.node, "call", event.call, event.index)
            cell = self._or_node((event.node, "cell", event.cell))
            self._begin(key, cell, self._named(event), event.started, self._of_call(event))
        self._show(key, "gen_ai.input.messages", event.prompt)
        self._show(key, "gen_ai.output.messages", event.reply)
        if event.model is not None and event.child is None:
            self._measure(event.model, event.usage, event.seconds)
        why = event.error and (event.error.get("cause") or event.error.get("type"))
        self._end(key, event.started + event.seconds, str(why) if why else None)

    def _node_ended(self, event: NodeEnded) -> None:
        self._end_turn(event.node, event.time)
        for key in [key for key in self._open if key[:2] == (event.node, "cell")]:
            self._end(key, event.time, "interrupted")
        self._set((event.node,), {"rlm.status": event.status})
        self._end((event.node,), event.time, None if event.status == "answered" else event.status)

    def _run_ended(self, event: RunEnded) -> None:
        for key in [key for key in self._open if key]:
            self._end(key, event.time, event.status)
        used = {"rlm.turns": event.turns, "rlm.calls": event.calls, "rlm.cost": event.usage.cost}
        about = {"rlm.status": event.status, "rlm.confirmed": event.confirmed}
        self._set((), {**_tokens(event.usage), **used, **about})
        self._show((), "gen_ai.output.messages", event.answer)
        self._end((), event.time, None if event.status == "answered" else event.status)

    def _end_turn(self, node: str, time: float) -> None:
        if node in self._turns:
            self._end((node, "turn", self._turns[node]), time)

    # attributes
    @property
    def _agent(self) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": NAME,
            "gen_ai.agent.name": "rlm",
            "gen_ai.request.model": self._model,
        }

    def _chat(self, event: Replied) -> dict[str, Any]:
        return {**_asked(event.model), **_tokens(event.usage), **_ended(event.finish)}

    def _named(self, event: CallEnded) -> str:
        if event.op == "tool":
            return f"execute_tool {event.prompt}"
        return f"execute_tool {event.op}" if event.op in _CHILD_OPS else f"chat {event.model}"

    def _of_call(self, event: CallEnded) -> dict[str, Any]:
        about = {
            "rlm.node": event.node,
            "rlm.cell": event.cell,
            "rlm.call": event.call,
            "rlm.index": event.index,
            "rlm.op": event.op,
        }
        if event.op == "tool" or event.op in _CHILD_OPS:
            tool = event.prompt if event.op == "tool" else event.op
            return {**about, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        asked = _asked(event.model or event.asked or "")
        return {**about, **asked, **_tokens(event.usage), **_ended(event.finish)}

    def _measure(self, model: str, usage: Usage, seconds: float) -> None:
        about = _asked(model)
        for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            self._tokens.record(count, {**about, "gen_ai.token.type": kind})
        self._durations.record(seconds, about)
        self._cost.add(usage.cost, about)

    # spans
    def _or_node(self, key: tuple[object, ...]) -> tuple[object, ...]:
        """Return what is open for a key: itself, its node or the run."""
        return key if key in self._open else key[:1] if key[:1] in self._open else ()

    def _begin(
        self,
        key: tuple[object, ...],
        above: tuple[object, ...] | None,
        name: str,
        began: float,
        about: Mapping[str, Any],
    ) -> None:
        if above is not None and above not in self._open:
            self._begin((), None, "invoke_agent rlm", began, self._agent)  # one that goes on
            above = ()
        within = self._around
        if above is not None:
            within = self._trace.set_span_in_context(self._open[above])
        kinds = self._trace.SpanKind
        kind = kinds.CLIENT if name.startswith("chat ") else kinds.INTERNAL
        told = {name: value for name, value in about.items() if value is not None}
        self._open[key] = self._tracer.start_span(
            name, within, kind=kind, attributes=told, start_time=_ns(began)
        )

    def _set(self, key: tuple[object, ...], about: Mapping[str, Any]) -> None:
        if (span := self._open.get(key)) is not None:
            span.set_attributes({name: value for name, value in about.items() if value is not None})

    def _show(self, key: tuple[object, ...], name: str, content: object) -> None:
        """Set an attribute that has content, where that is wanted."""
        if self._content and content is not None:
            text = content if isinstance(content, str) else json.dumps(content, default=str)
            self._set(key, {name: text[:MOST_CHARS]})

    def _note(
        self, name: str, event: CellDecided | KernelRestarted, about: Mapping[str, Any]
    ) -> None:
        key = self._or_node((event.node, "turn", self._turns.get(event.node, 0)))
        if (span := self._open.get(key)) is not None:
            span.add_event(name, about, _ns(event.time))

    def _end(self, key: tuple[object, ...], time: float, error: str | None = None) -> None:
        span = self._open.pop(key, None)
        if span is None:
            return
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        span.end(_ns(time))


def _asked(model: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",  # by the protocol that is spoken
        "gen_ai.request.model": model,
    }


def _tokens(usage: Usage) -> dict[str, Any]:
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "rlm.cost": usage.cost,
    }


def _ended(finish: str | None) -> dict[str, Any]:
    return {} if finish is None else {"gen_ai.response.finish_reasons": [finish]}


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
