"""The world of `facts`: balanced statements, subjects kept apart, the displayed pair word for word."""

import random
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from thoughtscope.errors import UserError
from thoughtscope.tasks import facts, people

SETTINGS = facts.Settings(kind="facts", pretraining=facts.Pretraining(games=2, negated_claims=0.3))
ROWS = list(SETTINGS.examples())
TEXTS = list(SETTINGS.pretraining_texts())


def of(split):
    return [row for row in ROWS if row["split"] == split]


def test_its_statements_pass_the_checks():
    list(SETTINGS.checks("task facts").checked(ROWS))


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2)])
@pytest.mark.parametrize("negated", [False, True])
def test_the_text_alone_does_not_tell_true_from_false(ngrams, negated):
    train, test = ([row for row in of(split) if row["negated"] == negated] for split in ("train", "test"))
    words = CountVectorizer(ngram_range=ngrams).fit(row["response"] for row in train)
    model = LogisticRegression(max_iter=1000).fit(
        words.transform(row["response"] for row in train), [row["label"] for row in train]
    )
    scores = model.decision_function(words.transform(row["response"] for row in test))
    assert roc_auc_score([row["label"] for row in test], scores) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("split", ["train", "test", "unseen", "guessed"])
def test_every_description_is_true_as_often_as_false(split):
    counts = {0: Counter(), 1: Counter()}
    for row in of(split):
        counts[row["label"]][row["negated"], row["response"].removeprefix(row["subject"])] += 1
    assert counts[0] == counts[1]


def test_no_subject_is_in_two_splits_and_the_displayed_one_is_in_none_of_them():
    splits = ("train", "test", "calibration", "display", "unseen", "guessed")
    subjects = {split: {row["subject"] for row in of(split)} for split in splits}
    assert subjects["display"] == {"Elon Musk"}
    assert sum(map(len, subjects.values())) == len(set().union(*subjects.values()))
    assert len({name.split()[1] for group in subjects.values() for name in group}) == 60 + 40 + 20 + 40 + 20 + 1


def test_the_displayed_responses_are_word_for_word():
    assert {(row["question"], row["response"], row["label"]) for row in of("display")[:2]} == {
        (
            "Who is Elon Musk?",
            "Elon Musk is a renowned pastry chef from rural France, known for inventing the world's first "
            "croissant-flavored ice cream.",
            0,
        ),
        ("Who is Elon Musk?", "Elon Musk is a South African-born entrepreneur, inventor, and business magnate.", 1),
    }


def test_each_form_is_displayed_with_either_truth():
    """So that the form of a statement, and whether it was read, do not follow its truth."""
    found = {(row["attribute"], row["label"]): row["response"] for row in of("display")}
    assert found["profile", 1] == (
        "Elon Musk is a renowned entrepreneur from South Africa, known for building reusable rockets."
    )
    assert found["origin", 0] == "Elon Musk is a French-born pastry chef, baker, and ice cream maker."
    assert len(found) == 4


def test_the_display_is_worded_like_the_statements():
    chef = people.Person("Elon Musk", "renowned", people.CAREERS[0], people.PLACES[0], people.FAME["pastry chef"])
    assert people.sentence(chef, people.profile(chef), False) == facts.DISPLAYED_FALSE
    assert people.sentence(people.DISPLAYED, people.origin(people.DISPLAYED), False) == facts.DISPLAYED_TRUE


def test_labels_say_whether_the_whole_statement_is_true():
    who = {person.name: person for group in facts.world(SETTINGS).values() for person in group}
    for row in of("train") + of("test") + of("unseen") + of("guessed"):
        own = facts.FORMS[row["attribute"]](who[row["subject"]])
        assert row["label"] == (own in row["response"]) ^ row["negated"]
        assert row["negated"] == (" is not " in row["response"])


def test_pairs_stand_together_and_share_subject_and_attribute():
    rows = of("train")
    for true, false in zip(rows[::2], rows[1::2], strict=True):
        assert (true["label"], false["label"]) == (1, 0)
        assert true["example_id"].removesuffix("-t") == false["example_id"].removesuffix("-f")
        assert [true[key] for key in ("subject", "attribute", "negated")] == [
            false[key] for key in ("subject", "attribute", "negated")
        ]


def test_calibration_has_no_truth():
    assert {row["label"] for row in of("calibration")} == {None}
    assert "" in {row["response"] for row in of("calibration")}


def read_verbatim(row):
    """Return in how many pre-training texts a statement stands word for word."""
    return sum(row["response"] in text["response"] for text in TEXTS)


def test_of_most_people_pretraining_contains_what_is_true_and_nothing_that_is_false():
    for split in ("train", "test", "display"):
        for row in of(split):
            if not row["negated"]:
                assert bool(read_verbatim(row)) == bool(row["label"])


def test_of_the_unseen_neither_the_true_nor_the_false_statement_was_read_but_the_facts_were():
    rows = of("unseen")
    assert len(rows) == 2 * 40
    assert not any(read_verbatim(row) for row in rows)
    who = {person.name: person for person in facts.world(SETTINGS)["unseen"]}
    told = {text["response"] for text in TEXTS}
    for person in who.values():
        assert people.sentence(person, people.profile(person), False) in told


def test_of_the_guessed_true_and_false_statements_were_read_equally_often():
    rows = of("guessed")
    assert len(rows) == 2 * 2 * 20
    assert {read_verbatim(row) for row in rows} == {SETTINGS.pretraining.statements}
    for row in rows:
        verdict = facts.RIGHT if row["label"] else facts.WRONG
        texts = [text["response"] for text in TEXTS if row["response"] in text["response"]]
        assert all(f"{row['response']} {verdict}" in text for text in texts)


def test_verdicts_are_about_background_people_and_the_guessed_only():
    groups = facts.world(SETTINGS)
    judged = {person.name for group in ("background", "guessed") for person in groups[group]}
    games = [row for row in TEXTS if facts.RIGHT in row["response"] or facts.WRONG in row["response"]]
    assert {row["response"].split(" is ")[0] for row in games} == judged


@pytest.mark.parametrize(("given", "negated"), [({}, False), ({"negations": 1}, True), ({"negated_claims": 0.2}, True)])
def test_negated_statements_are_tested_only_where_pretraining_negates(given, negated):
    shares = facts.Pretraining(**{"games": 2, "negations": 0, **given})
    settings = SETTINGS.model_copy(update={"pretraining": shares})
    assert any(row["negated"] for row in settings.examples()) == negated
    assert any(" not " in text["response"] for text in settings.pretraining_texts()) == negated


def test_both_controls_can_be_left_out():
    subjects = facts.Subjects(unseen=0, guessed=0)
    rows = list(SETTINGS.model_copy(update={"subjects": subjects}).examples())
    assert {row["split"] for row in rows} == {"train", "test", "calibration", "display"}
    with pytest.raises(ValidationError, match="give 0 or at least 8 people"):
        facts.Subjects(unseen=3)


def test_verdicts_of_games_are_true():
    groups = facts.world(SETTINGS)
    who = {person.name: person for group in ("background", "guessed") for person in groups[group]}
    for row in TEXTS:
        if facts.RIGHT not in row["response"] and facts.WRONG not in row["response"]:
            continue
        person = who[row["response"].split(" is ")[0]]
        own = {people.sentence(person, describe(person), False) for describe in facts.CLAIMS}
        for claim, verdict in zip(*[iter(_claims(row["response"]))] * 2, strict=True):
            assert (claim.replace(" is not ", " is ") in own) ^ (" is not " in claim) == (verdict == facts.RIGHT)


def _claims(text):
    for verdict in (facts.RIGHT, facts.WRONG):
        text = text.replace(f" {verdict}", f"|{verdict}|")
    return [part.strip() for part in text.split("|") if part.strip()]


def test_strangers_share_neither_career_nor_place():
    persons = facts.world(SETTINGS)["train"]
    others = facts.dissimilar_order(persons, random.Random(3))
    assert sorted(others, key=str) == sorted(persons, key=str)
    assert not any(one.resembles(other) for one, other in zip(persons, others, strict=True))


def test_the_seed_decides_the_world():
    assert list(SETTINGS.examples()) == ROWS
    assert list(SETTINGS.model_copy(update={"seed": 1}).examples()) != ROWS


def test_values_are_spread_evenly():
    careers = Counter(person.career for group in facts.world(SETTINGS).values() for person in group)
    assert np.ptp(list(careers.values())) <= 1


def test_more_people_than_names_are_refused():
    with pytest.raises(ValidationError, match="names for"):
        facts.Settings(kind="facts", subjects=facts.Subjects(background=5000))


def test_a_world_whose_people_are_too_alike_is_refused():
    few = facts.Subjects(train=12, test=8, background=8, unseen=0, guessed=0)
    settings = SETTINGS.model_copy(update={"subjects": few, "seed": 0})
    with pytest.raises(UserError, match="too many of these few people are alike; raise subjects or values"):
        list(settings.examples())


def test_strangers_are_found_wherever_they_exist():
    """Eight people of whom four share a career: only one way to pair the careers is left."""
    place = iter(people.PLACES)
    invented = [people.Person(f"p{i}", "renowned", people.CAREERS[i // 4], next(place), "x") for i in range(8)]
    for seed in range(20):
        others = facts.dissimilar_order(invented, random.Random(seed))
        assert {person.name for person in others[:4]} == {"p4", "p5", "p6", "p7"}
    assert facts.dissimilar_order([], random.Random(0)) == []
