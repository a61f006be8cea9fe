"""Names that the made contexts use."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

FIRST = (
    "Ada", "Bruno", "Carla", "Dario", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katya",
    "Leo", "Mira", "Nils", "Olga", "Pavel", "Rosa", "Sami", "Tilda", "Umar", "Vera", "Wim", "Yara",
    "Zoe",
)  # fmt: skip
LAST = (
    "Abbott", "Bergman", "Castro", "Dvorak", "Eriksen", "Fontaine", "Gruber", "Hassan", "Ivanov",
    "Jansen", "Keller", "Lindqvist", "Moreau", "Novak", "Okafor", "Petersen", "Quist", "Rossi",
    "Santos", "Tanaka", "Ulrich", "Vargas", "Weber", "Yilmaz", "Zeman",
)  # fmt: skip
CITIES = (
    "Aarhus", "Bilbao", "Cracow", "Dijon", "Essen", "Faro", "Gdansk", "Haarlem", "Izmir", "Jena",
    "Kaunas", "Leuven", "Modena", "Nantes", "Odense", "Plovdiv",
)  # fmt: skip
COUNTRIES = ("Austria", "Belgium", "Chile", "Denmark", "Estonia", "France", "Ghana", "Hungary")
PRODUCTS = (
    "anvil", "bucket", "compass", "drill", "easel", "funnel", "gasket", "hammer", "inkwell",
    "jigsaw", "kettle", "ladder", "mallet", "nozzle", "oilcan", "pulley",
)  # fmt: skip
SERVICES = ("auth", "billing", "catalog", "delivery", "export", "gateway", "mailer", "search")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
FILLER = (
    "The committee met again and went through the minutes of the week before.",
    "Nobody had anything to add, so the next point was taken up.",
    "The weather kept the builders away, and the yard stayed empty until noon.",
    "A long list of small repairs was read out and agreed to without debate.",
    "The keys were handed over at the desk, as they had been every year.",
    "It was noted that the old map is still on the wall of the second floor.",
    "The new shelves arrived and were put up along the corridor.",
    "Some letters were answered, others were put aside for the following month.",
    "The lamps in the stairwell were changed, which had been asked for twice.",
    "Visitors came in small groups and stayed longer than was expected.",
    "The account was closed and a fresh page was begun in the book.",
    "There was a short talk about the garden and who should water it.",
)
START = datetime(2024, 1, 1)


def person(chance: Random) -> str:
    """Return a first and a last name."""
    return f"{chance.choice(FIRST)} {chance.choice(LAST)}"


def people(chance: Random, count: int) -> list[str]:
    """Return different names, 600 at most."""
    every = [f"{first} {last}" for first in FIRST for last in LAST]
    return chance.sample(every, count)


def moment(chance: Random, days: int = 360) -> datetime:
    """Return a second of the first ``days`` days of 2024."""
    return START + timedelta(days=chance.randrange(days), seconds=chance.randrange(86_400))


def others(names: tuple[str, ...] | list[str], but: str) -> tuple[str, ...]:
    """Return all names but one."""
    return tuple(name for name in names if name != but)
