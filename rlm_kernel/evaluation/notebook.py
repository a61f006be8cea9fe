"""The notebook of an evaluation: its table and its figures before those of the batch that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..batch import Results, summary
from ..batch.figures import FAINT, INK, MISSING, Picture, name_axes, panels
from ..batch.tables import Markdown
from ..record.markdown import literal
from .grid import BASELINES, OURS
from .rows import ALL, Row, as_markdown, by_split, rows, size_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = dict(zip((OURS, *BASELINES), ("#0072B2", "#7F7F7F", "#E69F00", "#009E73"), strict=True))
COLUMNS = 3


def texts(results: Results, sha256: str) -> list[str]:
    """Return the sources of the notebook's cells."""
    title = f"# Evaluation {literal(results.folder.name)}\n\n{summary.told_of(results)}"
    show = "evaluation.scores_table(results)"
    return [
        title,
        summary.loading(results, sha256, show, "batch, evaluation"),
        "evaluation.success_figure(results)",
        "evaluation.use_figure(results)",
        "## The splits\n\nKinds that are held out are for measuring only: nothing is tuned by "
        "them.",
        "evaluation.splits_table(results)",
        "## The runs",
        summary.OUTCOMES,
        *summary.figures("rlm eval"),
    ]


def scores_table(results: Results) -> Markdown:
    """List success and use by set, length and system."""
    return Markdown(as_markdown(rows(results)))


def splits_table(results: Results) -> Markdown:
    """List success and use by split and system."""
    found = by_split(results)
    return Markdown(as_markdown(found) if found else "These tasks belong to no split.")


def success_figure(results: Results) -> Picture | Markdown:
    """Draw success by length, a panel for each set, with 95 % intervals."""
    found = [row for row in rows(results) if row.set != ALL]
    names = list(dict.fromkeys(row.set for row in found))
    made = panels(max(len(names), 1), min(max(len(names), 2), COLUMNS))
    if made is None:
        return MISSING
    figure, axes = made
    systems = list(dict.fromkeys(row.system for row in found))
    for name, each in zip(names, axes, strict=False):
        _draw_success(each, name, [row for row in found if row.set == name], systems)
    drawn: dict[str, Any] = {}
    for each in axes:
        lines, labels = each.get_legend_handles_labels()
        drawn |= zip(labels, lines, strict=True)
    figure.legend(
        list(drawn.values()), list(drawn), loc="outside lower center", ncols=max(len(drawn), 1),
        frameon=False,
    )  # fmt: skip
    return Picture(figure, f"Success by length of {', '.join(names)}")


def _draw_success(axes: Axes, name: str, found: list[Row], systems: list[str]) -> None:
    lengths = sorted({row.length for row in found}, key=size_of)
    for shift, system in enumerate(systems):
        points = [(lengths.index(row.length), row) for row in found if row.system == system]
        x = [place + 0.08 * (shift - (len(systems) - 1) / 2) for place, _ in points]
        y = [row.success for _, row in points]
        # A mean at a bound is not below it by rounding.
        bars = [[max(row.success - row.low, 0) for _, row in points],
                [max(row.high - row.success, 0) for _, row in points]]  # fmt: skip
        axes.errorbar(
            x, y, bars, color=COLOURS.get(system, INK), marker="o", capsize=3, label=system
        )
    name_axes(axes, name, "length", "success")
    axes.set_xticks(range(len(lengths)), lengths)
    axes.set_xlim(-0.5, len(lengths) - 0.5)
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(axis="y", color=FAINT, linewidth=0.6)


def use_figure(results: Results) -> Picture | Markdown:
    """Draw what each system took for a task, and how often it was confidently wrong."""
    whole = [row for row in rows(results) if row.set == ALL]
    made = panels(3, COLUMNS)
    if made is None:
        return MISSING
    figure, axes = made
    shares = [row.confident_wrong / row.tasks for row in whole]
    _draw_bars(axes[0], whole, shares, "Confidently wrong", "{:.0%}")
    _draw_bars(axes[1], whole, [row.tokens for row in whole], "Tokens a task", "{:,.0f}")
    _draw_bars(axes[2], whole, [row.seconds for row in whole], "Seconds, median", "{:,.1f}")
    return Picture(figure, "Confidently wrong answers, tokens and seconds by system")


def _draw_bars(axes: Axes, found: list[Row], values: list[float], title: str, form: str) -> None:
    names = [row.system for row in found]
    bars = axes.bar(names, values, color=[COLOURS.get(name, INK) for name in names], width=0.6)
    axes.bar_label(bars, [form.format(value) for value in values], padding=3, color=INK)
    axes.margins(y=0.18)
    name_axes(axes, title, "", "")
    axes.set_ylim(bottom=0)
