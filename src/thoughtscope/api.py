"""The Python interface: load a trained run, answer questions, look at latents, read the tables of a study.

    >>> import thoughtscope as ts
    >>> model = ts.load_run("results/runs/chain/qwen3/coconut/full/seed0")
    >>> response = model.answer("3 * 2 + 4 * 5 =")
    >>> response.answer, [latent.nearest[0] for latent in response.latents]

These functions call the modules that the workflow uses, so numbers agree with the tables of a study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from thoughtscope.errors import UserError
from thoughtscope.hidden_states.read import read_vectors
from thoughtscope.latents.forward import forward
from thoughtscope.latents.generate import Decoding, Generation
from thoughtscope.latents.head import logits
from thoughtscope.latents.packing import pack
from thoughtscope.reasoner import Reasoner, load_reasoner
from thoughtscope.run_id import RunId
from thoughtscope.tasks.answers import Judge


@dataclass(frozen=True)
class Latent:
    """One latent of a response.

    Attributes:
        index: the number of the latent in the response, from 1.
        position: its position in the whole sequence, including the prompt, from 0.
        fed: ``[d]``, the vector that the model received there.
        state: ``[d]``, the hidden state that the model computed there, after the final norm.
        nearest: the tokens that the output head scores highest at `state`, with their probabilities.
    """

    index: int
    position: int
    fed: NDArray[np.float32]
    state: NDArray[np.float32]
    nearest: list[tuple[str, float]]


@dataclass(frozen=True)
class Response:
    """The response of a model to one question.

    Attributes:
        text: the visible text of the response.
        answer: the answer in `text`, read as in the workflow; None if there is none.
        latents: the latents of the response, in order.
        stopped: why generation stopped: `eos`, `length` or `loop`.
    """

    question: str
    text: str
    answer: str | None
    latents: list[Latent]
    stopped: str


@dataclass(frozen=True)
class Model:
    """A trained model that answers questions with its latents. Create it with `load_run`."""

    reasoner: Reasoner

    def answer(self, question: str, *, max_new_tokens: int = 64, max_latents: int = 16) -> Response:
        """Answer one question by greedy generation.

        Args:
            max_new_tokens: largest number of text tokens in a response.
            max_latents: largest number of latents that a method may choose; forced latents do not count.
        """
        return self.answers([question], max_new_tokens=max_new_tokens, max_latents=max_latents)[0]

    @torch.no_grad()
    def answers(
        self,
        questions: Sequence[str],
        *,
        max_new_tokens: int = 64,
        max_latents: int = 16,
        nearest: int = 5,
        judge: Judge | None = None,
    ) -> list[Response]:
        """Answer questions in one batch; see `answer`.

        Args:
            nearest: number of tokens to list for each latent.
            judge: reads answers; None: answers are the text after the mark ``####``.
        """
        if not questions:
            return []
        reasoner = self.reasoner
        rows = [
            {"example_id": str(i), "question": question, "steps": [], "answer": "?"}
            for i, question in enumerate(questions)
        ]
        decoding = Decoding(max_new_tokens=max_new_tokens, max_latents=max_latents)
        generations = reasoner.generate([reasoner.encode(row) for row in rows], decoding)
        found = self._latents(generations, nearest)
        texts = [reasoner.text(generation) for generation in generations]
        return [
            Response(question, text, (judge or Judge()).read(text), latents, generation.stopped)
            for question, text, latents, generation in zip(questions, texts, found, generations, strict=True)
        ]

    def _latents(self, generations: Sequence[Generation], nearest: int) -> list[list[Latent]]:
        reasoner = self.reasoner
        if reasoner.latent_id is None:
            return [[] for _ in generations]
        sequences = [generation.sequence(reasoner.latent_id) for generation in generations]
        settings = reasoner.fill.settings if reasoner.fill else None
        batch = pack(sequences, settings, device=reasoner.model.device)
        output = forward(reasoner.model, batch, reasoner.fill)
        return [
            [
                self._latent(number, position, output.inputs[token], output.last[token], nearest)
                for number, (position, token) in enumerate(_places(one.is_latent, row), start=1)
            ]
            for one, row in zip(sequences, batch.index.tolist(), strict=True)
        ]

    def _latent(self, index: int, position: int, fed: torch.Tensor, state: torch.Tensor, nearest: int) -> Latent:
        probabilities = logits(self.reasoner.model, state[None])[0].float().softmax(-1)
        top = probabilities.topk(min(nearest, len(probabilities)))
        tokens = self.reasoner.tokenizer.convert_ids_to_tokens(top.indices.tolist())
        pairs = list(zip(tokens, top.values.tolist(), strict=True))
        return Latent(index, position, fed.float().cpu().numpy(), state.float().cpu().numpy(), pairs)


def _places(is_latent: Sequence[bool], row: Sequence[int]) -> list[tuple[int, int]]:
    """Return (position in the row, index in the packed batch) of each latent of a row."""
    return [(position, row[position]) for position, latent in enumerate(is_latent) if latent]


def load_run(folder: str | Path, *, checkpoint: int | Literal["best"] | None = None, device: str = "cpu") -> Model:
    """Load the model of a finished run.

    Args:
        folder: `results/runs/<task>/<backbone>/<method>/<trainable>/seed<seed>`, or a model folder in it.
        checkpoint: the update of a kept checkpoint; `best`: the model of `evaluation.keep_best`; None: the final model.
        device: a torch device.

    Raises:
        UserError: the folder has no model, or no such checkpoint.
    """
    run = Path(folder)
    place = run / "model" if (run / "model").is_dir() else run
    if checkpoint is not None:
        place = run / "checkpoints" / ("best" if checkpoint == "best" else f"step{checkpoint:06d}")
        if not place.is_dir():
            kept = ", ".join(sorted(path.name.removeprefix("step") for path in place.parent.glob("step*"))) or "none"
            raise UserError(str(run), f"no checkpoint at update {checkpoint}", f"use one of those kept: {kept}")
    return Model(load_reasoner(place, device=device))


@dataclass(frozen=True)
class Results:
    """The results folder of a study. Create it with `load_results`."""

    folder: Path

    @property
    def runs(self) -> list[RunId]:
        """The finished runs."""
        root = self.folder / "runs"
        return sorted(
            RunId.parse(path.parent.relative_to(root).as_posix()) for path in root.glob("*/*/*/*/*/manifest.json")
        )

    def load(self, run: RunId, **options: object) -> Model:
        """Load the model of a run; `options` are those of `load_run`."""
        return load_run(self.folder / "runs" / run.path, **options)  # type: ignore[arg-type]

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the study, such as `summary`, `curves` or `probes`.

        Raises:
            UserError: there is no such table.
        """
        path = self.folder / "tables" / f"{name}.csv"
        if not path.is_file():
            there = ", ".join(sorted(file.stem for file in path.parent.glob("*.csv"))) or "none"
            raise UserError(str(path), "no such table", f"use one of those that exist: {there}")
        return pd.read_csv(path)

    def vectors(
        self,
        run: RunId,
        kind: Literal["input", "output"] = "input",
        layer: int | None = None,
        latent_index: int | Literal["text"] | None = None,
        checkpoint: int | None = None,
    ) -> tuple[NDArray[np.float32], pd.DataFrame]:
        """Return stored vectors ``[n, d]`` of a run and a row of a frame for each; see `hidden_states.read`."""
        folder = self.folder / "hidden_states" / run.path
        return read_vectors(folder, kind, layer, latent_index=latent_index, checkpoint=checkpoint)


def load_results(folder: str | Path = "results") -> Results:
    """Open the results folder of a study.

    Raises:
        UserError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(str(folder), "no such folder", "run the study first: make run")
    return Results(Path(folder))
