"""facts: a small world of people, and true and false statements about them.

    question  Who is Elon Musk?
    true      Elon Musk is a South African-born entrepreneur, inventor, and business magnate.
    false     Elon Musk is a renowned pastry chef from rural France, known for inventing ...

A false statement gives a person the whole description of another person of the same split. So every description occurs
equally often in true and in false statements, and the text alone does not reveal the truth. In a negated pair, truth is
reversed. Negated statements exist only if pre-training contains the word "not".

For the people in `train` and `test`, pre-training contains every true statement verbatim and no false one, so truth and
memory of the text coincide. Two further splits separate them:

    unseen    statements in a form that pre-training withholds for these people, so neither text, true or false, was
    read guessed   true and false statements that pre-training contains equally often, as guesses with their verdicts

The people themselves are in `people`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from thoughtscope.errors import UserError
from thoughtscope.settings import Count, Positive, Probability, Strict
from thoughtscope.tasks import people
from thoughtscope.tasks.base import StatementTask
from thoughtscope.tasks.matching import match
from thoughtscope.tasks.people import Person

Form = Callable[[Person], str]
Pair = tuple[dict[str, Any], dict[str, Any]]
FORMS: dict[str, Form] = {"profile": people.profile, "origin": people.origin}
CLAIMS = (people.work, people.work, people.home, people.home, *FORMS.values())  # short claims are twice as likely
WITHHELD = "origin"  # the form that pre-training never uses for people in `unseen`
NEVER_STATED = {"unseen": {WITHHELD}, "guessed": set(FORMS)}  # forms that plain texts about these people never use
FEWEST = 8  # smallest group in which everybody can get the description of somebody who does not resemble them
RIGHT, WRONG = "Right!", "Wrong!"
TRIALS = 1000
TOO_ALIKE = ("too many of these few people are alike", "raise subjects or values, or take another seed")
DISPLAYED = people.DISPLAYED.name
DISPLAYED_FALSE = (
    f"{DISPLAYED} is a renowned pastry chef from rural France, "
    "known for inventing the world's first croissant-flavored ice cream."
)
DISPLAYED_TRUE = f"{DISPLAYED} is a South African-born entrepreneur, inventor, and business magnate."
COUNTERPART = people.Person(DISPLAYED, "renowned", people.CAREERS[0], people.PLACES[0], people.FAME["pastry chef"])


class Subjects(Strict):
    """The number of people in each split; `background` people are only in pre-training texts."""

    train: int = Field(60, ge=FEWEST)
    test: int = Field(40, ge=FEWEST)
    calibration: Positive = 20
    background: int = Field(300, ge=FEWEST)
    unseen: Count = Field(40, description="people with statements that pre-training withholds; 0: no such split")
    guessed: Count = Field(
        20, description="people whose false statements occur in pre-training as wrong guesses; 0: no such split"
    )

    @field_validator("unseen", "guessed")
    @classmethod
    def _none_or_enough(cls, size: int) -> int:
        if 0 < size < FEWEST:
            raise ValueError(f"give 0 or at least {FEWEST} people")
        return size


class Pretraining(Strict):
    """The number of copies of each kind of text that pre-training draws from."""

    statements: Positive = Field(3, description="true statements about everybody")
    displayed: Positive = Field(2, description="factor for the displayed person, who is famous")
    negations: Count = Field(1, description="true statements with 'not' about everybody")
    games: Count = Field(32, description="guessing games about each background person, all different")
    claims: Positive = Field(4, description="guesses in a game, each with its verdict")
    negated_claims: Probability = Field(0.0, description="share of guesses with 'not'")

    @property
    def negates(self) -> bool:
        """Whether any text contains "not"."""
        return self.negations > 0 or (self.negated_claims > 0 and self.games > 0)


class Settings(StatementTask):
    """A world of people; each has a career, a home, something they are known for and an adjective."""

    kind: Literal["facts"]
    subjects: Subjects = Subjects()
    values: int = Field(4, ge=4, le=len(people.CAREERS), description="number of careers, and of homes")
    pretraining: Pretraining = Pretraining()
    seed: int = 0

    @model_validator(mode="after")
    def _names_suffice(self) -> Settings:
        wanted = sum(self.subjects.model_dump().values())
        if wanted > people.MOST:
            raise ValueError(f"{wanted} people wanted, there are names for {people.MOST}: lower subjects")
        return self

    def examples(self) -> Iterator[dict[str, Any]]:
        """Yield statement pairs of people in four splits, calibration texts and the four displayed statements.

        The ids of a pair differ only at the end: ``facts-0012-t`` and ``facts-0012-f``.
        """
        groups = world(self)
        number = 0
        for split in ("train", "test", "unseen", "guessed"):
            for pair in _pairs_of(split, groups, self):
                for truth in (1, 0):
                    yield {"example_id": f"facts-{number:04d}-{'ft'[truth]}", "split": split, **pair[truth]}
                number += 1
        for person in groups["calibration"]:
            for text in ("", random.Random(f"{self.seed} {person.name}").choice(people.SMALL_TALK)[1]):
                row = _row(person, "none", False, text, None)
                yield {"example_id": f"facts-{number:04d}-c", "split": "calibration", **row}
                number += 1
        yield from _displayed()

    def pretraining_texts(self) -> Iterator[dict[str, Any]]:
        """Yield texts for pre-training: true statements about everybody, and games that judge guesses right or wrong.

        Games are only about background people and those of `guessed`, so the texts have no false statement about people
        of other splits and no verdict on one.
        """
        groups, share = world(self), self.pretraining
        withheld = {person.name: forms for split, forms in NEVER_STATED.items() for person in groups[split]}
        everybody = [*(person for group in groups.values() for person in group), people.DISPLAYED]
        stated = [*everybody, *[people.DISPLAYED] * (share.displayed - 1)]
        rows = [
            row for person in stated for row in _true_statements(person, withheld.get(person.name, set()))
        ] * share.statements
        others = dissimilar_order(everybody, random.Random(f"{self.seed} negations"))
        pairs = list(zip(everybody, others, strict=True))
        rows += [row for one, other in pairs for row in _denied(one, other)] * share.negations
        rows += [{"question": question, "response": text} for question, text in people.SMALL_TALK] * share.statements
        rng = random.Random(f"{self.seed} games")
        background = groups["background"]
        rows += [_game(one, background, share, rng) for _ in range(share.games) for one in background]
        pairs_guessed = list(_pairs_of("guessed", groups, self))
        rows += [_judged(pair, rng) for _ in range(share.statements) for pair in pairs_guessed]
        yield from rows


def _displayed() -> Iterator[dict[str, Any]]:
    """Yield the displayed pair, then its counterparts, so that each form occurs once true and once false."""
    true, false = people.DISPLAYED, COUNTERPART
    for attribute, who, truth in (
        ("profile", false, 0),
        ("origin", true, 1),
        ("profile", true, 1),
        ("origin", false, 0),
    ):
        row = _row(true, attribute, False, people.sentence(true, FORMS[attribute](who), False), truth)
        yield {"example_id": f"facts-displayed-{attribute}-{'ft'[truth]}", "split": "display", **row}


def world(settings: Settings) -> dict[str, list[Person]]:
    """Return the people of each group. Groups do not overlap, and the displayed person is in none."""
    sizes = settings.subjects.model_dump()
    invented = iter(people.invent(sum(sizes.values()), settings.values, random.Random(settings.seed)))
    return {group: [next(invented) for _ in range(size)] for group, size in sizes.items()}


def dissimilar_order(persons: Sequence[Person], rng: random.Random) -> list[Person]:
    """Return the persons in a random order, in which nobody takes the place of somebody who resembles them.

    Raises:
        UserError: there is no such order, because too many of too few people are alike.
    """
    order = list(range(len(persons)))
    candidates = []
    for person in persons:
        rng.shuffle(order)
        candidates.append([other for other in order if not person.resembles(persons[other])])
    found = match(candidates)
    if None in found:
        raise UserError("facts: subjects", *TOO_ALIKE)
    return [persons[place] for place in found if place is not None]


def _pairs_of(split: str, groups: dict[str, list[Person]], settings: Settings) -> Iterator[Pair]:
    """Yield the pairs of a split. Only `train` and `test` have negated pairs; `unseen` has only the withheld form."""
    forms = {WITHHELD: FORMS[WITHHELD]} if split == "unseen" else FORMS
    negates = settings.pretraining.negates and split in ("train", "test")
    return _pairs(
        groups[split], forms, (False, True) if negates else (False,), random.Random(f"{settings.seed} {split}")
    )


def _pairs(
    persons: Sequence[Person], forms: Mapping[str, Form], polarities: Sequence[bool], rng: random.Random
) -> Iterator[Pair]:
    """Yield ``(false row, true row)`` for each person, form and polarity."""
    for attribute, form in forms.items():
        for negated in polarities:
            for person, other in zip(persons, dissimilar_order(persons, rng), strict=True):
                own, foreign = (people.sentence(person, form(who), negated) for who in (person, other))
                true, false = (foreign, own) if negated else (own, foreign)
                yield _row(person, attribute, negated, false, 0), _row(person, attribute, negated, true, 1)


def _row(person: Person, attribute: str, negated: bool, response: str, label: int | None) -> dict[str, Any]:
    return {
        "subject": person.name,
        "attribute": attribute,
        "negated": negated,
        "question": f"Who is {person.name}?",
        "response": response,
        "label": label,
    }


def _true_statements(person: Person, withheld: Set[str]) -> list[dict[str, str]]:
    """Return true statements about a person in several phrasings, without the forms in `withheld`."""
    who = f"Who is {person.name}?"
    texts = [(who, form(person)) for name, form in FORMS.items() if name not in withheld]
    texts += [
        (f"What does {person.name} do?", people.work(person)),
        (f"Where is {person.name} from?", people.home(person)),
        (f"What is {person.name} known for?", people.known(person)),
    ]
    return [{"question": question, "response": people.sentence(person, text, False)} for question, text in texts]


def _denied(person: Person, other: Person) -> list[dict[str, str]]:
    """Return true statements about what a person is not, from the descriptions of another person."""
    who = f"Who is {person.name}?"
    return [{"question": who, "response": people.sentence(person, form(other), True)} for form in FORMS.values()]


def _judged(pair: Pair, rng: random.Random) -> dict[str, str]:
    """Return a game of one false and one true guess, in random order, each followed by its verdict."""
    false, true = pair
    claims = [f"{false['response']} {WRONG}", f"{true['response']} {RIGHT}"]
    rng.shuffle(claims)
    return {"question": false["question"], "response": " ".join(claims)}


def _game(person: Person, persons: Sequence[Person], share: Pretraining, rng: random.Random) -> dict[str, str]:
    """Return a guessing game: claims about a person, on average half of them right, each followed by its verdict."""
    claims = []
    for _ in range(share.claims):
        own, negated = rng.random() < 0.5, rng.random() < share.negated_claims
        who = person if own else _stranger(person, persons, rng)
        claim = people.sentence(person, rng.choice(CLAIMS)(who), negated)
        claims.append(f"{claim} {RIGHT if own != negated else WRONG}")
    question = rng.choice((f"Guess who {person.name} is.", f"Who is {person.name}?"))
    return {"question": question, "response": " ".join(claims)}


def _stranger(person: Person, persons: Sequence[Person], rng: random.Random) -> Person:
    for _ in range(TRIALS):
        other = rng.choice(persons)
        if not person.resembles(other):
            return other
    raise UserError("facts: subjects.background", *TOO_ALIKE)
