"""Kinds that users ask about records: JSON, JSON lines, settings and logs."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from random import Random

from .kind import Kind, Made, filled, text
from .words import CITIES, FIRST, LAST, SERVICES, START, moment, others, person

SYSTEMS = ("android", "ios", "linux", "windows")
EVENTS = ("login", "logout", "purchase", "search", "view")
LEVELS = ("DEBUG", "INFO", "INFO", "INFO", "WARN", "ERROR")
PATHS = ("/cart", "/checkout", "/export", "/help", "/login", "/orders", "/profile", "/search")
SAID = (
    "request finished", "cache refreshed", "connection reset by peer", "queue drained",
    "retry scheduled", "token renewed", "disk almost full", "upstream timed out",
)  # fmt: skip
LOG_GUIDE = (
    "https://botmonster.com/ai/ai-powered-log-analysis-find-anomalies-server-logs-local-llms/"
)
LATENCY_GUIDE = "https://getloglens.com/blog/posts/diagnose-api-latency-guide"
HOURS = 24


def _nested_count(chance: Random, chars: int) -> Made:
    counted: Counter[tuple[str, str]] = Counter()

    def line(number: int) -> str:
        event, system = chance.choice(EVENTS), chance.choice(SYSTEMS)
        counted[event, system] += 1
        return json.dumps({
            "id": number + 1,
            "at": moment(chance).isoformat(),
            "event": event,
            "user": {"name": person(chance), "city": chance.choice(CITIES)},
            "device": {"os": system, "version": f"{chance.randint(1, 19)}.{chance.randint(0, 9)}"},
        })  # fmt: skip

    lines = filled(chars, line)
    event, system = chance.choice(sorted(counted))
    words = {"event": event, "system": system}
    return Made(context=text(lines), gold=counted[event, system], words=words)


def _two_managers_up(chance: Random, chars: int) -> Made:
    count = max(chars // 110, 12)
    staff = []
    for number in range(count):
        # Below the first three everybody has a manager of a lower number.
        boss = f"E{chance.randrange(max(number // 3, 1)):05}" if number >= 3 else None
        name = f"{chance.choice(FIRST)} {chance.choice(LAST)} {number}"
        staff.append({"id": f"E{number:05}", "name": name, "office": chance.choice(CITIES),
                      "manager": boss})  # fmt: skip
    by_id = {each["id"]: each for each in staff}
    managed = [each for each in staff if each["manager"] is not None]
    found = [each for each in managed if by_id[each["manager"]]["manager"] is not None]
    asked = chance.choice(found or managed)
    top = by_id[asked["manager"]]
    top = by_id[top["manager"]] if found else top
    chance.shuffle(staff)
    gold = str(top["office"])
    hops = "the manager of the manager of" if found else "the manager of"
    words = {"hops": hops, "name": asked["name"]}
    return Made(
        context=json.dumps(staff, indent=1), gold=gold, words=words, others=others(CITIES, gold)
    )


def _changed_settings(chance: Random, chars: int) -> Made:
    keys = [f"{area}.{name}" for area in ("cache", "db", "http", "log", "queue")
            for name in ("host", "level", "limit", "port", "retries", "timeout")]  # fmt: skip
    services = [f"service-{n:04}" for n in range(max(chars // 1300, 3))]
    asked = chance.choice(services)
    folder: dict[str, str] = {}
    gold: list[str] = []
    for service in services:
        values = {key: str(chance.randint(1, 9999)) for key in keys}
        changed = sorted(chance.sample(keys, chance.randint(2, 6)))
        gold = changed if service == asked else gold
        for place in ("staging", "production"):
            now = values | ({k: values[k] + "0" for k in changed} if place == "production" else {})
            folder[f"{place}/{service}.ini"] = text([f"{k} = {v}" for k, v in now.items()])
    rest = tuple(key for key in keys if key not in gold)
    return Made(context=folder, gold=gold, words={"service": asked}, others=rest)


def _log(number: int, chance: Random) -> tuple[str, int, str, str]:
    """Return the time, the hour, the level and the service of a line."""
    when = START + timedelta(seconds=number % 86_400)
    return when.isoformat(sep=" "), when.hour, chance.choice(LEVELS), chance.choice(SERVICES)


def _errors_by_hour(chance: Random, chars: int) -> Made:
    errors: Counter[tuple[str, int]] = Counter()
    step = max(86_400 * 75 // max(chars, 75), 1)

    def line(number: int) -> str:
        when, hour, level, service = _log(number * step, chance)
        errors[service, hour] += level == "ERROR"
        return f"{when} {level:<5} [{service}] {chance.choice(SAID)} id={chance.randrange(10**6)}"

    lines = filled(chars, line)
    service, hour = chance.choice(sorted(+errors or errors))
    words = {"service": service, "start": f"{hour:02}:00", "end": f"{hour:02}:59"}
    return Made(context=text(lines), gold=errors[service, hour], words=words)


def _request(chance: Random, number: int, milliseconds: int, status: int) -> str:
    when = (START + timedelta(seconds=number)).isoformat()
    path = f"{chance.choice(PATHS)}/{chance.randrange(10**5):05}"
    host = f"10.0.{chance.randrange(256)}.{chance.randrange(256)}"
    return f'{host} [{when}] "GET {path}" {status} {milliseconds}ms'


def _slowest(chance: Random, chars: int) -> Made:
    lines = filled(chars, lambda n: _request(chance, n, chance.randint(1, 9000), 200))
    at = chance.randrange(len(lines))
    lines[at] = _request(chance, at, 9000 + chance.randint(50, 900), 200)
    return Made(context=text(lines), gold=lines[at].split('"')[1].removeprefix("GET "))


def _share_of_errors(chance: Random, chars: int) -> Made:
    failed = 0
    bad = chance.randint(5, 30) / 100

    def line(number: int) -> str:
        nonlocal failed
        status = chance.choice((500, 502, 503)) if chance.random() < bad else chance.choice(
            (200, 200, 301, 404))  # fmt: skip
        failed += status >= 500
        return _request(chance, number, chance.randint(1, 5000), status)

    lines = filled(chars, line)
    return Made(context=text(lines), gold=round(100 * failed / len(lines), 1))


def _most_failed_logins(chance: Random, chars: int) -> Made:
    users = [f"{first.lower()}{n}" for n, first in enumerate(FIRST)]
    failed: Counter[str] = Counter()

    def line(number: int) -> str:
        user, ok = chance.choice(users), chance.random() < 0.6
        failed[user] += not ok
        return _login(chance, number, user, ok)

    lines = filled(chars, line)
    worst = failed.most_common(1)[0][0]
    for number in range(5):  # apart by a clear distance
        lines.insert(chance.randrange(len(lines)), _login(chance, number, worst, False))
    return Made(context=text(lines), gold=worst, others=others(users, worst))


def _login(chance: Random, number: int, user: str, ok: bool) -> str:
    when = (START + timedelta(seconds=7 * number)).isoformat()
    said = "Accepted password for" if ok else "Failed password for"
    return f"{when} sshd[{chance.randint(100, 999)}]: {said} {user} from 10.1.2.{number % 256}"


def _first_after_restart(chance: Random, chars: int) -> Made:
    service = chance.choice(SERVICES)
    gold = ""
    at = max(chars // 75, 12) // chance.randint(2, 5)

    def line(number: int) -> str:
        nonlocal gold
        when = (START + timedelta(seconds=number)).isoformat(sep=" ")
        ident = f"r{chance.randrange(16**6):06x}"
        if number == at:
            return f"{when} INFO  [{service}] restarted after update id={ident}"
        level, name = chance.choice(LEVELS), chance.choice(SERVICES)
        if number == at + 4 and not gold:
            level, name = "ERROR", service
        if number > at and not gold and (level, name) == ("ERROR", service):
            gold = ident
        return f"{when} {level:<5} [{name}] {chance.choice(SAID)} id={ident}"

    lines = filled(chars, line, least=at + 6)
    return Made(context=text(lines), gold=gold, words={"service": service})


KINDS = (
    Kind(
        name="nested-count", make=_nested_count, rule="number", suffix=".jsonl",
        wordings=(
            "How many {event} events came from devices with {system}?",
            "Count the records whose event is {event} and whose device.os is {system}.",
            "On {system}, how often did a {event} happen?",
        ),
        sources=("https://github.com/FlowiseAI/Flowise/issues/421",),
    ),
    Kind(
        name="two-managers-up", make=_two_managers_up, rule="text", suffix=".json",
        wordings=(
            "In which city is the office of {hops} {name}?",
            "Take {hops} {name}: where is that person's office?",
            "Look up {name}, follow the field manager to {hops} {name}, and give the office.",
        ),
        sources=("https://github.com/vectara/py-vectara-agentic/pull/71",),
    ),
    Kind(
        name="changed-settings", make=_changed_settings, rule="list", held_out=True,
        wordings=(
            "Which settings of {service} differ between staging and production?",
            "Compare staging/{service}.ini with production/{service}.ini and list the keys whose "
            "values are not equal.",
            "Name every key of {service} that has another value in production than in staging.",
        ),
        sources=("https://github.com/IM-LDY/DOAA/issues/56",),
    ),
    Kind(
        name="errors-by-hour", make=_errors_by_hour, rule="number", suffix=".log",
        wordings=(
            "How many ERROR lines did the service {service} log from {start} to {end}?",
            "Count the errors of {service} between {start} and {end}.",
            "Between {start} and {end}, how often does [{service}] appear with the level ERROR?",
        ),
        sources=(LOG_GUIDE,),
    ),
    Kind(
        name="slowest", make=_slowest, rule="text", suffix=".log",
        wordings=(
            "Which path was the slowest request for?",
            "Find the request that took the longest and give its path.",
            "What is the path of the line with the greatest number of milliseconds?",
        ),
        sources=(LATENCY_GUIDE,),
    ),
    Kind(
        name="share-of-errors", make=_share_of_errors, rule="number", suffix=".log",
        held_out=True,
        wordings=(
            "What percentage of the requests failed with a 5xx status? Round to one decimal.",
            "Give the share of server errors (status 500 and above) in per cent, to one decimal "
            "place.",
            "How many per cent of all lines have a status of 500 or more? One decimal.",
        ),
        sources=(LATENCY_GUIDE,),
    ),
    Kind(
        name="most-failed-logins", make=_most_failed_logins, rule="text", suffix=".log",
        wordings=(
            "Which user has the most failed logins?",
            "Whose password was refused most often?",
            "Name the account with the largest number of 'Failed password' lines.",
        ),
        sources=("https://paysyslabs-l2-training.netlify.app/week5/day5-ai-log-analysis",),
    ),
    Kind(
        name="first-after-restart", make=_first_after_restart, rule="text", suffix=".log",
        held_out=True,
        wordings=(
            "What is the id of the first ERROR of {service} after it was restarted?",
            "Find where {service} restarted, then the next ERROR of {service}, and give its id.",
            "After the restart of {service}: which id does its first error line carry?",
        ),
        sources=(LOG_GUIDE,),
    ),
)  # fmt: skip
