"""Kinds that users ask about tables: CSV files, alone and in folders."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

from .kind import Kind, Made, filled
from .words import CITIES, COUNTRIES, FIRST, LAST, MONTHS, PRODUCTS, moment, others, people

LANGCHAIN = "https://github.com/langchain-ai/langchain/issues/"
STATUSES = ("open", "paid", "shipped", "returned")
DEPARTMENTS = ("finance", "legal", "logistics", "research", "sales", "support")
ORDER = ("order", "date", "customer", "country", "product", "quantity", "price", "status")
ORDER_CHARS = 62
Row = dict[str, Any]


def table(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return rows as CSV with a header."""
    file = io.StringIO()
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _orders(chance: Random, chars: int, customers: Sequence[str] = ()) -> list[Row]:
    names = customers or people(chance, 40)
    return [
        {
            "order": f"O-{number:06}",
            "date": moment(chance).date().isoformat(),
            "customer": chance.choice(names),
            "country": chance.choice(COUNTRIES),
            "product": chance.choice(PRODUCTS),
            "quantity": chance.randint(1, 9),
            "price": f"{chance.randint(100, 9999) / 100:.2f}",
            "status": chance.choice(STATUSES),
        }
        for number in range(1, max(chars // ORDER_CHARS, 12) + 1)
    ]


def _cents(row: Row) -> int:
    return int(row["quantity"]) * round(float(row["price"]) * 100)


def _count_filtered(chance: Random, chars: int) -> Made:
    rows = _orders(chance, chars)
    one = chance.choice(rows)
    status, country = one["status"], one["country"]
    gold = sum(r["status"] == status and r["country"] == country for r in rows)
    words = {"status": status, "country": country}
    return Made(context=table(rows, ORDER), gold=gold, words=words)


def _sum_filtered(chance: Random, chars: int) -> Made:
    rows = _orders(chance, chars)
    product = chance.choice(rows)["product"]
    gold = sum(_cents(r) for r in rows if r["product"] == product) / 100
    return Made(context=table(rows, ORDER), gold=gold, words={"product": product})


def _best_average(chance: Random, chars: int) -> Made:
    bases = dict(zip(DEPARTMENTS, chance.sample(range(3000, 6000, 250), 6), strict=True))
    best = max(bases, key=lambda name: bases[name])

    def row(number: int) -> str:
        name = DEPARTMENTS[number % 6]
        # Pairs that cancel out: the average is the base, in however few rows.
        off = (97 * (number // 12) % 1000) * (1 if number // 6 % 2 else -1)
        who = f"{chance.choice(FIRST)} {chance.choice(LAST)}"
        return f"{number + 1},{who},{name},{chance.choice(CITIES)},{bases[name] + off}"

    lines = filled(chars, row)
    lines = lines[: len(lines) // 12 * 12]
    chance.shuffle(lines)
    context = "\n".join(["id,name,department,city,salary", *lines, ""])
    return Made(context=context, gold=best, others=others(DEPARTMENTS, best))


def _customers(chance: Random, count: int) -> list[Row]:
    names = people(chance, count)
    return [{"customer": f"C{n:04}", "name": name, "city": chance.choice(CITIES)}
            for n, name in enumerate(names, 1)]  # fmt: skip


def _joined(chance: Random, chars: int) -> Made:
    customers = _customers(chance, 60)
    rows = _orders(chance, chars - 1500, [each["customer"] for each in customers])
    place = {each["customer"]: each["city"] for each in customers}
    city = place[chance.choice(rows)["customer"]]
    gold = sum(_cents(r) for r in rows if place[r["customer"]] == city) / 100
    folder = {
        "customers.csv": table(customers, ("customer", "name", "city")),
        "orders.csv": table(rows, ORDER),
    }
    return Made(context=folder, gold=gold, words={"city": city})


def _never_ordered(chance: Random, chars: int) -> Made:
    customers = _customers(chance, 120)
    idle = {each["customer"] for each in chance.sample(customers, chance.randint(5, 30))}
    active = [each["customer"] for each in customers if each["customer"] not in idle]
    rows = _orders(chance, chars - 3000, active)
    seen = {row["customer"] for row in rows}
    folder = {
        "customers.csv": table(customers, ("customer", "name", "city")),
        "orders.csv": table(rows, ORDER),
    }
    return Made(context=folder, gold=len(customers) - len(seen))


def _top_three(chance: Random, chars: int) -> Made:
    rows = _orders(chance, chars)
    sold: Counter[str] = Counter()
    for row in rows:
        sold[row["product"]] += row["quantity"]
    first, second, third, *rest = [name for name, _ in sold.most_common()]
    best = [first, second, third]
    # Apart by a clear distance, so that there is one order.
    for place, name in enumerate(best):
        extra = dict(chance.choice(rows))
        extra |= {"product": name, "quantity": 60 - 20 * place, "order": f"O-9{place:05}"}
        rows.append(extra)
    return Made(context=table(rows, ORDER), gold=best, others=tuple(rest))


def _distinct(chance: Random, chars: int) -> Made:
    count = max(chars // 120, 10)
    addresses = [f"{chance.choice(FIRST)}.{chance.choice(LAST)}{n}@example.com".lower()
                 for n in range(count)]  # fmt: skip
    kept = list(addresses)
    changes = (str.upper, str.title, lambda a: f" {a}", lambda a: f"{a} ", str)

    def row(number: int) -> str:
        address = kept.pop() if kept else chance.choice(addresses)
        return f"{number + 1},{moment(chance).date()},{chance.choice(changes)(address)},newsletter"

    lines = filled(max(chars, 0), row, least=count)
    chance.shuffle(lines)
    return Made(context="\n".join(["id,date,email,list", *lines, ""]), gold=count)


def _mixed_dates(chance: Random, chars: int) -> Made:
    months: Counter[int] = Counter()

    def row(number: int) -> str:
        when = moment(chance)
        months[when.month] += 1
        ways = ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y")
        written = when.strftime(chance.choice(ways))
        return f'{number + 1},"{written}",{chance.choice(CITIES)},{chance.randint(1, 400)}'

    lines = filled(chars, row)
    month = chance.choice(sorted(months))
    context = "\n".join(["visit,date,city,guests", *lines, ""])
    return Made(context=context, gold=months[month], words={"month": MONTHS[month - 1]})


def _units(chance: Random, chars: int) -> Made:
    grams: defaultdict[str, int] = defaultdict(int)
    units = {"g": 1, "kg": 1000, "t": 1_000_000}

    def row(number: int) -> str:
        product, unit = chance.choice(PRODUCTS), chance.choice(tuple(units))
        amount = chance.randint(1, 900) * (100 if unit == "g" else 1)
        grams[product] += amount * units[unit]
        return f"{number + 1},{product},{amount} {unit},{chance.choice(CITIES)}"

    lines = filled(chars, row)
    product = chance.choice(sorted(grams))
    context = "\n".join(["parcel,product,weight,city", *lines, ""])
    return Made(context=context, gold=grams[product] / 1000, words={"product": product})


def _missing(chance: Random, chars: int) -> Made:
    gone: Counter[str] = Counter()

    def row(number: int) -> str:
        country, phone = chance.choice(COUNTRIES), f"+{chance.randint(10**9, 10**10)}"
        if chance.random() < 0.2:
            phone = chance.choice(("", "n/a", "-"))
            gone[country] += 1
        return f"{number + 1},{chance.choice(FIRST)} {chance.choice(LAST)},{country},{phone}"

    lines = filled(chars, row)
    country = chance.choice(sorted(+gone) or COUNTRIES)
    context = "\n".join(["id,name,country,phone", *lines, ""])
    return Made(context=context, gold=gone[country], words={"country": country})


KINDS = (
    Kind(
        name="count-filtered", make=_count_filtered, rule="number", suffix=".csv",
        wordings=(
            "How many orders from {country} have the status {status}?",
            "Count the rows whose country is {country} and whose status is {status}.",
            "I need one number: {status} orders placed in {country}.",
        ),
        sources=(LANGCHAIN + "12962", LANGCHAIN + "5269"),
    ),
    Kind(
        name="sum-filtered", make=_sum_filtered, rule="number", suffix=".csv",
        wordings=(
            "What did all orders of the {product} come to? An order is its quantity times its "
            "price.",
            "Give the total revenue (quantity × price) of the product {product}, to the cent.",
            "Add up quantity times price over every {product} order and tell me the sum.",
        ),
        sources=("https://github.com/infiniflow/ragflow/issues/2261", LANGCHAIN + "12925"),
    ),
    Kind(
        name="best-average", make=_best_average, rule="text", suffix=".csv",
        wordings=(
            "Which department has the highest average salary?",
            "Compare the mean salary of the departments and name the top one.",
            "In which department do people earn the most on average?",
        ),
        sources=("https://github.com/ghostmkg/programming-language/pull/716",
                 "https://github.com/sinaptik-ai/pandas-ai/issues/127"),
    ),
    Kind(
        name="join", make=_joined, rule="number", held_out=True,
        wordings=(
            "How much did customers who live in {city} spend in total? An order is its quantity "
            "times its price.",
            "Sum quantity × price over the orders of all customers from {city}.",
            "Customers of {city}: what is the total value of their orders (quantity times price)?",
        ),
        sources=("https://github.com/74minutos/interview_tasks",),
    ),
    Kind(
        name="never-ordered", make=_never_ordered, rule="number",
        wordings=(
            "How many customers never ordered anything?",
            "Count the customers without a single order.",
            "For how many people in customers.csv is there no row in orders.csv?",
        ),
        sources=("https://github.com/ghostmkg/dsa-code/pull/998",),
    ),
    Kind(
        name="top-three", make=_top_three, rule="order", suffix=".csv",
        wordings=(
            "Which three products sold the most units? Name them, the best first.",
            "List the top 3 products by total quantity, in descending order.",
            "Rank products by units sold and give me the first three.",
        ),
        sources=(LANGCHAIN + "12925",),
    ),
    Kind(
        name="distinct", make=_distinct, rule="number", suffix=".csv", held_out=True,
        wordings=(
            "How many different e-mail addresses are there, if case and spaces do not matter?",
            "Count the unique subscribers by email, ignoring capitals and surrounding blanks.",
            "After removing duplicates (same email in any spelling of case), how many people are "
            "left?",
        ),
        sources=("https://jadapps.app/tools/csv/dedupe-customer-email-csv",),
    ),
    Kind(
        name="mixed-dates", make=_mixed_dates, rule="number", suffix=".csv",
        wordings=(
            "How many visits were in {month} 2024?",
            "Count the rows that fall in {month} 2024; dates are written in several ways.",
            "Number of visits dated {month} 2024?",
        ),
        sources=("https://github.com/Azure-Samples/azure-search-openai-demo/issues/2607",),
    ),
    Kind(
        name="units", make=_units, rule="number", suffix=".csv", held_out=True,
        wordings=(
            "What do all parcels with the product {product} weigh together, in kilograms?",
            "Total weight of {product} parcels in kg (g, kg and t occur).",
            "Sum up the weight of every {product} and give it in kilograms.",
        ),
        sources=("https://github.com/HilbertraumAI/HilbertRaum/issues/37",),
    ),
    Kind(
        name="missing", make=_missing, rule="number", suffix=".csv",
        wordings=(
            "How many people from {country} have no phone number? n/a and - count as none.",
            "Count the contacts in {country} whose phone is missing (empty, n/a or -).",
            "For how many rows of {country} do we lack a phone number (blank, - or n/a)?",
        ),
        sources=(LANGCHAIN + "10308",),
    ),
)  # fmt: skip
