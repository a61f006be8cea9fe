"""Answer one question by ``dspy.RLM``, in its interpreter that runs in a process of its own.

(Its default one needs Deno and downloads Pyodide.) Standard input and output are those of
``rlms_peer``.
"""

from __future__ import annotations

import json
import sys

import dspy
from dspy.primitives.local_interpreter import LocalInterpreter


def main() -> None:
    """Answer what standard input asks."""
    given = json.load(sys.stdin)
    shown, sys.stdout = sys.stdout, sys.stderr
    at = {"api_base": given["base_url"], "api_key": given["api_key"], "cache": False}
    author = dspy.LM(f"openai/{given['author']}", **at)
    sub = dspy.LM(f"openai/{given['sub']}", **at)
    rlm = dspy.RLM(
        "context, question -> answer",
        max_iters=given["turns"],
        sub_lm=sub,
        interpreter_factory=LocalInterpreter,
    )
    with dspy.context(lm=author):
        done = rlm(context=given["context"], question=given["question"])
    print(json.dumps({"answer": str(done.answer)}), file=shown, flush=True)


if __name__ == "__main__":
    main()
