"""Kinds that users ask about texts: chats, mails, notes, contracts, reviews and minutes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random

from .kind import Kind, Made, filled, text
from .words import CITIES, FILLER, FIRST, PRODUCTS, START, moment, others, people

WHATSAPP = "http://datascience.sharerecipe.net/2019/04/29/build-your-own-whatsapp-chat-analyzer/"
REVIEWS = "https://insightpulse.substack.com/p/categorization-of-product-reviews"
SMALL_TALK = (
    "see you later", "thanks, that helps", "I am on the train", "who brings the cake?",
    "the link does not work for me", "good morning all", "can somebody call me back",
    "I left my umbrella there", "that was fun yesterday", "no idea, sorry",
)  # fmt: skip
LIKED = (
    "It does all I hoped for, and I would take it again.",
    "Well made, and a pleasure to use every day.",
    "My best purchase of the year, the whole family agrees.",
    "I doubted it at first, but it has never let me down.",
    "Worth every coin, I have told my friends about it.",
)
DISLIKED = (
    "It came apart within a week and nobody answered my letters.",
    "A waste of money, I sent it back the next day.",
    "I had hoped for much, and it failed at the first try.",
    "Not once did it do what the box promises.",
    "My neighbour warned me, and I should have listened.",
)
TROUBLES = {
    "delivery": (
        "The parcel is ten days late and the courier knows nothing.",
        "It was left in the rain in front of the wrong house.",
        "I waited all day and no van came.",
    ),
    "payment": (
        "My card was charged twice for one purchase.",
        "The refund has not reached my account.",
        "The invoice shows a sum that I never agreed to.",
    ),
    "quality": (
        "The handle broke off when I picked it up.",
        "There are scratches all over the lid.",
        "It stopped working after two hours.",
    ),
}
NUMBERS = {30: "thirty", 45: "forty-five", 60: "sixty", 90: "ninety", 120: "one hundred and twenty"}


def _stamp(number: int, step: int) -> str:
    return (START + timedelta(minutes=number * step)).strftime("%d/%m/%Y, %H:%M")


def _messages_by_person(chance: Random, chars: int) -> Made:
    members = chance.sample(FIRST, 6)
    step = max(1440 * 30 * 55 // max(chars, 55), 1)
    counted: Counter[tuple[str, str]] = Counter()

    def line(number: int) -> str:
        when, who = _stamp(number, step), chance.choice(members)
        counted[who, when[:10]] += 1
        return f"{when} - {who}: {chance.choice(SMALL_TALK)}"

    lines = filled(chars, line)
    who, day = chance.choice(sorted(counted))
    words = {"who": who, "day": day}
    return Made(context=text(lines), gold=counted[who, day], words=words)


def _last_agreement(chance: Random, chars: int) -> Made:
    members = chance.sample(FIRST, 6)
    lines = filled(chars, lambda n: f"{_stamp(n, 3)} - {chance.choice(members)}: "
                                    f"{chance.choice(SMALL_TALK)}")  # fmt: skip
    times = chance.sample([f"{h}:{m:02}" for h in range(8, 20) for m in (0, 15, 30, 45)], 3)
    places = sorted(chance.sample(range(1, len(lines)), 3))
    for place, time in zip(places, times, strict=True):
        head = lines[place].split(": ")[0]
        what = "let us meet for the hike" if time == times[0] else "change of plan: the hike starts"
        lines[place] = f"{head}: {what} at {time}"
    return Made(context=text(lines), gold=times[2], others=(times[0], times[1]))


def _mail(sender: str, to: str, subject: str, body: str, number: int) -> str:
    date = (START + timedelta(hours=number)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    address = "{} <{}@example.org>".format
    of, at = address(sender, sender.split()[0].lower()), address(to, to.split()[0].lower())
    return text([f"From: {of}", f"To: {at}", f"Subject: {subject}", f"Date: {date}", "", body])


def _invoice_in_mail(chance: Random, chars: int) -> Made:
    count = max(chars // 280, 6)
    names = people(chance, 20)
    pairs = [(name, product) for name in names for product in PRODUCTS]
    chance.shuffle(pairs)
    invoices = [f"INV-{chance.randint(10**5, 10**6 - 1)}" for _ in range(count)]
    folder: dict[str, str] = {}
    for number, invoice in enumerate(invoices):
        sender, product = pairs[number % len(pairs)]
        # Later mails of a pair that was used up are about something else.
        about = product if number < len(pairs) else f"{product} spare parts"
        body = (f"{chance.choice(FILLER)}\n\nPlease find attached our invoice {invoice} for the "
                f"{about}.\n\n{chance.choice(FILLER)}")  # fmt: skip
        folder[f"{number:05}.eml"] = _mail(sender, "Office Desk", f"Your {about}", body, number)
    asked = chance.randrange(min(count, len(pairs)))
    sender, product = pairs[asked]
    words = {"sender": sender, "product": product}
    return Made(context=folder, gold=invoices[asked], words=words)


def _unanswered(chance: Random, chars: int) -> Made:
    count = min(max(chars // 2 // 170, 6), 500)
    names = people(chance, count)
    left = sorted(chance.sample(names, chance.randint(2, min(5, count - 1))))
    folder: dict[str, str] = {}
    while chars > 0:  # the same people write again and again, and are answered
        for number, name in enumerate(names, len(folder)):
            subject = f"Question {number}"
            once = number < count
            mails = [_mail(name, "Office Desk", subject, chance.choice(FILLER), number)]
            if name not in left or not once:
                mails.append(_mail("Office Desk", name, f"Re: {subject}", chance.choice(FILLER),
                                   number + 1))  # fmt: skip
            for mail in mails:
                folder[f"{len(folder):06}.eml"] = mail
                chars -= len(mail)
            if chars <= 0 and not once:
                break
    rest = tuple(name for name in names if name not in left)
    return Made(context=folder, gold=left, others=rest)


def _open_tasks(chance: Random, chars: int) -> Made:
    names = [name.lower() for name in chance.sample(FIRST, 6)]
    left: Counter[str] = Counter()
    folder: dict[str, str] = {}
    while chars > 0 or len(folder) < 3:
        lines = [f"# Week {len(folder) + 1}", "", chance.choice(FILLER), ""]
        for _ in range(chance.randint(3, 9)):
            name, done = chance.choice(names), chance.random() < 0.5
            left[name] += not done
            lines.append(f"- [{'x' if done else ' '}] order a {chance.choice(PRODUCTS)} @{name}")
        folder[f"notes/week-{len(folder) + 1:05}.md"] = text(lines)
        chars -= sum(map(len, lines))
    name = chance.choice(names)
    return Made(context=folder, gold=left[name], words={"name": name})


def _budget(chance: Random, chars: int) -> Made:
    folder: dict[str, str] = {}
    total: Counter[str] = Counter()
    while chars > 0 or len(folder) < 4:
        amounts = {name: chance.randint(10, 900) * 10 for name in ("Travel", "Staff", "Tools")}
        total.update(amounts)
        lines = [f"# Project {len(folder) + 1}", "", chance.choice(FILLER), "",
                 "| item | budget |", "| --- | ---: |",
                 *(f"| {name} | {amount:,} EUR |" for name, amount in amounts.items())]  # fmt: skip
        folder[f"projects/p{len(folder) + 1:05}.md"] = text(lines)
        chars -= sum(map(len, lines))
    item = chance.choice(sorted(total))
    return Made(context=folder, gold=total[item], words={"item": item})


def _notice(chance: Random, chars: int) -> Made:
    firms = [f"{name} & {other}" for name in PRODUCTS for other in CITIES]
    chance.shuffle(firms)
    count = min(max(chars // 900, 4), len(firms))
    days, folder = {}, {}
    for number, firm in enumerate(firms[:count]):
        first, then = chance.sample(sorted(NUMBERS), 2)
        clause = "This contract may be ended by either side with {} days' notice.".format
        body = [f"CONTRACT {number + 1} with {firm}", "", *chance.sample(FILLER, 5),
                clause(NUMBERS[first]), *chance.sample(FILLER, 3)]  # fmt: skip
        days[firm] = first
        if chance.random() < 0.5:
            days[firm] = then
            body += ["", "AMENDMENT 1", "The notice period above is replaced by "
                     f"{NUMBERS[then]} days."]  # fmt: skip
        folder[f"contracts/{number + 1:04}.txt"] = text(body)
        chars -= sum(map(len, body))
    appendix = 1
    while chars > 0:
        body = filled(min(chars, 20_000), lambda n: chance.choice(FILLER))
        folder[f"appendix/{appendix:04}.txt"] = text(body)
        chars -= sum(map(len, body)) + len(body)
        appendix += 1
    firm = chance.choice(sorted(days))
    return Made(context=folder, gold=days[firm], words={"firm": firm})


def _judged_reviews(chance: Random, chars: int) -> Made:
    asked, good = chance.choice(PRODUCTS), 0
    rest = others(PRODUCTS, asked)
    wanted = set(chance.sample(range(max(chars // 110, 12)), min(max(chars // 110, 12), 20)))

    def line(number: int) -> str:
        nonlocal good
        product = asked if number in wanted else chance.choice(rest)
        liked = chance.random() < 0.5
        good += liked and product == asked
        verdict = chance.choice(LIKED if liked else DISLIKED)
        return f"[{number + 1}] {product}, from {chance.choice(CITIES)}: {verdict}"

    lines = filled(chars, line, least=max(wanted) + 1)
    return Made(context=text(lines), gold=good, words={"product": asked})


def _judged_trouble(chance: Random, chars: int) -> Made:
    topics = sorted(TROUBLES)
    most = chance.choice(topics)
    weights = [2 if topic == most else 1 for topic in topics]
    counted: Counter[str] = Counter()

    def line(number: int) -> str:
        topic = chance.choices(topics, weights)[0]
        counted[topic] += 1
        when = moment(chance).date()
        return f"Ticket {number + 1}, {when}: {chance.choice(TROUBLES[topic])}"

    lines = filled(chars, line)
    number = len(lines)
    for _ in range(2 + max(counted.values()) - counted[most]):  # apart by a clear distance
        number += 1
        lines.append(f"Ticket {number}, 2024-12-31: {chance.choice(TROUBLES[most])}")
    return Made(context=text(lines), gold=most, others=others(topics, most))


def _who_does_it(chance: Random, chars: int) -> Made:
    names = people(chance, 30)
    offices = {name: chance.choice(CITIES) for name in names}
    jobs = {f"repair of the {product}": chance.choice(names) for product in PRODUCTS}
    staff = text([f"{name}: {city}" for name, city in sorted(offices.items())])
    minutes = filled(chars - len(staff), lambda n: chance.choice(FILLER))
    for job, name in jobs.items():
        said = f"It was decided that {name} takes care of the {job}."
        minutes.insert(chance.randrange(len(minutes)), said)
    job = chance.choice(sorted(jobs))
    gold = offices[jobs[job]]
    return Made(
        context={"minutes.txt": text(minutes), "staff.txt": staff},
        gold=gold,
        words={"job": job},
        others=others(CITIES, gold),
    )


KINDS = (
    Kind(
        name="messages-by-person", make=_messages_by_person, rule="number",
        wordings=(
            "How many messages did {who} send on {day}?",
            "Count the messages from {who} dated {day}.",
            "On {day}, how often did {who} write something?",
        ),
        sources=(WHATSAPP, "https://medium.com/analytics-vidhya/whatsapp-group-chat-analysis-"
                 "8f184d3b4586"),
    ),
    Kind(
        name="last-agreement", make=_last_agreement, rule="text", held_out=True,
        wordings=(
            "At what time does the hike start in the end? The plan was changed.",
            "What is the final time for the hike?",
            "When do they meet for the hike, after all changes?",
        ),
        sources=("https://github.com/stacksgov/pm/issues/36",),
    ),
    Kind(
        name="invoice-in-mail", make=_invoice_in_mail, rule="text",
        wordings=(
            "What is the invoice number in the mail from {sender} about the {product}?",
            "{sender} sent an invoice for the {product}: give its number.",
            "Extract the number of the invoice that {sender} sent for the {product}.",
        ),
        sources=("https://github.com/Shubhamsaboo/awesome-llm-apps/pull/526",),
    ),
    Kind(
        name="unanswered", make=_unanswered, rule="list",
        wordings=(
            "Who wrote a mail to the Office Desk that got no reply? Give all names.",
            "List the people of whose mails one was never answered (no 'Re:' to its subject).",
            "Whose question is still without an answer? Name all of them.",
        ),
        sources=("https://github.com/pipeshub-ai/pipeshub-ai/pull/2988",),
    ),
    Kind(
        name="open-tasks", make=_open_tasks, rule="number",
        wordings=(
            "How many tasks of @{name} are still open?",
            "Count the unchecked boxes assigned to {name} in all notes.",
            "What is the number of to-dos that {name} has not done yet?",
        ),
        sources=("https://github.com/Automattic/simplenote-electron/issues/3065",
                 "https://github.com/blacksmithgu/obsidian-dataview/issues/46"),
    ),
    Kind(
        name="budget", make=_budget, rule="number", held_out=True,
        wordings=(
            "What is the budget for {item} over all projects, in EUR?",
            "Add up the {item} row of every project's table.",
            "How much money is planned for {item} in total?",
        ),
        sources=("https://github.com/sigoden/aichat/issues/959",),
    ),
    Kind(
        name="notice", make=_notice, rule="number",
        wordings=(
            "How many days' notice does the contract with {firm} need now?",
            "What notice period holds for {firm}, amendments included? Answer in days.",
            "With how many days of notice can we leave the contract with {firm}?",
        ),
        sources=("https://github.com/langflow-ai/openrag/issues/1648",),
    ),
    Kind(
        name="judged-reviews", make=_judged_reviews, rule="number",
        wordings=(
            "How many reviews of the {product} are positive?",
            "Count the reviewers who are happy with their {product}.",
            "Of all who wrote about the {product}, how many liked it?",
        ),
        sources=(REVIEWS, "https://github.com/omlnaut/ReviewExtractor"),
    ),
    Kind(
        name="judged-trouble", make=_judged_trouble, rule="text", held_out=True,
        wordings=(
            "Are most of the tickets about delivery, payment or quality?",
            "Sort the complaints into delivery, payment and quality, and name the largest group.",
            "Which of delivery, payment and quality do customers complain about most?",
        ),
        sources=("https://mindcraft.ai/?p=5576",),
    ),
    Kind(
        name="who-does-it", make=_who_does_it, rule="text",
        wordings=(
            "In which city is the office of the person who takes care of the {job}?",
            "Find out who was given the {job}, then say where that person's office is.",
            "The {job}: where does the one responsible work?",
        ),
        sources=("https://github.com/stacksgov/pm/issues/36",),
    ),
)  # fmt: skip
