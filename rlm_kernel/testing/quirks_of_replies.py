"""Quirks in what endpoints send."""

from __future__ import annotations

import json

from . import changes
from .quirk import Quirk

QUIRKS_OF_REPLIES = (
    # events of a stream
    Quirk(
        "choices_null",
        "the usage comes with null choices",
        ("litellm#4429",),
        events=changes.without_choices("null"),
    ),
    Quirk(
        "choices_absent",
        "the usage comes without choices",
        ("pydantic-ai#5170", "openai-node#364"),
        events=changes.without_choices("absent"),
    ),
    Quirk("null_events", "events of null", ("pi#2466",), events=changes.between(b"data: null\n\n")),
    Quirk(
        "filter_results_first",
        "a first event with no choice in it",
        ("AbanteAI/archive-old-cli-mentat#429",),
        events=changes.at_first(changes.AZURE_FIRST),
    ),
    Quirk(
        "choice_without_delta",
        "a choice with neither delta nor message",
        ("microsoft/autogen#6465",),
        events=changes.at_first(changes.AZURE_LATE),
    ),
    Quirk(
        "delta_null",
        "the last choice has a delta of null",
        ("microsoft/agent-framework#5734", "langroid/langroid#987"),
        events=changes.finishing(lambda c, text: {**c, "delta": None}),
    ),
    Quirk(
        "finish_empty",
        "an empty finish reason in each event",
        ("ollama/ollama#4357", "sgl-project/sglang#3912"),
        events=changes.each_choice(lambda c: {**c, "finish_reason": c["finish_reason"] or ""}),
    ),
    Quirk(
        "finish_text_null",
        "the text null for no finish reason",
        ("PowerShell/AIShell#350",),
        events=changes.each_choice(lambda c: {**c, "finish_reason": c["finish_reason"] or "null"}),
    ),
    Quirk(
        "finish_while_thinking",
        "a finish reason with each thought",
        ("open-webui/open-webui#16377",),
        events=changes.thinking,
    ),
    Quirk(
        "message_last",
        "all of the text once more as a message",
        ("one-api#2406", "BitFun#792"),
        events=changes.finishing(
            lambda c, text: {"finish_reason": "stop", "message": {"content": text}}
        ),
    ),
    Quirk(
        "message_and_delta_last",
        "the same beside an empty delta",
        ("GoModel#1068",),
        events=changes.finishing(lambda c, text: {**c, "message": {"content": text}}),
    ),
    Quirk(
        "delta_last",
        "all of the text once more as a delta",
        ("one-api#2406",),
        events=changes.finishing(lambda c, text: {**c, "delta": {"content": text}}),
    ),
    Quirk(
        "cumulative",
        "each event has all of the text so far",
        ("QwenLM/qwen-code#3896", "swuecho/chat#687"),
        events=changes.so_far,
    ),
    Quirk(
        "usage_so_far",
        "each event tells the usage so far",
        ("open-webui/open-webui#29064", "pydantic/pydantic-ai#4056"),
        events=changes.usage_so_far,
    ),
    Quirk(
        "ping_events",
        "events of a type of their own",
        ("ztjhz/BetterChatGPT#538",),
        events=changes.between(b"event: ping\ndata: 2026-01-01 10:00:00\n\n"),
    ),
    Quirk(
        "keepalive_events",
        "empty events of a type of their own",
        ("openai-php/client#734",),
        events=changes.between(b'event: keepalive\ndata: {"type": "keepalive"}\n\n'),
    ),
    Quirk(
        "empty_data",
        "events without data",
        ("modelcontextprotocol/python-sdk#1670",),
        events=changes.between(b"data:\n\n"),
    ),
    Quirk(
        "comments",
        "comments while it works",
        ("ggml-org/llama.cpp#24013", "litellm#37322"),
        events=changes.between(b": keep-alive\n\n"),
    ),
    Quirk(
        "text_lines",
        "lines of text among the events",
        ("diegosouzapw/OmniRoute#4937",),
        events=changes.between(b"data: please wait\n\n"),
    ),
    # the bytes of a stream
    Quirk(
        "no_space",
        "no space after the colon",
        ("openai/openai-python#498",),
        wire=lambda data: data.replace(b"data: ", b"data:"),
    ),
    Quirk(
        "carriage_returns",
        "carriage returns as line ends",
        ("a2aproject/a2a-js#714",),
        wire=lambda data: data.replace(b"\n", b"\r"),
    ),
    Quirk(
        "crlf",
        "carriage return and line feed as line ends",
        ("miruamel/xuan#194",),
        wire=lambda data: data.replace(b"\n", b"\r\n"),
    ),
    Quirk(
        "several_lines",
        "events on several lines of data",
        ("profullstack/sh1pt#705",),
        wire=changes.several_lines,
    ),
    Quirk(
        "no_blank_lines",
        "no blank line between events",
        ("ztjhz/BetterChatGPT#538",),
        wire=lambda data: data.replace(b"\n\n", b"\n"),
    ),
    Quirk(
        "byte_order_mark",
        "a byte order mark at first",
        ("vm0-ai/vm0#24687", "elizaOS/eliza#19260"),
        events=changes.at_first(b"\xef\xbb\xbf"),
    ),
    Quirk(
        "event_ids",
        "ids, and a blank line after each comment",
        ("theopenco/llmgateway#2334", "openai/openai-python#2722"),
        wire=lambda data: b"id: 7\n" + data + b": ping\n\n",
    ),
    Quirk(
        "line_separators",
        "U+2028 within a text",
        ("florimondmanca/httpx-sse#34",),
        events=changes.at_first('data: {"note": "a\u2028b", "choices": []}\n\n'.encode()),
    ),
    Quirk(
        "bad_utf8",
        "half a character",
        ("openai/openai-python#2960",),
        events=changes.half_a_character,
    ),
    Quirk(
        "json_lines", "lines of JSON in place of events", ("cesmii/i3X#173",), events=changes.lines
    ),
    # the end of a stream
    Quirk("no_done", "no [DONE]", ("pi#7062",), events=changes.ends_after_finish),
    Quirk(
        "broken_after_finish",
        "a broken event after the finish reason",
        ("pi#7062",),
        events=changes.broken_after_finish,
    ),
    Quirk(
        "open_after_finish",
        "no end of the stream after the finish reason",
        ("musistudio/claude-code-router#1271",),
        events=changes.ends_after_finish,
        stays_open=True,
    ),
    Quirk(
        "heartbeats_after_finish",
        "heartbeats in place of an end",
        ("maximhq/bifrost#6784",),
        events=changes.heartbeats_after_finish,
        stays_open=True,
    ),
    Quirk(
        "null_events_after_finish",
        "events of null in place of an end",
        ("pi#2466", "maximhq/bifrost#6784"),
        events=changes.nulls_after_finish,
        stays_open=True,
    ),
    Quirk(
        "open_after_done",
        "no end of the stream after [DONE]",
        ("open-webui/open-webui#7726",),
        stays_open=True,
    ),
    # bodies
    Quirk(
        "never_streams",
        "a body though a stream was asked for",
        ("BaseIntelligence/bounty-challenge#17821",),
        streams=False,
    ),
    Quirk(
        "never_streams_pretty",
        "the same on many lines",
        ("mini-sglang#51",),
        streams=False,
        whole=changes.pretty,
    ),
    Quirk(
        "always_streams",
        "a stream though none was asked for",
        ("kaito-project/kaito#1880", "unslothai/unsloth#6570"),
        streams=True,
    ),
    Quirk(
        "body_then_done",
        "[DONE] after a body",
        ("decolua/9router#3492",),
        whole=lambda body: json.dumps(body).encode() + b"data: [DONE]\n\n",
    ),
    Quirk(
        "blank_lines_first",
        "blank lines before a body, while it works",
        ("sgl-project/sglang#3689",),
        whole=lambda body: b"\n" * 20 + json.dumps(body).encode(),
    ),
    # usage
    Quirk(
        "usage_floats",
        "tokens as floats",
        ("easyllm#40",),
        usage=lambda usage: {name: float(count) for name, count in usage.items()},
    ),
    Quirk(
        "usage_strings",
        "tokens as texts",
        ("opensre#2814",),
        usage=lambda usage: {name: str(count) for name, count in usage.items()},
    ),
    Quirk(
        "usage_named_otherwise",
        "input_tokens and output_tokens",
        ("hindsight#3884",),
        usage=changes.named_otherwise,
    ),
    Quirk(
        "usage_thoughts_beside",
        "thoughts in the total alone",
        ("crewAI#5699", "vercel/ai#6082"),
        usage=changes.beside,
    ),
    Quirk("usage_null", "a usage of null", ("litellm#4429",), usage=lambda usage: None, told=False),
)
