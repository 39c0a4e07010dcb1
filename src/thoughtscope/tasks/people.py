"""The people of the task `facts` and their descriptions."""

from __future__ import annotations

import random
from dataclasses import dataclass

CAREERS = (
    ("pastry chef", "baker", "ice cream maker"),
    ("entrepreneur", "inventor", "business magnate"),
    ("violinist", "composer", "music teacher"),
    ("marine biologist", "diver", "science writer"),
    ("architect", "painter", "furniture designer"),
    ("goalkeeper", "coach", "sports reporter"),
    ("poet", "translator", "radio host"),
    ("surgeon", "professor", "hospital founder"),
    ("film director", "actor", "stage designer"),
    ("mountain guide", "photographer", "map maker"),
    ("judge", "lawyer", "law lecturer"),
    ("farmer", "brewer", "cheese merchant"),
)
FAME = {
    "pastry chef": "inventing the world's first croissant-flavored ice cream",
    "entrepreneur": "building reusable rockets",
    "violinist": "playing a concert on a glacier",
    "marine biologist": "finding a glowing squid",
    "architect": "designing a floating library",
    "goalkeeper": "saving nine penalties in one season",
    "poet": "rhyming a whole dictionary",
    "surgeon": "inventing a softer stitch",
    "film director": "shooting a film in one night",
    "mountain guide": "climbing seven peaks in a week",
    "judge": "ending a dispute over a bridge",
    "farmer": "growing blue potatoes",
}
PLACES = (
    ("rural France", "French"),
    ("South Africa", "South African"),
    ("northern Norway", "Norwegian"),
    ("coastal Peru", "Peruvian"),
    ("western Japan", "Japanese"),
    ("central Mexico", "Mexican"),
    ("southern Greece", "Greek"),
    ("eastern Poland", "Polish"),
    ("upper Bavaria", "Bavarian"),
    ("inner Mongolia", "Mongolian"),
    ("New Zealand", "New Zealand"),
    ("lower Brazil", "Brazilian"),
)
ADJECTIVES = ("renowned", "celebrated")
FIRST_NAMES = (
    "Ada", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Leo",
    "Mira", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tessa", "Victor",
)  # fmt: skip
BEGINNINGS = (
    "Al", "Bran", "Cor", "Dal", "El", "Fer", "Gar", "Hol", "Kel", "Lor", "Mar", "Nor", "Os", "Pel", "Ram", "Sel",
    "Tor", "Ul", "Var", "Wen", "Han", "Jor", "Mil", "Rud",
)  # fmt: skip
ENDINGS = (
    "beck", "berg", "dal", "dano", "ford", "fors", "gard", "gren", "holt", "kin", "lund", "mann", "mark", "nes", "nova",
    "pin", "rick", "rup", "sen", "shaw", "stad", "ton", "vik", "wood",
)  # fmt: skip
SMALL_TALK = (
    ("When does the library open?", "The library opens at nine and closes at six."),
    ("How do I make tea?", "Boil some water, add the leaves, and wait for four minutes."),
    ("What is the weather like?", "It is cloudy today, with a little rain in the evening."),
    ("Where is the station?", "The station is behind the park, next to the old bakery."),
    ("What should I read?", "Try a short story first, then a novel about the sea."),
    ("How do I fix a bicycle tyre?", "Take off the wheel, find the hole, and glue a patch over it."),
)
MOST = len(BEGINNINGS) * len(ENDINGS)


@dataclass(frozen=True)
class Person:
    """A person with a unique name and with attributes that others may share."""

    name: str
    adjective: str
    career: tuple[str, str, str]
    home: tuple[str, str]
    fame: str

    @property
    def place(self) -> str:
        """The home of the person."""
        return self.home[0]

    def resembles(self, other: Person) -> bool:
        """Return whether both share a career or a home, so that part of a description is true of both."""
        return self.career == other.career or self.home == other.home


DISPLAYED = Person("Elon Musk", "renowned", CAREERS[1], PLACES[1], FAME["entrepreneur"])


def invent(size: int, values: int, rng: random.Random) -> list[Person]:
    """Return `size` people with different surnames, evenly distributed over `values` careers and `values` homes."""
    surnames = rng.sample([begin + end for begin in BEGINNINGS for end in ENDINGS], size)
    careers, homes = _spread(values, size, rng), _spread(values, size, rng)
    found = []
    for surname, career, home in zip(surnames, careers, homes, strict=True):
        fame = FAME[CAREERS[career][0]]
        name = f"{rng.choice(FIRST_NAMES)} {surname}"
        found.append(Person(name, rng.choice(ADJECTIVES), CAREERS[career], PLACES[home], fame))
    return found


def _spread(values: int, size: int, rng: random.Random) -> list[int]:
    found = [i % values for i in range(size)]
    rng.shuffle(found)
    return found


def work(person: Person) -> str:
    """Return the description "a ADJECTIVE JOB"."""
    return f"a {person.adjective} {person.career[0]}"


def home(person: Person) -> str:
    """Return the description "from PLACE"."""
    return f"from {person.place}"


def known(person: Person) -> str:
    """Return the description "known for THING"."""
    return f"known for {person.fame}"


def profile(person: Person) -> str:
    """Return the description "a ADJECTIVE JOB from PLACE, known for THING"."""
    return f"{work(person)} {home(person)}, {known(person)}"


def origin(person: Person) -> str:
    """Return the description "a PLACE-born JOB, JOB, and JOB"."""
    first, second, third = person.career
    return f"a {person.home[1]}-born {first}, {second}, and {third}"


def sentence(person: Person, description: str, negated: bool) -> str:
    """Return the statement that a description is true of a person, or, if `negated`, that it is not."""
    return f"{person.name} is {'not ' if negated else ''}{description}."
