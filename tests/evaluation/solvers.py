"""Answers to the kinds of an evaluation, found in the context alone: by other code than the one
that made it."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import combinations
from statistics import fmean
from typing import Any

from rlm_kernel.evaluation.sets import labels
from rlm_kernel.evaluation.sets.asked_texts import DISLIKED, NUMBERS, TROUBLES

Words = Mapping[str, Any]
Solver = Callable[[Any, Words], Any]


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _amount(row: Mapping[str, str]) -> float:
    return int(row["quantity"]) * float(row["price"])


def _best_average(text: str, words: Words) -> str:
    paid: defaultdict[str, list[int]] = defaultdict(list)
    for row in _rows(text):
        paid[row["department"]].append(int(row["salary"]))
    return max(paid, key=lambda name: fmean(paid[name]))


def _join(folder: Mapping[str, str], words: Words) -> float:
    ours = {r["customer"] for r in _rows(folder["customers.csv"]) if r["city"] == words["city"]}
    return round(sum(_amount(r) for r in _rows(folder["orders.csv"]) if r["customer"] in ours), 2)


def _never(folder: Mapping[str, str], words: Words) -> int:
    every = {r["customer"] for r in _rows(folder["customers.csv"])}
    return len(every - {r["customer"] for r in _rows(folder["orders.csv"])})


def _top_three(text: str, words: Words) -> list[str]:
    sold: Counter[str] = Counter()
    for row in _rows(text):
        sold[row["product"]] += int(row["quantity"])
    return sorted(sold, key=lambda name: -sold[name])[:3]


def _month(written: str) -> str:
    for way in ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y"):
        try:
            return f"{datetime.strptime(written, way):%B}"
        except ValueError:
            continue
    raise AssertionError(written)


def _kilograms(row: Mapping[str, str]) -> float:
    amount, unit = row["weight"].split()
    return int(amount) * {"g": 0.001, "kg": 1, "t": 1000}[unit]


def _two_up(text: str, words: Words) -> str:
    staff = {each["id"]: each for each in json.loads(text)}
    [now] = [each for each in staff.values() if each["name"] == words["name"]]
    for _ in range(words["hops"].count("manager")):
        now = staff[now["manager"]]
    return str(now["office"])


def _changed(folder: Mapping[str, str], words: Words) -> list[str]:
    one, two = (dict(line.split(" = ") for line in folder[f"{place}/{words['service']}.ini"]
                     .splitlines()) for place in ("staging", "production"))  # fmt: skip
    return sorted(key for key in one if one[key] != two[key])


def _errors(text: str, words: Words) -> int:
    hour = words["start"][:2]
    return len(re.findall(rf"^\S+ {hour}:\S+ ERROR \[{words['service']}\]", text, re.MULTILINE))


def _slowest(text: str, words: Words) -> str:
    found = re.findall(r'"GET (\S+)" \d+ (\d+)ms', text)
    return str(max(found, key=lambda pair: int(pair[1]))[0])


def _share(text: str, words: Words) -> float:
    statuses = re.findall(r'" (\d{3}) ', text)
    return round(100 * sum(s[0] == "5" for s in statuses) / len(statuses), 1)


def _restart(text: str, words: Words) -> str:
    after = text[text.index(f"[{words['service']}] restarted") :]
    found = re.search(rf"ERROR \[{words['service']}\].*id=(\w+)", after)
    assert found is not None
    return found[1]


def _mails(folder: Mapping[str, str], words: Words) -> str:
    [mail] = [m for m in folder.values() if m.startswith(f"From: {words['sender']} ")
              and f"for the {words['product']}.\n" in m]  # fmt: skip
    return re.findall(r"INV-\d+", mail)[0]


def _unanswered(folder: Mapping[str, str], words: Words) -> list[str]:
    heads = re.compile(r"^(?:From|Subject): (.*)$", re.MULTILINE)
    mails = [heads.findall(mail) for mail in folder.values()]
    answered = {subject.removeprefix("Re: ") for _, subject in mails if subject[:4] == "Re: "}
    asked = [(who, subject) for who, subject in mails if subject[:4] != "Re: "]
    return sorted({who.split(" <")[0] for who, subject in asked if subject not in answered})


def _notice(folder: Mapping[str, str], words: Words) -> int:
    [text] = [t for t in folder.values() if t.split("\n")[0].endswith(f" with {words['firm']}")]
    days = {said: number for number, said in NUMBERS.items()}
    return days[re.findall(rf"({'|'.join(days)}) days", text)[-1]]


def _reviews(text: str, words: Words) -> int:
    lines = [line for line in text.splitlines() if f"] {words['product']}, " in line]
    return sum(not line.endswith(DISLIKED) for line in lines)


def _trouble(text: str, words: Words) -> str:
    found = {topic: sum(text.count(said) for said in every) for topic, every in TROUBLES.items()}
    return max(found, key=lambda topic: found[topic])


def _does(folder: Mapping[str, str], words: Words) -> str:
    who = re.findall(rf"that (.*) takes care of the {words['job']}", folder["minutes.txt"])[0]
    return dict(line.split(": ") for line in folder["staff.txt"].splitlines())[who]


# labels, judged by the sentences that they are made of
def _label(said: str) -> str:
    for label, every in labels.ABOUT.items():
        for form in every:
            if re.fullmatch(re.sub(r"\\\{\w+\\\}", r"\\w+", re.escape(form)), said):
                return label
    raise AssertionError(said)


def _labelled(text: str) -> list[tuple[str, str, str]]:
    """Return the date, the user and the label of each line."""
    return [(*parts[:2], _label(parts[2])) for line in text.splitlines()
            if (parts := line.split(" | "))]  # fmt: skip


def _counted(text: str) -> list[str]:
    return [label for label, _ in Counter(e[2] for e in _labelled(text)).most_common()]


def _more(text: str, words: Words) -> str:
    order = _counted(text)
    return str(min((words["one"], words["two"]), key=order.index))


def _pairs(text: str, words: Words) -> int:
    users = {user for _, user, label in _labelled(text) if label == words["label"]}
    return len(list(combinations(users, 2)))


# sources, by searching lines where ``ast`` was used and the other way round
def _trees(folder: Mapping[str, str]) -> list[tuple[str, ast.AST]]:
    return [(p, node) for p, text in folder.items() for node in ast.walk(ast.parse(text))]


def _subclasses(folder: Mapping[str, str], words: Words) -> list[str]:
    return sorted({node.name for _, node in _trees(folder) if isinstance(node, ast.ClassDef)
                   and any(ast.unparse(base) == words["base"] for base in node.bases)})  # fmt: skip


def _file_of(folder: Mapping[str, str], words: Words) -> str:
    defined = re.compile(rf"^\s*(?:def|class) {words['name']}\b", re.MULTILINE)
    [path] = [path for path, text in folder.items() if defined.search(text)]
    return path


def _undocumented(folder: Mapping[str, str], words: Words) -> int:
    tree = ast.parse(folder[words["path"]])
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return sum(ast.get_docstring(n) is None for n in ast.walk(tree) if isinstance(n, kinds))


def _default(folder: Mapping[str, str], words: Words) -> str:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for _, node in _trees(folder) if isinstance(node, kinds)]
    [found] = [node for node in functions if node.name == words["name"]]
    names = [a.arg for a in [*found.args.posonlyargs, *found.args.args]]
    at = names.index(words["parameter"]) - len(names)
    return str(ast.literal_eval(found.args.defaults[at]))


def _raises(folder: Mapping[str, str], words: Words) -> int:
    return sum(isinstance(n, ast.Raise) and ast.unparse(n).startswith(f"raise {words['name']}(")
               for _, n in _trees(folder))  # fmt: skip


def _holds(folder: Mapping[str, str], words: Words) -> str:
    [name] = [n for n, text in folder.items() if words["sentence"] in " ".join(text.split())]
    return name


def _uploader(folder: Mapping[str, str], words: Words) -> str:
    log = folder[f"{words['name']}/changelog"]
    entry = log[log.index(f"{words['name_in_log']} ({words['version']})") :]
    return re.findall(r"^ -- (.*?) <", entry, re.MULTILINE)[0]


def _said_by(text: str, words: Words) -> str:
    parts = text.split("\n%\n")
    said = next(part for part in parts if " ".join(part.split()).startswith(words["start"]))
    return str(re.findall(r"-- (.*)", said)[-1])


SOLVERS: dict[str, Solver] = {
    "count-filtered": lambda t, w: sum(
        (r["country"], r["status"]) == (w["country"], w["status"]) for r in _rows(t)),
    "sum-filtered": lambda t, w: round(
        sum(_amount(r) for r in _rows(t) if r["product"] == w["product"]), 2),
    "best-average": _best_average,
    "join": _join,
    "never-ordered": _never,
    "top-three": _top_three,
    "distinct": lambda t, w: len({r["email"].strip().lower() for r in _rows(t)}),
    "mixed-dates": lambda t, w: sum(_month(r["date"]) == w["month"] for r in _rows(t)),
    "units": lambda t, w: round(
        sum(_kilograms(r) for r in _rows(t) if r["product"] == w["product"]), 3),
    "missing": lambda t, w: sum(
        r["country"] == w["country"] and r["phone"] in ("", "n/a", "-") for r in _rows(t)),
    "nested-count": lambda t, w: sum(
        (e["event"], e["device"]["os"]) == (w["event"], w["system"])
        for e in map(json.loads, t.splitlines())),
    "two-managers-up": _two_up,
    "changed-settings": _changed,
    "errors-by-hour": _errors,
    "slowest": _slowest,
    "share-of-errors": _share,
    "most-failed-logins": lambda t, w: Counter(
        re.findall(r"Failed password for (\w+)", t)).most_common(1)[0][0],
    "first-after-restart": _restart,
    "messages-by-person": lambda t, w: len(
        re.findall(rf"^{w['day']}, \S+ - {w['who']}:", t, re.MULTILINE)),
    "last-agreement": lambda t, w: re.findall(r"hike.* at (\d+:\d+)", t)[-1],
    "invoice-in-mail": _mails,
    "unanswered": _unanswered,
    "open-tasks": lambda f, w: "".join(f.values()).count("- [ ] ") and len(
        re.findall(rf"- \[ \] .*@{w['name']}\n", "".join(f.values()))),
    "budget": lambda f, w: sum(
        int(n.replace(",", "")) for n in
        re.findall(rf"\| {w['item']} \| ([\d,]+) EUR", "".join(f.values()))),
    "notice": _notice,
    "judged-reviews": _reviews,
    "judged-trouble": _trouble,
    "who-does-it": _does,
    "count": lambda t, w: sum(e[2] == w["label"] for e in _labelled(t)),
    "most": lambda t, w: _counted(t)[0],
    "least": lambda t, w: _counted(t)[-1],
    "more": _more,
    "of-user": lambda t, w: sum(e[1:] == (w["user"], w["label"]) for e in _labelled(t)),
    "in-month": lambda t, w: sum(
        _month(e[0]) == w["month"] and e[2] == w["label"] for e in _labelled(t)),
    "pairs": _pairs,
    "value": lambda t, w: re.findall(rf"locker of {w['name']} opens with (\w+)", t)[0],
    "changed": lambda t, w: re.findall(rf"spare {w['product']} is kept in (\w+)", t)[-1],
    "several": lambda t, w: sorted(re.findall(rf"{w['name']} once lived in (\w+)", t)),
    "absent": lambda t, w: "none" if f"locker of {w['name']} " not in t else "there",
    "subclasses": _subclasses,
    "file-of": _file_of,
    "undocumented": _undocumented,
    "default": _default,
    "raises": _raises,
    "licence-of": _holds,
    "topic-of": _holds,
    "uploader": lambda f, w: _uploader(f, {**w, "name_in_log": f[f"{w['name']}/changelog"]
                                           .split(" (")[0]}),
    "uploads-in-year": lambda f, w: len(re.findall(
        rf"^ -- .*> .*\b{w['year']}\b", f[f"{w['name']}/changelog"], re.MULTILINE)),
    "said-by": _said_by,
}  # fmt: skip
"""By the names of kinds; those that are made elsewhere are not here."""
