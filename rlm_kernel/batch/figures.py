"""The figures of a batch's notebook, by matplotlib: ``pip install "rlm_kernel[batch]"``.

Colours are those of Okabe and Ito, which the colour-blind tell apart.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..record.numbers import counted, duration, money
from .summing import Results, live_on_average, median, percentile_90, spans
from .tables import Markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSING = Markdown('Figures need matplotlib: `pip install "rlm_kernel[batch]"`, then Run All.')
COLOURS = {
    "right": "#0072B2",
    "partly right": "#56B4E9",
    "wrong": "#E69F00",
    "answered": "#009E73",
    "limit": "#CC79A7",
    "failed": "#D55E00",
    "interrupted": "#7F7F7F",
    "skipped": "#BFBFBF",
}
INK, FAINT, PLAIN = "#222222", "#D9D9D9", "#4C6A92"
SIZE = (10.0, 3.4)
SHARPNESS = 2
"""Pixels of the picture for each that it takes on the page."""
WIDE = 30.0
"""From this ratio of the largest to the smallest on, an axis is logarithmic."""
DOTS = 2000
WINDOWS = 60
BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}


@dataclass(frozen=True)
class Picture:
    """A figure that a notebook shows without any magic. ``told`` says in words what is on it."""

    figure: Figure
    told: str

    def _repr_mimebundle_(self, **kinds: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data = io.BytesIO()
        self.figure.savefig(data, format="png", dpi=self.figure.dpi * SHARPNESS)
        width = round(self.figure.get_figwidth() * self.figure.dpi)
        return (
            {"image/png": data.getvalue(), "text/plain": self.told},
            {"image/png": {"width": width}},
        )


def outcomes_figure(results: Results) -> Picture | Markdown:
    """Draw how the tasks ended, and what each outcome cost."""
    made = _two_axes()
    if made is None:
        return MISSING
    figure, left, right = made
    groups = results.by_outcome()
    _bars(left, {name: len(group) for name, group in groups.items()})
    costs = {name: [r.cost for r in group if r.cost is not None] for name, group in groups.items()}
    _dots(right, {name: each for name, each in costs.items() if each and name != "skipped"})
    return Picture(figure, "Outcomes: " + ", ".join(f"{len(g):,} {n}" for n, g in groups.items()))


def distributions_figure(results: Results) -> Picture | Markdown:
    """Draw how the time and the cost of a run are spread."""
    made = _two_axes()
    if made is None:
        return MISSING
    figure, left, right = made
    ran = [result for result in results.results if result.status != "skipped"]
    seconds = [result.seconds for result in ran]
    _spread(left, seconds, "Time of a run", "seconds", duration)
    _spread(
        right, [r.cost for r in ran if r.cost is not None], "Cost of a run", "US dollars", money
    )
    return Picture(figure, f"Time and cost of {counted(len(ran), 'run')}")


def course_figure(results: Results) -> Picture | Markdown:
    """Draw how many runs had ended, and how many were live, as time went on."""
    made = _two_axes()
    if made is None:
        return MISSING
    figure, left, right = made
    worked = spans(results.results)
    unit, name = _unit(max((span.end for span in worked), default=0.0))
    ends = [span.end / unit for span in worked]
    last = max(ends, default=1.0) or 1.0
    left.step([0.0, *ends], range(len(ends) + 1), where="post", color=PLAIN, linewidth=2)
    name_axes(left, "Runs ended", f"time worked ({name})", "runs")
    edges = [last * n / WINDOWS for n in range(WINDOWS + 1)]
    right.stairs(live_on_average(worked, [edge * unit for edge in edges]), edges, fill=True,
                 color=PLAIN, alpha=0.75)  # fmt: skip
    name_axes(right, "Live runs, on average", f"time worked ({name})", "runs")
    for axes in (left, right):
        axes.set_xlim(0, last)
        axes.set_ylim(bottom=0)
        _whole_numbers(axes)
    return Picture(figure, f"{counted(len(ends), 'run')} over time")


def _two_axes() -> tuple[Figure, Axes, Axes] | None:
    """Return an empty figure of two panels; None where matplotlib is not installed."""
    made = panels(2, 2)
    return None if made is None else (made[0], made[1][0], made[1][1])


def panels(count: int, columns: int) -> tuple[Figure, list[Axes]] | None:
    """Return an empty figure of so many panels, in rows of ``columns``; None where matplotlib is
    not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    rows = -(-count // columns)
    figure = Figure(figsize=(SIZE[0], SIZE[1] * rows), layout="constrained")
    figure.get_layout_engine().set(wspace=0.08)  # type: ignore[union-attr,call-arg]
    made: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in made:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(color=FAINT, labelcolor=INK)
    for axes in made[count:]:
        axes.set_visible(False)
    return figure, made[:count]


def name_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """Write the title of a panel and the names of its axes."""
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _bars(axes: Axes, counts: dict[str, int]) -> None:
    names = list(counts)[::-1]
    whole = max(sum(counts.values()), 1)
    bars = axes.barh(names, [counts[n] for n in names], color=[COLOURS[n] for n in names])
    labels = [f"{counts[n]:,}  ({counts[n] / whole:.0%})" for n in names]
    axes.bar_label(bars, labels, padding=4, color=INK)
    axes.margins(x=0.22)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    name_axes(axes, "How the tasks ended", "", "")


def _dots(axes: Axes, costs: dict[str, list[float]]) -> None:
    """Draw a dot for each run, spread sideways at random, and a line at each median."""
    name_axes(axes, "Cost by outcome", "", "US dollars a run")
    if not any(value for each in costs.values() for value in each):
        _say_nothing(axes, "no run cost anything" if costs else "no run has a known price")
        return
    chance = random.Random(0)
    for x, (name, each) in enumerate(costs.items()):
        shown = each if len(each) <= DOTS else chance.sample(each, DOTS)
        aside = [x + chance.uniform(-0.28, 0.28) for _ in shown]
        axes.scatter(aside, shown, s=14, color=COLOURS[name], alpha=0.55, linewidths=0)
        middle = median(each)
        assert middle is not None
        axes.hlines(middle, x - 0.36, x + 0.36, color=INK, linewidth=1.5)
        axes.annotate(
            money(middle), (x + 0.38, middle), va="center", fontsize=8.5, color=INK, bbox=BEHIND
        )
    axes.set_xlim(-0.6, len(costs) - 0.1)
    axes.set_xticks(range(len(costs)), list(costs))
    axes.tick_params(bottom=False)
    if _is_wide([value for each in costs.values() for value in each]):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)


def _spread(axes: Axes, values: Sequence[float], title: str, x: str, words: Any) -> None:
    """Draw a histogram with the median and the 90th percentile."""
    name_axes(axes, title, x, "runs")
    if not any(values):
        _say_nothing(axes, f"{words(0.0)} in every run" if values else "no figures are known")
        return
    axes.hist(values, bins=_bins(values), color=PLAIN, alpha=0.75, edgecolor="white", linewidth=0.5)
    _whole_numbers(axes)
    if _is_wide(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * 1.25)
    marks = (("median", median(values), 1.17), ("90th percentile", percentile_90(values), 1.06))
    for name, value, height in marks:
        assert value is not None
        axes.vlines(value, 0, top * height, color=INK, linewidth=1.2, linestyles=(0, (4, 2)))
        side = "right" if _position(axes, value) > 0.6 else "left"
        axes.annotate(
            f" {name} {words(value)} ", (value, top * height), ha=side, va="center", fontsize=9,
            color=INK, bbox=BEHIND,
        )  # fmt: skip


def _position(axes: Axes, value: float) -> float:
    """Return the position of a value on the axis, from 0 to 1."""
    (x, _), (start, _), (end, _) = axes.transData.transform(
        [(value, 0), (axes.get_xlim()[0], 0), (axes.get_xlim()[1], 0)]
    )
    return float((x - start) / (end - start))


def _bins(values: Sequence[float]) -> list[float]:
    """Return edges of equal width, on a logarithmic axis of equal ratio."""
    least, most, count = min(values), max(values), min(max(len(values) // 5, 8), 40)
    if least == most:
        return [least - 0.5 * (abs(least) or 1.0), least + 0.5 * (abs(least) or 1.0)]
    if _is_wide(values):
        return [least * (most / least) ** (n / count) for n in range(count + 1)]
    return [least + (most - least) * n / count for n in range(count + 1)]


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > WIDE


def _say_nothing(axes: Axes, why: str) -> None:
    axes.text(0.5, 0.5, why, ha="center", va="center", color=INK, transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")
