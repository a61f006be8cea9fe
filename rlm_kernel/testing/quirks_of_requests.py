"""Quirks in what endpoints take, and failures that pass."""

from __future__ import annotations

import json

from . import changes
from .faults import Garbage
from .quirk import Quirk

QUIRKS_OF_REQUESTS = (
    # requests that are refused
    Quirk(
        "no_stream_options",
        "stream_options refused by name",
        ("gpustack/gpustack#429",),
        refuses=changes.refusing_body("stream_options", changes.EXTRA, 422),
        told=False,
    ),
    Quirk(
        "no_stream_options_vague",
        "stream_options refused without its name",
        ("mistralai/platform-docs-public#7",),
        refuses=changes.refusing("stream_options", "Bad request."),
        told=False,
    ),
    Quirk(
        "only_streams",
        "only streams",
        ("OpenManus#330",),
        refuses=changes.only_streams(
            "This model only support stream mode, please enable the stream"
        ),
    ),
    Quirk(
        "only_streams_thinking",
        "only streams, in other words",
        ("infiniflow/ragflow#8972", "browser-use/web-ui#659"),
        refuses=changes.only_streams(
            "parameter.enable_thinking must be set to false for non-streaming calls"
        ),
    ),
    Quirk(
        "only_streams_chinese",
        "only streams, in Chinese",
        ("alibaba/spring-ai-alibaba#867",),
        refuses=changes.only_streams("parameter.enable_thinking必须设置为false才能进行非流式调用"),
    ),
    Quirk(
        "no_streams",
        "no streams for this account",
        ("continuedev/continue#7129", "lobehub/lobehub#9385"),
        refuses=changes.refusing(
            "stream",
            "Your organization must be verified to stream this model. Please go to: "
            "https://platform.openai.com/ and click on Verify.",
            param="stream",
            code="unsupported_value",
        ),
    ),
    Quirk(
        "no_max_tokens",
        "max_completion_tokens in place of max_tokens",
        ("gollm#33", "inspect_ai#3259"),
        refuses=changes.refusing(
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            code="unsupported_parameter",
        ),
    ),
    Quirk(
        "no_temperature",
        "no temperature",
        ("moona3k/macparakeet#1087",),
        refuses=changes.refusing(
            "temperature", "invalid temperature: only 1 is allowed for this model"
        ),
    ),
    Quirk(
        "no_top_p",
        "no top_p",
        ("microsoft/vscode#282170",),
        refuses=changes.refusing(
            "top_p", "Unsupported parameter: 'top_p' is not supported with this model."
        ),
    ),
    Quirk(
        "no_temperature_500",
        "no temperature, with status 500 and an error in an error",
        ("lfnovo/open-notebook#107", "chatboxai/chatbox#2627"),
        refuses=changes.refusing_body(
            "temperature",
            {
                "detail": "Error code: 400 - {'error': {'message': \"gpt-5 models "
                "don't support temperature=0.84. Only temperature=1 is supported.\"}}"
            },
            500,
        ),
    ),
    Quirk(
        "no_seed",
        "no seed",
        ("crewAIInc/crewAI#60",),
        refuses=changes.refusing_body(
            "seed",
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "seed"],
                            "msg": "Extra inputs are not permitted",
                        }
                    ]
                },
            },
            422,
        ),
    ),
    Quirk(
        "no_reasoning_effort",
        "no reasoning_effort",
        ("BerriAI/litellm#38263",),
        refuses=changes.refusing(
            "reasoning_effort",
            "UnsupportedParamsError: together_ai does not "
            "support parameters: ['reasoning_effort'], for model=m",
        ),
    ),
    Quirk(
        "no_system_role",
        "no system role",
        ("vllm#2964", "dspy#1627", "chat-ui#1386"),
        refuses=changes.refusing_roles(
            {
                "object": "error",
                "message": "System role not supported",
                "type": "BadRequestError",
                "code": 400,
            }
        ),
    ),
    Quirk(
        "no_system_role_500",
        "no system role, with status 500",
        ("sgl-project/sglang#892",),
        refuses=changes.refusing_roles(
            changes.error("Jinja Exception: System role not supported"), 500
        ),
    ),
    Quirk(
        "no_developer_role",
        "no system role, in a list and in other words",
        ("microsoft/vscode#258088", "0xPlaygrounds/rig#788"),
        refuses=changes.refusing_roles(changes.GEMMA),
    ),
    Quirk(
        "roles_alternate",
        "no system role, since roles alternate",
        ("nomic-ai/gpt4all#3282",),
        refuses=changes.refusing_roles(
            changes.error("Conversation roles must alternate user/assistant/user/assistant/...")
        ),
    ),
    # failures that pass
    Quirk(
        "error_as_event",
        "an error in a stream that is none by its name",
        ("dspy#1627",),
        first=Garbage('data: {"object": "error", "message": "overloaded", "code": 503}\n\n'),
    ),
    Quirk(
        "error_code_as_event",
        "the same by a code of its own",
        ("dspy#1627",),
        first=Garbage('data: {"text": "**NETWORK ERROR**", "error_code": 50001}\n\n'),
    ),
    Quirk(
        "error_event",
        "an event that is an error by its type",
        ("lucasjinreal/Crane#121",),
        first=Garbage('event: error\ndata: {"message": "overloaded"}\n\n'),
    ),
    Quirk(
        "error_text_event",
        "an error as the text of an event",
        ("lucasjinreal/Crane#121",),
        first=Garbage("data: error: overloaded\n\n"),
        told=False,
    ),
    Quirk(
        "empty_answer",
        "an answer without a byte",
        ("bespokelabsai/curator#463",),
        first=Garbage(""),
        told=False,
    ),
    Quirk(
        "error_page",
        "a page in place of a reply",
        ("diegosouzapw/OmniRoute#4937",),
        first=changes.plain_page(502),
    ),
    Quirk(
        "finish_error",
        "a finish reason that says it failed",
        ("opencode#26170", "mindverse/Second-Me#153"),
        first=Garbage(
            json.dumps(
                {"choices": [{"message": {"content": "half a ce"}, "finish_reason": "error"}]}
            )
        ),
        told=False,
    ),
)
