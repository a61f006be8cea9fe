"""The timeline, as one SVG a node: turns and cells above, sub-calls below.

Few sub-calls are bars that show how they overlap; many are one area: how many at once. So a lane
has some hundred elements at most, however many calls there were.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from ...events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
)
from ...record.markdown import shorten
from ...record.numbers import counted, duration
from .markup import Html, block_id, escaped, h

WIDTH = 1000
MAX_LANES = 24
MAX_BARS = 300
MAX_ROWS = 8
_BAR, _ROW, _AREA = 10, 6, 32  # heights in pixels
_PARTS = 250


@dataclass(frozen=True)
class Stretch:
    start: float
    end: float
    kind: str
    title: str = ""
    child: bool = False
    """True where a node of its own answered."""


@dataclass
class Lane:
    """The times at which one node did something, in Unix seconds."""

    node: str
    busy: list[Stretch] = field(default_factory=list)  # turns and cells, one after another
    calls: list[Stretch] = field(default_factory=list)

    @property
    def all(self) -> Iterable[Stretch]:
        return [*self.busy, *self.calls]


@dataclass(frozen=True)
class Scale:
    start: float
    end: float

    def x(self, time: float) -> float:
        return (time - self.start) / ((self.end - self.start) or 1.0) * WIDTH


def lanes(events: Iterable[Event]) -> list[Lane]:
    """Return a lane for each node, in the order of their start. What ran before the question is
    left out, and so is the time that a call waited to be sent."""
    made: dict[str, Lane] = {}
    most: int | None = None
    for event in events:
        match event:
            case RunStarted():
                most = (event.settings.get("limits") or {}).get("in_flight")
            case NodeStarted():
                made[event.node] = Lane(event.node)
            case CellRan(turn=0):
                pass
            case Replied() | CellRan() | CallEnded():
                if event.node in made:
                    _add(made[event.node], event)
            case (
                ContextSet()
                | Prompted()
                | ReplyDelta()
                | CellStarted()
                | OutputMade()
                | CallStarted()
                | CellDecided()
                | CellProposed()
                | KernelRestarted()
                | NodeEnded()
                | RunEnded()
            ):
                pass
            case _:
                assert_never(event)
    if isinstance(most, int):
        _send(made.values(), max(most, 1))
    return [_since_question(lane) for lane in made.values()]


def _send(lanes: Iterable[Lane], most: int) -> None:
    """Let each call that asked an LM begin when fewer than ``most`` were on their way: a record
    says when it was asked for, and how many may be in flight."""
    asked = [
        (stretch, lane, at)
        for lane in lanes
        for at, stretch in enumerate(lane.calls)
        if not stretch.child
    ]
    ends: list[float] = []
    for stretch, lane, at in sorted(asked, key=lambda one: (one[0].start, one[0].end)):
        free = heapq.heappop(ends) if len(ends) >= most else stretch.start
        heapq.heappush(ends, stretch.end)
        start = min(max(stretch.start, free), stretch.end)
        lane.calls[at] = dataclasses.replace(stretch, start=start)


def _add(lane: Lane, event: Replied | CellRan | CallEnded) -> None:
    if isinstance(event, CallEnded):
        kind = "failed" if event.error is not None else "call"
        title = f"node {event.child}" if event.child else f"{event.op}, cell {event.cell}"
        ended = event.started + event.seconds
        title = f"{title} · {duration(event.seconds)}"
        child = event.child is not None
        lane.calls.append(Stretch(event.started, ended, kind, title, child=child))
        return
    kind, name = ("turn", f"Turn {event.turn}") if isinstance(event, Replied) else _cell(event)
    begun = event.time - event.seconds
    title = f"{name} · {duration(event.seconds)}"
    lane.busy.append(Stretch(start=begun, end=event.time, kind=kind, title=title))


def _cell(event: CellRan) -> tuple[str, str]:
    return "cell" if event.status == "ok" else "failed", f"Cell {event.cell}"


def _since_question(lane: Lane) -> Lane:
    """Leave out what a prelude did: it is older than the first turn."""
    turns = [stretch.start for stretch in lane.busy if stretch.kind == "turn"]
    first = min(turns, default=0.0)
    busy = [stretch for stretch in lane.busy if stretch.start >= first - 0.001]
    return Lane(lane.node, busy, [call for call in lane.calls if call.start >= first])


def timeline(events: Iterable[Event]) -> Html | None:
    """Draw the run; None where no times are known."""
    every = lanes(events)
    stretches = [stretch for lane in every for stretch in lane.all if stretch.start > 0]
    if not stretches:
        return None
    scale = Scale(min(s.start for s in stretches), max(s.end for s in stretches))
    shown = [_lane(lane, scale) for lane in every[:MAX_LANES] if lane.busy or lane.calls]
    rest = every[MAX_LANES:]
    if rest:
        shown.append(_others(rest, scale))
    return h("div", *shown, _axis(scale), class_="timeline")


def _lane(lane: Lane, scale: Scale) -> Html:
    bars = _busy(lane.busy, scale)
    below, height, told = _calls(lane.calls, scale, _BAR + 3)
    said = [counted(sum(s.kind == "turn" for s in lane.busy), "turn"), told]
    name = h("a", shorten(lane.node, 80), href=f"#{block_id('node', lane.node)}")
    return _row(
        name, [*bars, *below], height, f"Node {lane.node}: {', '.join(filter(None, said))}", told
    )


def _others(rest: Sequence[Lane], scale: Scale) -> Html:
    lives = [
        Stretch(min(s.start for s in lane.all), max(s.end for s in lane.all), "call")
        for lane in rest
        if lane.busy or lane.calls
    ]
    area, peak = _area(lives, scale, 0)
    told = f"{counted(len(rest), 'more node')}, at most {peak:,} at once"
    return _row(escaped(f"+{len(rest):,}"), [area], _AREA, told, told)


def _row(name: Html, drawn: list[Html], height: int, label: str, told: str) -> Html:
    picture = h(
        "svg", *drawn, viewBox=f"0 0 {WIDTH} {height}", height=height,
        preserveAspectRatio="none", role="img", aria_label=label,
    )  # fmt: skip
    note = h("span", told, class_="note") if told else None
    return h("div", h("div", name, class_="lane-name"), h("div", picture, note), class_="lane")


def _calls(calls: list[Stretch], scale: Scale, top: int) -> tuple[list[Html], int, str]:
    """Return the drawing, the height down to its end, and what it says in words."""
    if not calls:
        return [], top, ""
    rows = _packed(calls) if len(calls) <= MAX_BARS else []
    if 0 < len(rows) <= MAX_ROWS:
        peak, height = len(rows), top + len(rows) * _ROW
        drawn = [
            _rect(stretch, scale, top + number * _ROW, _ROW - 1)
            for number, row in enumerate(rows)
            for stretch in row
        ]
    else:
        area, peak = _area(calls, scale, top)
        drawn, height = [area], top + _AREA
    return drawn, height, f"{counted(len(calls), 'sub-call')}, at most {peak:,} at once"


def _packed(stretches: list[Stretch]) -> list[list[Stretch]]:
    """Put stretches in rows without overlap, as few as can be."""
    rows: list[list[Stretch]] = []
    free: list[tuple[float, int]] = []  # when each row ends
    for stretch in sorted(stretches, key=lambda one: one.start):
        if free and free[0][0] <= stretch.start:
            number = heapq.heappop(free)[1]
        else:
            number = len(rows)
            rows.append([])
        rows[number].append(stretch)
        heapq.heappush(free, (stretch.end, number))
    return rows


def _area(stretches: list[Stretch], scale: Scale, top: int) -> tuple[Html, int]:
    """Draw how many there were at once: the most in each of 500 parts of the time. Return the peak
    too."""
    changes = sorted([(s.start, 1) for s in stretches] + [(s.end, -1) for s in stretches])
    most = [0] * (WIDTH // 2)
    now, part = 0, 0
    for time, change in changes:
        here = min(len(most) - 1, max(0, int(scale.x(time) / 2)))
        for between in range(part + 1, here + 1):
            most[between] = max(most[between], now)
        now, part = now + change, here
        most[here] = max(most[here], now)
    peak = max(most)
    bottom = top + _AREA
    steps = [f"H{2 * x}V{bottom - count / (peak or 1) * _AREA:.1f}" for x, count in enumerate(most)]
    return h("path", d=f"M0 {bottom}{''.join(steps)}H{WIDTH}V{bottom}Z", class_="call"), peak


def _busy(stretches: list[Stretch], scale: Scale) -> list[Html]:
    """Draw bars, or for many the share of each kind in each of 250 parts of the time."""
    if len(stretches) <= MAX_BARS:
        return [_rect(stretch, scale, 0, _BAR) for stretch in stretches]
    floor = [0.0] * _PARTS
    drawn = []
    for kind in ("turn", "cell", "failed"):
        shares = _shares([one for one in stretches if one.kind == kind], scale)
        top = [min(1.0, low + share) for low, share in zip(floor, shares, strict=True)]
        drawn.append(_band(floor, top, kind))
        floor = top
    return drawn


def _shares(stretches: list[Stretch], scale: Scale) -> list[float]:
    shares = [0.0] * _PARTS
    for stretch in stretches:
        start, end = (scale.x(time) / WIDTH * _PARTS for time in (stretch.start, stretch.end))
        for part in range(max(0, int(start)), min(_PARTS, int(end) + 1)):
            shares[part] += max(0.0, min(end, part + 1) - max(start, part))
    return shares


def _band(floor: list[float], top: list[float], kind: str) -> Html:
    size = WIDTH // _PARTS
    above = [f"V{_BAR * (1 - y):.1f}H{(part + 1) * size}" for part, y in enumerate(top)]
    below = [f"V{_BAR * (1 - y):.1f}H{part * size}" for part, y in reversed(list(enumerate(floor)))]
    return h("path", d=f"M0 {_BAR}{''.join(above)}{''.join(below)}Z", class_=kind)


def _rect(stretch: Stretch, scale: Scale, y: int, height: int) -> Html:
    x = min(scale.x(stretch.start), WIDTH - 1.5)
    width = max(1.5, scale.x(stretch.end) - x)
    title = h("title", stretch.title) if stretch.title else None
    return h(
        "rect", title, x=f"{x:.1f}", y=y, width=f"{width:.1f}", height=height, class_=stretch.kind
    )


def _axis(scale: Scale) -> Html:
    whole = scale.end - scale.start
    marks = [h("span", duration(whole * quarter / 4)) for quarter in range(5)]
    return h("div", h("div", class_="lane-name"), h("div", *marks, class_="axis"), class_="lane")
