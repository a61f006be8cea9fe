"""Kinds about real prose that a machine has: licences and changelogs of Debian's packages, the
help of Python, quotations. The answers are found by parsing.

What is there differs from machine to machine, and so do these tasks.
"""

from __future__ import annotations

import gzip
import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pydoc_data import topics
from random import Random

from .kind import Kind, Made, text

LICENCES = Path("/usr/share/common-licenses")
DOCS = Path("/usr/share/doc")
FORTUNES = Path("/usr/share/games/fortunes")
LONGEST_LOG = 4_000_000
_UPLOAD = re.compile(r"^(\S+) \(([^)]+)\) .*?^ -- (.+?) <[^>]*>  (.+?)$", re.MULTILINE | re.DOTALL)
_AUTHOR = re.compile(r"^\s+-- ([A-Z][\w.]+(?: [A-Z][\w.]+)+)$", re.MULTILINE)


@dataclass(frozen=True)
class Upload:
    """One entry of a changelog, with its text."""

    package: str
    version: str
    who: str
    year: int
    said: str


# licences and help: which text has a sentence
@cache
def _licences() -> dict[str, str]:
    files = sorted(p for p in LICENCES.glob("*") if p.is_file() and not p.is_symlink())
    return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in files}


@cache
def _help() -> dict[str, str]:
    return {f"{name}.txt": said for name, said in sorted(topics.topics.items())}


def _text_of(every: dict[str, str], chance: Random, chars: int) -> Made:
    names = sorted(every)
    chance.shuffle(names)
    folder = _some(names, every, chars)
    flat = {name: " ".join(said.split()) for name, said in folder.items()}
    while True:
        gold = chance.choice(sorted(folder))
        sentence = chance.choice(re.split(r"(?<=\.) ", flat[gold]))
        if 60 <= len(sentence) <= 220 and sum(sentence in said for said in flat.values()) == 1:
            break
    rest = tuple(name for name in folder if name != gold)
    return Made(context=folder, gold=gold, words={"sentence": sentence}, others=rest)


def _some(names: Iterable[str], every: dict[str, str], chars: int) -> dict[str, str]:
    """Return texts until they have so many characters, two at least."""
    found: dict[str, str] = {}
    for name in names:
        found[name] = every[name]
        chars -= len(every[name])
        if chars <= 0 and len(found) > 1:
            break
    return found


def _licence_of(chance: Random, chars: int) -> Made:
    return _text_of(_licences(), chance, chars)


def _topic_of(chance: Random, chars: int) -> Made:
    return _text_of(_help(), chance, chars)


# changelogs
@cache
def _logs() -> tuple[Path, ...]:
    return tuple(sorted(DOCS.glob("*/changelog.Debian.gz")))


@cache
def _uploads(path: Path) -> tuple[Upload, ...]:
    """Return the entries of a changelog, newest first."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        told = file.read(LONGEST_LOG)
    found = []
    for match in _UPLOAD.finditer(told):
        package, version, who, date = match.groups()
        year = re.search(r"\b(?:19|20)\d\d\b", date)
        if year is not None:
            found.append(Upload(package, version, who, int(year[0]), match[0]))
    return tuple(found)


def _log_folder(chance: Random, chars: int) -> dict[str, tuple[Upload, ...]]:
    """Return the entries of changelogs by package, so many characters of them."""
    paths = list(_logs())
    chance.shuffle(paths)
    found: dict[str, tuple[Upload, ...]] = {}
    for path in paths:
        if len(kept := _newest(_uploads(path), chars)) > 1:
            found[path.parent.name] = kept
            chars -= sum(len(each.said) for each in kept)
        if chars <= 0:
            break
    return found


def _newest(uploads: tuple[Upload, ...], chars: int) -> tuple[Upload, ...]:
    kept = []
    for upload in uploads:
        kept.append(upload)
        chars -= len(upload.said)
        if chars <= 0 and len(kept) > 1:
            break
    return tuple(kept)


def _changelogs(logs: dict[str, tuple[Upload, ...]]) -> dict[str, str]:
    return {
        f"{name}/changelog": text([f"{each.said}\n" for each in uploads])
        for name, uploads in logs.items()
    }


def _uploader(chance: Random, chars: int) -> Made:
    logs = _log_folder(chance, chars)
    name = chance.choice(sorted(logs))
    versions = Counter(each.version for each in logs[name])
    asked = chance.choice([each for each in logs[name] if versions[each.version] == 1])
    words = {"name": name, "version": asked.version}
    return Made(context=_changelogs(logs), gold=asked.who, words=words)


def _uploads_in_year(chance: Random, chars: int) -> Made:
    logs = _log_folder(chance, chars)
    name = chance.choice(sorted(logs))
    years = Counter(each.year for each in logs[name])
    year = chance.choice(sorted(years))
    words = {"name": name, "year": year}
    return Made(context=_changelogs(logs), gold=years[year], words=words)


# quotations
@cache
def _quotations() -> tuple[tuple[str, str], ...]:
    """Return what was said, with who said it, once each."""
    found = {}
    for path in sorted(p for p in FORTUNES.glob("*") if p.is_file() and not p.suffix):
        for part in path.read_text(encoding="utf-8", errors="replace").split("\n%\n"):
            authors = _AUTHOR.findall(part)
            if len(authors) == 1 and len(part) > 60:
                found[part] = authors[0]
    return tuple(found.items())


def _said_by(chance: Random, chars: int) -> Made:
    every = list(_quotations())
    chance.shuffle(every)
    kept = []
    for part, who in every:
        kept.append((part, who))
        chars -= len(part) + 3
        if chars <= 0 and len(kept) > 5:
            break
    part, who = chance.choice(kept)
    start = textwrap.shorten(part, 70, placeholder="")
    rest = tuple({name for _, name in kept} - {who})
    context = "\n%\n".join(part for part, _ in kept) + "\n"
    return Made(context=context, gold=who, words={"start": start}, others=rest)


def _no_licences() -> str | None:
    return None if len(_licences()) > 1 else f"{LICENCES} has no texts (Debian's base-files)"


def _no_logs() -> str | None:
    return None if len(_logs()) > 10 else f"{DOCS} has no changelogs (Debian's packages)"


def _no_fortunes() -> str | None:
    return None if len(_quotations()) > 20 else "apt-get install fortunes brings the quotations"


_SENTENCE = (
    'Which of the texts has this sentence: "{sentence}"? Give its name.',
    'Name the file in which it says: "{sentence}" (line breaks may differ).',
    'Where does "{sentence}" stand? Answer with the name of the file.',
)
KINDS = (
    Kind(name="licence-of", make=_licence_of, rule="text", wordings=_SENTENCE,
         missing=_no_licences),
    Kind(name="topic-of", make=_topic_of, rule="text", wordings=_SENTENCE, held_out=True),
    Kind(
        name="uploader", make=_uploader, rule="text", missing=_no_logs,
        wordings=(
            "Who uploaded version {version} of {name}? Give the name.",
            "Under {name}, whose name stands below the entry of {version}?",
            "Name the person who signed {name} {version}.",
        ),
    ),
    Kind(
        name="uploads-in-year", make=_uploads_in_year, rule="number", missing=_no_logs,
        held_out=True,
        wordings=(
            "How many entries of {name}'s changelog are from {year}?",
            "Count the versions of {name} that were signed in {year}.",
            "In {year}, how many uploads did {name} have?",
        ),
    ),
    Kind(
        name="said-by", make=_said_by, rule="text", missing=_no_fortunes,
        wordings=(
            'Who is named as the author of the quotation that begins "{start}"?',
            'By whom is "{start} ..."?',
            'Give the name below the quotation "{start} ...".',
        ),
    ),
)  # fmt: skip
