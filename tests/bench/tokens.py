"""Print the tokens that the harness adds to a first request and to each turn, at four characters a
token: ``python -m tests.bench.tokens [PYTHON]``.

With a Python that has ``rlms`` and ``dspy`` theirs stand beside ours. The first request is what is
sent for the question "What is it?" about nine characters of text, without both; a turn is what
stands between a cell's bare output and the next reply.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rlm_kernel import RLM
from rlm_kernel.testing import ScriptedLM

CONTEXT, QUESTION, OUTPUT = "some text", "What is it?", "some text"
CHARS_A_TOKEN = 4
BEFORE = {"first": 1915, "turn": 8, "turn that asks and makes": 8}
"""Of ours, in characters, before limits, packages, times and variables were told."""
CELLS = (
    "print(context)",
    "r = llm_query_batched(['a', 'b'])\nprint(context)",
    "FINAL_VAR(context)",
)


def ours() -> dict[str, int]:
    """Return the characters that ours adds."""
    lm = ScriptedLM([f"```python\n{cell}\n```" for cell in CELLS])
    with tempfile.TemporaryDirectory() as folder, RLM(model=lm, out=Path(folder) / "run") as rlm:
        rlm.completion(CONTEXT, QUESTION)
    first, looked, asked = ([len(str(m["content"])) for m in messages] for messages in lm.asked)
    return {
        "first": sum(first) - len(CONTEXT) - len(QUESTION),
        "turn": looked[-1] - len(OUTPUT),
        "turn that asks and makes": asked[-1] - len(OUTPUT),
    }


def main(arguments: list[str]) -> int:
    rows = {"rlm_kernel, before": BEFORE, "rlm_kernel": ours()}
    if arguments:
        program = Path(__file__).with_name("peer_tokens.py")
        told = subprocess.run(
            [arguments[0], "-P", str(program), CONTEXT, QUESTION, OUTPUT],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        rows |= json.loads(told.stdout.splitlines()[-1])
    table = Table("harness", *(f"tokens: {name}" for name in BEFORE))
    for name, row in rows.items():
        table.add_row(
            name, *(str(round(row.get(what, row["turn"]) / CHARS_A_TOKEN)) for what in BEFORE)
        )
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
