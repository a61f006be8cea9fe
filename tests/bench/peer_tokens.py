"""Print the characters that ``rlms`` and ``dspy.RLM`` add, as JSON; for ``tokens``, which see.

Runs in the peers' own Python. Nobody is asked: of ``rlms`` the messages are built, ``dspy`` is
given an LM and an interpreter that say the same each time.
"""

from __future__ import annotations

import json
import sys
from typing import Any

CONTEXT, QUESTION, OUTPUT = sys.argv[1:4]
CELL = "print(context)"
REASON = "I look."


def of_rlms() -> dict[str, int]:
    from rlm.core.types import QueryMetadata
    from rlm.utils import prompts

    first = prompts.build_rlm_system_prompt(
        prompts.RLM_SYSTEM_PROMPT, QueryMetadata(CONTEXT), root_prompt=QUESTION
    )
    first.append(prompts.build_user_prompt(QUESTION, 0))
    turn = len("REPL output:\n") + len(prompts.build_user_prompt(QUESTION, 3)["content"])
    return {"first": sum(len(m["content"]) for m in first) - len(QUESTION), "turn": turn}


def of_dspy() -> dict[str, int]:
    import dspy
    import litellm
    from dspy.primitives.code_interpreter import FinalOutput

    sizes: list[int] = []

    class Says(dspy.LM):  # type: ignore[misc]
        def forward(self, prompt: Any = None, messages: Any = None, **more: Any) -> Any:
            sizes.append(sum(len(str(message["content"])) for message in messages))
            text = f"[[ ## reasoning ## ]]\n{REASON}\n\n[[ ## code ## ]]\n```python\n{CELL}\n```"
            said = {"message": {"role": "assistant", "content": f"{text}\n\n[[ ## completed ## ]]"}}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            return litellm.ModelResponse(choices=[said], usage=usage, model="says")

    class Ends:
        def __init__(self, *given: Any, **more: Any) -> None:
            self.tools: dict[str, Any] = {}
            self._left = 5

        def start(self) -> None:
            """There is nothing to start."""

        def shutdown(self) -> None:
            """There is nothing to end."""

        def execute(self, code: str, variables: Any = None) -> Any:
            self._left -= 1
            return OUTPUT if self._left else FinalOutput({"answer": OUTPUT})

    dspy.configure(lm=Says("dummy/says"))
    dspy.RLM("context, question -> answer", interpreter_factory=Ends)(
        context=CONTEXT, question=QUESTION
    )
    turn = sizes[2] - sizes[1] - len(CELL) - len(REASON) - len(OUTPUT)
    return {"first": sizes[0] - len(CONTEXT) - len(QUESTION), "turn": turn}


print(json.dumps({"rlms": of_rlms(), "dspy.RLM": of_dspy()}))
