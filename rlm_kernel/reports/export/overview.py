"""The top of the page: question, answer, totals, where the answer came from, the tree of nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...record.checks import checks_of
from ...record.markdown import one_line, shorten
from ...record.numbers import counted, duration, price, spent, unanswered
from ...record.provenance import FlowStep, Origin, Span
from ...record.recording import Recording
from ...record.signing.verifying import in_words
from ...record.summary import RUNNING, Node, Tree, in_order
from ..provenance_of import Origins
from . import texts
from .markup import Html, block_id, h, joined

MOST_STEPS = 12
MOST_SPANS = 10
MOST_NODES = 50
FEW_NODES = 4
MAX_NODES = 500
_LONG_QUESTION = 280
_LONG_TITLE = 90


# -- question and answer --------------------------------------------------------------------------
def head(recording: Recording) -> Html:
    tree = recording.tree
    root = tree.nodes[0]
    whole = None
    title = one_line(root.question) or "Cells run by hand"
    if len(title) > _LONG_QUESTION or "\n" in root.question.strip():
        whole = h("details", h("summary", "The whole question"), texts.folded(root.question))
    size = "long" if len(title) > _LONG_TITLE else None
    name = h("h1", shorten(title, _LONG_QUESTION), class_=size)
    return joined(name, whole, _facts(tree), _problems(recording))


def _facts(tree: Tree) -> Html:
    root = tree.nodes[0]
    facts = [
        ("Model", shorten(one_line(root.model), 80)),
        ("Turns", f"{tree.turns:,}"),
        ("Sub-calls", f"{tree.calls:,}"),
        ("Nodes", f"{len(tree.nodes):,}" if len(tree.nodes) > 1 else ""),
        ("Tokens", f"{tree.usage.tokens:,}"),
        ("Cost", price(tree.usage)),
        ("Time", duration(root.seconds)),
    ]
    shown = [h("div", h("dt", name), h("dd", value)) for name, value in facts if value]
    ends = Counter(node.status for node in tree.nodes[1:] if node.status != RUNNING)
    children = unanswered(ends)
    beside = h("span", children, class_="pill bad") if children else None
    return joined(h("p", joined(_pill(root), beside, by=" ")), h("dl", *shown, class_="facts"))


def _pill(node: Node) -> Html:
    kind = {"answered": "good", RUNNING: "plain"}.get(node.status, "bad")
    return h("span", node.status, class_=f"pill {kind}")


def _problems(recording: Recording) -> Html | None:
    told = recording.problems[:20]
    if recording.alone:
        told = ["Made from a notebook alone: prompts, times and cells of children are missing."]
    if not told:
        return None
    items = [h("li", shorten(text, 400)) for text in told]
    more = len(recording.problems) - len(told)
    if more > 0 and not recording.alone:
        items.append(h("li", f"and {counted(more, 'problem')} more"))
    return h("ul", *items, class_="problems", aria_label="What is wrong with the record")


def answer(recording: Recording) -> Html:
    root = recording.root
    if root.answer is None:
        said = "The run is still going, or was killed." if root.status == RUNNING else root.reason
        return joined(h("h2", "No answer"), h("p", said or root.status))
    name = "Answer" if root.confirmed else "Unconfirmed answer"
    said = "Not sure" if root.status == "answered" else "The best so far"
    reason = h("p", f"{said}: {root.reason}", class_="note") if root.reason else None
    shown = [texts.answer(root.answer), reason, texts.evidence(root)]
    return joined(h("h2", name), *shown, texts.checks(checks_of(recording.events, root.id)))


# -- where it came from ---------------------------------------------------------------------------
def provenance(found: Origins) -> Html | None:
    if not found.nodes or not found.nodes[0].steps:
        return None
    first = found.nodes[0]
    intro = "Traced back through the cells' sources: likely, not proven."
    return joined(
        h("h2", "Where it came from"),
        h("p", intro, class_="note"),
        _way(first, ""),
        _below(found.nodes[1:]),
        _covered(found),
    )


def _below(nodes: list[Origin]) -> Html | None:
    """Tell the same of the children whose replies can have reached the answer."""
    if not nodes:
        return None
    ways = [_way(node, f"Node {shorten(node.node, 80)}") for node in nodes[:MOST_NODES]]
    more = len(nodes) - len(ways)
    ways += [h("p", f"and {counted(more, 'more node')}", class_="note")] if more > 0 else []
    if len(nodes) <= FEW_NODES:
        return joined(*ways)
    return h("details", h("summary", f"In {counted(len(nodes), 'node')} below"), *ways)


def _way(node: Origin, title: str) -> Html:
    items = [h("li", _step(node, step)) for step in node.steps[:MOST_STEPS]]
    more = len(node.steps) - len(items)
    rest = h("p", f"and {counted(more, 'more cell')}", class_="note") if more > 0 else None
    name = h("h3", title) if title else None
    return joined(name, h("ol", *items, class_="way"), rest)


def _step(node: Origin, step: FlowStep) -> Html:
    link = h("a", f"Cell {step.cell}", href=f"#{block_id('cell', node.node, step.cell)}")
    names = joined(*(h("code", name) for name in step.names[:6]), by=" ")
    said = {
        "answer": joined("gave the answer"),
        "bound": joined("made ", names, " …" if len(step.names) > 6 else ""),
        "shown": joined("showed what the answer says"),
        "seen": joined("was read before the answer was written"),
    }[step.why]
    reads = joined(" · reads ", h("code", "context")) if step.reads_context else None
    return joined(link, " ", said, reads, _asked(node, step))


def _asked(node: Origin, step: FlowStep) -> Html | None:
    made = [i for i, call in enumerate(node.calls) if call.cell == step.cell]
    if not made:
        return None
    link = h(
        "a", counted(len(made), "sub-call"), href="#calls", data_only=f"{node.node}:{step.cell}"
    )
    literal = len(set(made) & set(node.literal))
    if not literal:
        return joined(" · ", link)
    which = f"{literal:,} of the replies appear"
    if literal == len(made):
        which = "its reply appears" if literal == 1 else "all replies appear"
    return joined(" · ", link, " · ", h("em", f"{which} in the answer word for word"))


def _covered(found: Origins) -> Html:
    name = h("h3", "Parts of the context")
    covered = found.covered
    if covered is None:
        return joined(name, h("p", f"Not known: {found.unknown}.", class_="note"))
    if not covered.spans:
        return joined(name, h("p", "The prompts hold no part of it word for word.", class_="note"))
    told = (
        f"The prompts held {covered.share:.1%} of the context, in "
        f"{counted(len(covered.spans), 'part')} (approximate: exact matches only). The bar is the "
        "context from its beginning to its end; blue is what sub-LMs read."
    )
    largest = sorted(covered.spans, key=lambda span: span.start - span.end)[:MOST_SPANS]
    items = [h("li", _span(span)) for span in sorted(largest, key=covered.spans.index)]
    more = len(covered.spans) - len(items)
    if more > 0:
        items.append(h("li", f"and {counted(more, 'more part')}"))
    listed = h("details", h("summary", "The largest parts"), h("ul", *items))
    return joined(name, h("p", told), _strip(found), listed)


def _strip(found: Origins) -> Html:
    """Draw the context from its beginning to its end, with the given parts filled in."""
    covered = found.covered
    assert covered is not None
    width, filled = 500, set[int]()
    for start, end in (one for ranges in covered.calls for one in ranges):
        first, last = (at * width // max(covered.length, 1) for at in (start, end - 1))
        filled.update(range(first, last + 1))
    marks = [h("rect", x=x, y=0, width=1, height=10) for x in sorted(filled)]
    return h(
        "svg", *marks, viewBox=f"0 0 {width} 10", height=14, preserveAspectRatio="none",
        role="img", class_="strip", aria_label=f"{covered.share:.1%} of the context was given",
    )  # fmt: skip


def _span(span: Span) -> str:
    lines = f"lines {span.first_line:,}–{span.last_line:,}"
    if span.first_line == span.last_line:
        lines = f"line {span.first_line:,}"
    where = [shorten(one_line(span.where), 120)] if span.where else []
    return " · ".join([*where, lines, f"characters {span.start:,}–{span.end:,}"])


# -- nodes ----------------------------------------------------------------------------------------
def nodes(tree: Tree) -> Html:
    """Show the tree as a table: what each node used by itself."""
    names = ["Node", "Status", "Turns", "Sub-calls", "Tokens", "Cost", "Time"]
    top = h("tr", *(h("th", name, scope="col") for name in names))
    most = max(node.own.tokens for node in tree.nodes)
    shown = in_order(tree.nodes)[:MAX_NODES]
    rows = [_row(node, tree.nodes[0].depth, most, names[1:]) for node in shown]
    more = len(tree.nodes) - len(rows)
    if more > 0:
        rows.append(h("tr", h("td", f"and {more:,} more, in the record", colspan=len(names))))
    whole = tree.nodes[0]
    sizes = [f"{tree.turns:,}", f"{tree.calls:,}", f"{tree.usage.tokens:,}", price(tree.usage)]
    total = _cells(["", *sizes, duration(whole.seconds)], names[1:])
    foot = h("tr", h("th", "All", scope="row"), *total)
    table = h("table", h("thead", top), h("tbody", *rows), h("tfoot", foot), class_="nodes")
    inside = h("div", table, class_="scroll", tabindex=0, role="region", aria_label="Nodes")
    return joined(h("h2", "Nodes"), inside)


def _cells(texts: Sequence[str], names: Sequence[str]) -> list[Html]:
    """Return cells that say what they are, for where the table has no head."""
    return [h("td", text, data_name=name) for text, name in zip(texts, names, strict=True)]


def _row(node: Node, depth: int, most: int, names: Sequence[str]) -> Html:
    level = min(max(node.depth - depth, 0), 6)
    link = h("a", shorten(one_line(node.id), 80), href=f"#{block_id('node', node.id)}")
    question = one_line(node.question)
    brief = f"{question[:100].rstrip()} …" if len(question) > 102 else question
    asked = h("span", brief, class_="note")
    bar = h(
        "svg", h("rect", x=0, y=0, height=3, width=f"{100 * node.own.tokens / (most or 1):.1f}"),
        viewBox="0 0 100 3", height=3, preserveAspectRatio="none", class_="bar", aria_hidden="true",
    )  # fmt: skip
    return h(
        "tr",
        h("th", link, asked, scope="row", class_=f"level{level}"),
        *_cells(
            [
                node.status,
                f"{node.turns:,}",
                f"{node.calls:,}",
                joined(f"{node.own.tokens:,}", bar),
                price(node.own),
                duration(node.seconds),
            ],
            names,
        ),
    )


def footer(recording: Recording, versions: str) -> Html:
    tree = recording.tree
    told = [f"Run {tree.run}" if tree.run else "", in_words(recording), spent(tree.usage)]
    return h("p", " · ".join(filter(None, [*told, versions])))
