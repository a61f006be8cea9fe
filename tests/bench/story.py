"""The story of the film: a table of tickets, a question, and what a model writes, by hand."""

from __future__ import annotations

import asyncio
import csv
import random
import threading
from pathlib import Path
from typing import Any

from .paced import Paced

CONTEXT = "%rlm context tickets.csv"
QUESTION = "%%rlm\nWhich product makes customers angry, and since when?"
LOOK = """\
I look at the input first.

```python
print(context.shape)
context.sample(3, random_state=4)
```"""
BATCH = """\
Anger is in the words: I ask a small model about 200 tickets.

```python
tickets = context.sample(200, random_state=7)
ask = "Is this customer angry? yes or no\\n"
replies = llm_query_batched([ask + text for text in tickets["text"]])
tickets["angry"] = [reply == "yes" for reply in replies]
tickets.groupby("product")["angry"].mean().round(2)
```"""
WRONG = """\
The radio's customers are. Since when?

```python
weekly = tickets.groupby([week, "product"])["angry"].mean()
```"""
FIGURE = """\
There is no `week` yet: I make it of `day`.

```python
week = ((tickets["day"] - 1) // 7 + 1).rename("week")
weekly = tickets.groupby([week, "product"])["angry"].mean().unstack()
weekly.plot(figsize=(6.4, 1.9), ylabel="angry", xticks=weekly.index);
```"""
ANSWER = """\
```python
FINAL_VAR("The **Cedar radio**: since week 3 most are angry.")
```"""
EDITED = """\
week = ((tickets["day"] - 1) // 7 + 1).rename("week")
weekly = tickets.groupby([week, "product"])["angry"].mean().unstack()
weekly.plot.bar(figsize=(6.4, 1.9), ylabel="angry", rot=0);"""

PRODUCTS = ("Cedar radio", "Fern blender", "Iris grill")
ANGRY = ("It broke again and nobody answers me.", "My third letter. I want my money back.")
CALM = ("How do I set the clock?", "It came on time, thank you.", "Where are spare parts sold?")
TICKETS, DAYS, BREAKS_ON_DAY = 2_400, 28, 15
FIRST_GAP_S, GAP_S = 0.2, 0.02
"""Between two pieces of a reply; of the first one a picture is taken while it is written."""
SHOWN_CALLS = 128
"""Sub-calls that are answered before the batch waits for its picture."""
MOST_SECONDS = 120


def write_tickets(path: Path) -> None:
    chance = random.Random(8)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["day", "product", "text"])
        for number in range(TICKETS):
            day, product = number * DAYS // TICKETS + 1, chance.choice(PRODUCTS)
            likely = 0.75 if product == PRODUCTS[0] and day >= BREAKS_ON_DAY else 0.08
            rows.writerow(
                [day, product, chance.choice(ANGRY if chance.random() < likely else CALM)]
            )


class Story:
    """What the endpoint replies. A batch waits with part of its calls until it may ``go_on``."""

    def __init__(self) -> None:
        self.turns = [LOOK, BATCH, WRONG, FIGURE, ANSWER]
        self.waiting = threading.Event()
        self.go_on = threading.Event()
        self._calls = 0

    async def __call__(self, request: dict[str, Any]) -> Paced:
        messages = request["messages"]
        said = str(messages[-1]["content"])
        if len(messages) == 1 and said.startswith("Is this customer angry?"):
            return await self._sub_call(said)
        turn = sum(message["role"] == "assistant" for message in messages)
        text, pace = self.turns[turn], FIRST_GAP_S if turn == 0 else GAP_S
        return Paced([text[at : at + 4] for at in range(0, len(text), 4)], pace)

    async def _sub_call(self, said: str) -> Paced:
        self._calls += 1
        if self._calls > SHOWN_CALLS:
            self.waiting.set()
            assert await asyncio.to_thread(self.go_on.wait, MOST_SECONDS), "nobody let it go on"
        return Paced(["yes" if any(text in said for text in ANGRY) else "no"])
