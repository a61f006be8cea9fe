"""The tools and resources of the server, in the words that an agent reads."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Literal, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from .. import __version__
from ..errors import RLMError, one_line
from .service import Asked, Service

INSTRUCTIONS = """\
Answers questions about files and folders that are too long to read: a Recursive Language Model
writes and runs a notebook about them, and you get the answer with its evidence, never the input.
Ask one precise question at a time. An answer with confirmed=false may be wrong: say so."""

T = TypeVar("T")
_MAP = """\
table = llm_map(context, {question!r}, labels={labels!r}, by={by!r})
FINAL_VAR({{"counts": table.counts(), "rows": len(table), "failed": len(table.failed)}})"""
Path = Annotated[
    str | None, Field(description="a file or a folder, absolute or from the first root")
]
Text = Annotated[str | None, Field(description="the input itself, in place of a path")]
Run = Annotated[str, Field(description="the name of a run, as `ask` and `runs` give it")]
_Count = Annotated[int | None, Field(ge=1)]
_Amount = Annotated[float | None, Field(gt=0)]
By = Literal["line", "paragraph", "row", "file", "chars"]


def made(service: Service) -> MCPServer[Any]:
    """Return the server whose tools ask the service."""
    server: MCPServer[Any] = MCPServer("rlm", version=__version__, instructions=INSTRUCTIONS)

    @server.tool()
    async def ask(
        question: str,
        ctx: Context,
        path: Path = None,
        text: Text = None,
        answer: Annotated[
            str | None,
            Field(description="the form of the answer: number, list, a type, a JSON Schema"),
        ] = None,
        max_turns: _Count = None,
        max_calls: _Count = None,
        max_tokens: _Count = None,
        max_cost: _Amount = None,
        max_seconds: _Amount = None,
    ) -> dict[str, Any]:
        """Answer a question about a file, a folder or a text, however long. It may take minutes.
        Limits count where they are lower than the user's own."""
        asked = Asked(max_turns, max_calls, max_tokens, max_cost, max_seconds)
        return await _told(service.ask(question, path, text, answer, asked, ctx.report_progress))

    @server.tool()
    async def map(
        question: str,
        ctx: Context,
        path: Path = None,
        text: Text = None,
        by: Annotated[By, Field(description="what one item is")] = "line",
        labels: Annotated[
            list[str] | None, Field(description="the values that an item may have")
        ] = None,
        max_calls: _Count = None,
        max_cost: _Amount = None,
    ) -> dict[str, Any]:
        """Ask one question about each item of an input (its lines, rows, files, …) and return how
        often each value was given. With labels the values are counted exactly."""
        asked = Asked(calls=max_calls, cost=max_cost, turns=1)
        first = _MAP.format(question=question, labels=labels, by=by)
        call = service.ask(
            f"{question} (asked about each {by})", path, text, None, asked, ctx.report_progress,
            first=first,
        )  # fmt: skip
        return await _told(call)

    @server.tool()
    async def runs() -> list[dict[str, Any]]:
        """List the runs that were recorded here, the newest first."""
        return await _told(service.runs())

    @server.tool()
    async def show(
        run: Run,
        outputs: Annotated[
            bool, Field(description="also what cells put out, which has parts of the input")
        ] = False,
    ) -> str:
        """Show the cells of a run, its question and its answer, as Markdown."""
        return await _told(service.outline(run, outputs=outputs))

    @server.tool()
    async def why(run: Run) -> dict[str, Any]:
        """Tell what the answer of a run rests on: its evidence, and the cells and sub-calls that
        it was made of."""
        return await _told(service.why(run))

    @server.tool()
    async def replay(run: Run) -> dict[str, Any]:
        """Run the recorded cells of a run again, with no LM, and say whether they do the same."""
        return await _told(service.replay(run))

    @server.tool(name="continue")
    async def go_on(
        run: Run,
        word: Annotated[str, Field(description="what the LM is to do or to mend")],
        ctx: Context,
        max_turns: _Count = None,
        max_cost: _Amount = None,
    ) -> dict[str, Any]:
        """Go on from the end of a run with a word to its LM, in a new run that has its state."""
        asked = Asked(turns=max_turns, cost=max_cost)
        return await _told(service.go_on(run, word, asked, ctx.report_progress))

    @server.resource("rlm-run://{run}", mime_type="text/markdown")
    async def trajectory(run: str) -> str:
        """The cells of a run, its question and its answer, without what the cells put out."""
        return await _told(service.outline(run, outputs=False))

    return server


async def _told(asked: Awaitable[T]) -> T:
    """Return what was asked for; what went wrong is told in a line."""
    try:
        return await asked
    except RLMError as error:
        raise ToolError(one_line(error)) from error
