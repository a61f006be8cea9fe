"""The words of ``%rlm help``, made of the grammar."""

from __future__ import annotations

from .grammar import ANSWER, DEFAULT, OPTIONS, VERBS


def help_text() -> str:
    """Return the whole grammar as text for a person."""
    options = [(f"--{name} {option.value}", option.what) for name, option in OPTIONS.items()]
    verbs = [(f"%rlm {name} {verb.arguments}".rstrip(), verb.what) for name, verb in VERBS.items()]
    return "\n".join(
        [
            "A cell that asks; the answer is its result and is bound to NAME:",
            f"  %%rlm [NAME[: TYPE]] [OPTIONS]    (NAME is {ANSWER} by default)",
            "  the question, on as many lines as you like",
            "",
            "Options, for this question only:",
            *_table(options),
            "",
            f"Lines at the top of a cell, for the session; a setting alone shows its value, "
            f"{DEFAULT} takes it back:",
            *_table(verbs),
        ]
    )


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"  {left:{width}}  {right}" for left, right in rows]
