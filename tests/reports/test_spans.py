"""A run as OpenTelemetry spans: their tree is that of the record, and they hold no text of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask_here, block, events, of
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rlm_kernel import Limits, LMError, Result, UsageError
from rlm_kernel.events import CallEnded, CellRan, NodeStarted, Replied, RunEnded
from rlm_kernel.testing import ScriptedLM

CANARY = "kept-to-ourselves"
TURNS = (
    f"said = llm_query_batched(['one {CANARY}', 'two', 'fails'])\nprint(said)",
    "1 / 0",
    "part = rlm_query('child', context)\nlook = limits_left()",
    f"FINAL_VAR('{CANARY} is the answer')",
)


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[InMemorySpanExporter, InMemoryMetricReader]]:
    """What the program's own provider was told: OpenTelemetry has one a process."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    return exporter, reader


def _asked(out: Path, **settings: Any) -> Result:
    turns = iter(TURNS)

    def turn(messages: list[dict[str, Any]]) -> str:
        return block("FINAL_VAR(7)") if "child" in str(messages[1]) else block(next(turns))

    def sub(prompt: str) -> str | Exception:
        return LMError("no reply", cause="refused") if prompt == "fails" else f"reply {CANARY}"

    lm = ScriptedLM(turn, sub)
    return ask_here(lm, out, f"text {CANARY}", f"What is {CANARY}?", **settings)


def _named(spans: list[ReadableSpan]) -> dict[int, str]:
    return {span.context.span_id: span.name for span in spans if span.context is not None}


def _tree(spans: list[ReadableSpan]) -> list[tuple[str, str]]:
    """Return each span's name with that of the one above it, in the order in which they began."""
    names = _named(spans)
    return [
        (names.get(span.parent.span_id, "the caller's") if span.parent else "", span.name)
        for span in sorted(spans, key=lambda span: span.start_time or 0)
    ]


def test_the_tree_of_spans_is_that_of_the_record(
    told: tuple[InMemorySpanExporter, InMemoryMetricReader], tmp_path: Path
) -> None:
    exporter, reader = told
    exporter.clear()
    with trace.get_tracer("the caller").start_as_current_span("the caller's"):
        result = _asked(tmp_path / "run", telemetry="on")
    spans = [span for span in exporter.get_finished_spans() if span.name != "the caller's"]
    recorded = events(result)
    by_kind = {
        "invoke_agent 0": len(of(NodeStarted, recorded)),
        "turn": len({(e.node, e.turn) for e in of(Replied, recorded)}),
        "cell": len(of(CellRan, recorded)),
        "call": len(of(CallEnded, recorded)) + len(of(Replied, recorded)),
    }
    assert min(by_kind.values()) >= 2
    found = [span.name for span in spans]
    for kind in ("invoke_agent 0", "turn", "cell"):
        assert sum(name.startswith(kind) for name in found) == by_kind[kind], kind
    assert sum(name.startswith(("chat", "execute_tool")) for name in found) == by_kind["call"]
    tree = _tree(spans)
    assert tree[0] == ("the caller's", "invoke_agent rlm")
    for above, name in (
        ("invoke_agent rlm", "invoke_agent 0"),
        ("invoke_agent 0", "turn 1"),
        ("turn 1", "chat scripted"),
        ("turn 1", "cell 1"),
        ("cell 1", "chat scripted-sub"),
        ("cell 3", "execute_tool rlm_query"),
        ("execute_tool rlm_query", "invoke_agent 0.1"),
        ("invoke_agent 0.1", "turn 1"),
        ("cell 3", "execute_tool limits_left"),
    ):
        assert (above, name) in tree, (above, name)
    assert all((span.end_time or 0) >= (span.start_time or 0) > 0 for span in spans)
    failed = {span.name for span in spans if not span.status.is_ok}
    assert failed >= {"chat scripted-sub", "cell 2"}
    [ended] = of(RunEnded, recorded)
    [run] = [span for span in spans if span.name == "invoke_agent rlm"]
    assert run.attributes is not None
    assert run.attributes["gen_ai.usage.output_tokens"] == ended.usage.output_tokens
    assert CANARY not in "".join(span.to_json() for span in spans)
    measured = _sums(reader)
    assert measured["gen_ai.client.token.usage"] == ended.usage.tokens
    assert "rlm.cost" in measured


def _sums(reader: InMemoryMetricReader) -> dict[str, float]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: sum(getattr(p, "sum", getattr(p, "value", 0)) for p in metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_texts_are_told_where_they_were_asked_for_and_no_spans_where_they_were_not(
    told: tuple[InMemorySpanExporter, InMemoryMetricReader], tmp_path: Path
) -> None:
    exporter, _ = told
    exporter.clear()
    _asked(tmp_path / "content", telemetry="content")
    [run] = [s for s in exporter.get_finished_spans() if s.name == "invoke_agent rlm"]
    assert run.attributes is not None
    assert run.attributes["gen_ai.input.messages"] == f"What is {CANARY}?"
    assert run.attributes["gen_ai.output.messages"] == f"{CANARY} is the answer"
    exporter.clear()
    _asked(tmp_path / "off")
    assert exporter.get_finished_spans() == ()


def test_a_run_that_a_limit_ended_leaves_no_span_open(
    told: tuple[InMemorySpanExporter, InMemoryMetricReader], tmp_path: Path
) -> None:
    exporter, _ = told
    exporter.clear()
    result = _asked(tmp_path / "run", telemetry="on", limits=Limits(turns=1))
    assert result.status == "limit"
    spans = exporter.get_finished_spans()
    assert {s.name for s in spans} >= {"invoke_agent rlm", "invoke_agent 0", "turn 1", "cell 1"}
    [run] = [span for span in spans if span.name == "invoke_agent rlm"]
    assert run.attributes is not None
    assert run.attributes["error.type"] == "limit"


def test_without_opentelemetry_the_question_is_refused_before_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(UsageError, match=r"telemetry='on' needs OpenTelemetry: pip install"):
        _asked(tmp_path / "run", telemetry="on")
    assert not (tmp_path / "run").exists()
