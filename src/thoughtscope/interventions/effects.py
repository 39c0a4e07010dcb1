"""Changes one latent of a response at a time and records what is answered then.

Whatever an answer depends on before the changed latent stays as it was; everything after it is computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thoughtscope.errors import UserError
from thoughtscope.interventions.gold import GoldAnswers, Seen
from thoughtscope.interventions.vectors import WITHOUT_DONOR, any_other, expected, partners
from thoughtscope.latents.branches import Answered, Branch
from thoughtscope.latents.generate import Decoding, Generation
from thoughtscope.methods.curriculum import Example
from thoughtscope.reasoner import Reasoner

Row = dict[str, Any]
NONE = "none"


@dataclass(frozen=True)
class Planned:
    """One question with one latent changed.

    Attributes:
        question: among all that are asked; latent: the changed one, from 1.
        vector: ``[d]``, what is fed there; None: latents are removed or added.
        donor: the question whose vector it is.
    """

    question: int
    latent: int
    vector: Tensor | None = None
    donor: int | None = None


class Effects:
    """Answers of one reasoner to some questions, with one latent changed at a time.

    Args:
        rows: `schemas.REASONING`.
        added: how many latents `add` adds at most.

    Raises:
        UserError: responses begin with latents that end when the model is sure (Soft Thinking).
    """

    def __init__(
        self,
        reasoner: Reasoner,
        rows: Sequence[Mapping[str, Any]],
        decoding: Decoding,
        *,
        added: int = 2,
        seed: int = 0,
    ) -> None:
        if reasoner.thinking is not None:
            fix = "probe runs of other methods"
            raise UserError("interventions", "a response that begins with latents cannot be resumed in them", fix)
        self.reasoner, self.rows, self.decoding = reasoner, rows, reasoner.decoding(decoding)
        self.added, self.seed = added, seed
        self.read: dict[tuple[int, ...], str] = {}
        self.examples = [reasoner.encode(row) for row in rows]
        self.gold = GoldAnswers(reasoner, self.examples)
        self.generations = reasoner.generate(self.examples, decoding, watch=self.gold)
        self.seen: list[Seen] = [self.gold.seen.pop(id(one), {}) for one in self.generations]
        self.fed = [fed for part in self.parts() for fed in self._latents(self.answered(part))]

    def parts(self) -> list[range]:
        """Return the questions that are computed together."""
        size = self.decoding.batch_size
        return [range(start, min(start + size, len(self.rows))) for start in range(0, len(self.rows), size)]

    def answered(self, part: range) -> Answered:
        """Compute some of the questions with their responses."""
        latent = -1 if self.reasoner.latent_id is None else self.reasoner.latent_id
        return Answered(self.reasoner.model, [self.generations[i] for i in part], self.reasoner.fill, latent)

    def _latents(self, answered: Answered) -> list[Tensor]:
        return [answered.fed[row, answered.latents(row)] for row in range(len(answered.sequences))]

    def measure(self, interventions: Sequence[str]) -> Iterator[Row]:
        """Yield a row for each question as it is (intervention `none`), then one for each with a changed latent."""
        for i, generation in enumerate(self.generations):
            yield self._row(i, generation, NONE, None, None, self.seen[i])
        plans = {name: self.planned(name) for name in interventions}
        for part in self.parts():
            answered = self.answered(part)
            for name, planned in plans.items():
                yield from self._measured(name, [one for one in planned if one.question in part], part, answered)

    def planned(self, intervention: str) -> list[Planned]:
        """Return what an intervention changes, by latent and question."""
        counts = [len(fed) for fed in self.fed]
        if intervention in ("remove", "add"):
            last = {"remove": 0, "add": self.added}[intervention]
            return [
                Planned(i, k if intervention == "remove" else count + k)
                for i, count in enumerate(counts)
                if count
                for k in range(1, last + 1 if last else count + 1)
            ]
        return [
            one
            for k in range(1, max(counts, default=0) + 1)
            for one in self._replaced(intervention, k, [i for i, count in enumerate(counts) if count >= k])
        ]

    def _replaced(self, intervention: str, latent: int, reach: list[int]) -> list[Planned]:
        """Return what replaces a latent of the questions that reach it."""
        if intervention in WITHOUT_DONOR:
            own = torch.stack([self.fed[i][latent - 1] for i in reach])
            vectors = WITHOUT_DONOR[intervention](own, self.seed + latent)
            return [Planned(i, latent, vector) for i, vector in zip(reach, vectors, strict=True)]
        names = {self.examples[i].example_id: i for i in reach}
        if intervention == "other":
            donors = any_other(list(names), self.seed + latent)
        else:
            donors = partners({name: self.rows[i] for name, i in names.items()}, self.seed)
        pairs = [(names[name], names[donor]) for name, donor in sorted(donors.items(), key=lambda one: names[one[0]])]
        return [Planned(i, latent, self.fed[donor][latent - 1], donor) for i, donor in pairs]

    def _measured(self, name: str, planned: Sequence[Planned], part: range, answered: Answered) -> Iterator[Row]:
        branches = [self._branch(name, one, one.question - part.start, answered) for one in planned]
        banned = {"max_latents": 0} if name == "remove" else {}
        decoding = self.decoding.model_copy(update=banned)
        begun = answered.follow(branches, decoding, self.reasoner.eos_ids, self.gold)
        for one, branch, generation in zip(planned, branches, begun, strict=True):
            kept = answered.generations[branch.row].response[: max(0, branch.position + 1 - self._prompt(one.question))]
            text = len(self.gold.text(Generation(generation.prompt, kept)))
            before = {place: values for place, values in self.seen[one.question].items() if place < text}
            yield self._row(one.question, generation, name, one.latent, one.donor, before)
            self.gold.seen.pop(id(generation), None)

    def _prompt(self, question: int) -> int:
        return len(self.generations[question].prompt.token_ids)

    def _branch(self, name: str, one: Planned, row: int, answered: Answered) -> Branch:
        places = answered.latents(row)
        if name == "remove":
            place = places[one.latent - 1] - 1
            forced = tuple((token, latent) for token, latent in answered.forced_after(row, place) if not latent)
            return Branch(row, place, forced=forced)
        if name == "add":
            latents = ((answered.latent_id, True),) * (one.latent - len(places))
            return Branch(row, places[-1], forced=(*latents, *answered.forced_after(row, places[-1])))
        place = places[one.latent - 1]
        return Branch(row, place, one.vector, answered.forced_after(row, place))

    def _text(self, generation: Generation) -> str:
        """Return a response's text; many responses are the same."""
        tokens = tuple(generation.response)
        if tokens not in self.read:
            self.read[tokens] = self.reasoner.text(generation)
        return self.read[tokens]

    def _row(
        self, question: int, generation: Generation, name: str, latent: int | None, donor: int | None, before: Seen
    ) -> Row:
        example: Example = self.examples[question]
        answer = example.judge.read(self._text(generation))
        wanted = {} if donor is None else expected(self.rows[question], self.rows[donor])
        return {
            "example_id": example.example_id,
            "intervention": name,
            "latent_index": latent,
            "donor": None if donor is None else self.examples[donor].example_id,
            "answer": answer,
            "correct": example.judge.correct(answer, example.gold),
            "gold_logprob": self.gold.log_probability(generation, before),
            "differs": sorted(wanted),
            "follows": [step for step, value in sorted(wanted.items()) if example.judge.correct(answer, value)],
        }
