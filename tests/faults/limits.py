"""Each limit, reached by a cell that goes on asking."""

from __future__ import annotations

from rlm_kernel.testing import Say, Slow

from .running import END, Case, cell

ON_AND_ON = cell("""for n in range(30):
    try:
        print(llm_query(f"piece {n} of {context}"))
    except BaseException as error:
        print(type(error).__name__, error)""")
CHILD = cell('print(rlm_query("what is it?", context))')
SECONDS = "while True:\n    llm_query(context)"
PRICED = Say("fine", usage={"prompt_tokens": 10, "completion_tokens": 10, "cost": 0.25})
LONG = Say("fine", usage={"prompt_tokens": 900, "completion_tokens": 100})


ON = cell("print(context)")  # in the turn that is left to finish


def _limit(name: str, value: str, turns: tuple[str, ...], **more: object) -> Case:
    return Case(
        f"--max-{name} {value}", f"limit reached: {name}", status=3, turns=turns, limit=True,
        arguments=(f"--max-{name}", value), **more,  # type: ignore[arg-type]
    )  # fmt: skip


CASES = [
    _limit("turns", "2", tuple(cell(f"print({n}, context)") for n in range(9))),
    Case("--max-calls 5: the rest is refused", "no sub-calls left", "code",
         turns=(ON_AND_ON, END), arguments=("--max-calls", "5")),
    _limit("tokens", "6000", (ON_AND_ON, ON), sub=LONG, quick=False),
    _limit("cost", "1", (ON_AND_ON, ON), sub=PRICED),
    _limit("seconds", "3", (cell(SECONDS), ON), sub=Slow(0.1, "fine")),
    Case("--max-depth 0: a plain sub-call instead", "fine", "code", turns=(CHILD, END),
         arguments=("--max-depth", "0")),
    Case("--max-cell-seconds 1: the cell only", "stopped after 1 seconds", "LM",
         turns=(cell("import time\nwhile True: time.sleep(0.01)"), END),
         arguments=("--max-cell-seconds", "1"), quick=False),
]  # fmt: skip
