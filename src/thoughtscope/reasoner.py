"""A reasoner: a model with its tokenizer, method and stage, that answers questions with its latents.

Training, evaluation and extraction all use it. Knows nothing about optimisation, tables or figures.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from thoughtscope.backbones.load import ending_ids, load_backbone
from thoughtscope.backbones.prompt import decoded, prompt_ids, response_ids
from thoughtscope.errors import UserError
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.generate import Decoding, Generation, Watch, generate
from thoughtscope.latents.layout import TokenSequence
from thoughtscope.latents.thinking import Thinking
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Example, Stage, TokenIds
from thoughtscope.plugins import read_settings
from thoughtscope.settings import Strict
from thoughtscope.tasks.answers import Judge
from thoughtscope.tasks.reasoning import ANSWER, answer_text, step_texts

CARD, FILL = "thoughtscope.json", "fill.safetensors"


class Prompting(Strict):
    """How a question becomes a prompt."""

    chat: bool = True
    chat_arguments: dict[str, Any] = {}


@dataclass(frozen=True)
class Reasoner:
    """A model that reasons as a stage of a method does. `at` returns the same model in another stage.

    Attributes:
        model: a Transformers causal LM.
        method: settings and behaviour of the method.
        fill_modules: the trained parameters of fills, by kind; every stage with a fill of that kind uses them.
        steps: reasoning steps of the longest training example, which decide the stages.
    """

    model: Any
    tokenizer: Any
    method: BaseMethod
    stage: Stage
    fill_modules: Mapping[str, nn.Module]
    prompting: Prompting
    steps: int

    def at(self, stage: Stage) -> Reasoner:
        """Return the reasoner that answers as `stage` does; it shares the model."""
        return replace(self, stage=stage)

    @property
    def fill(self) -> Fill | None:
        """What is fed at the stage's latents; None: it has none."""
        settings = self.stage.fill
        if settings is None or self.latent_id is None:
            return None
        return Fill(settings, self.latent_id, self.fill_modules.get(settings.kind))

    @cached_property
    def ids(self) -> TokenIds:
        """Ids of the tokens that the method added."""
        found = {token: self.tokenizer.convert_tokens_to_ids(token) for token in self.method.tokens}
        return TokenIds({token: i for token, i in found.items() if i not in (None, self.tokenizer.unk_token_id)})

    @property
    def latent_id(self) -> int | None:
        """Id of the token that stands at latents."""
        return None if self.method.latent_token is None else self.ids[self.method.latent_token]

    @property
    def thinking(self) -> Thinking | None:
        """When latents that begin a response end; None: the stage has none such."""
        rule = self.stage.thinking
        if rule is None:
            return None
        whole = self.tokenizer.get_vocab().get(rule.end)
        end = response_ids(self.tokenizer, rule.end) if whole is None else [whole]
        return Thinking(tuple(end), rule.entropy, rule.steps)

    def encode(self, row: Mapping[str, Any]) -> Example:
        """Turn a row of a reasoning task into token ids.

        Raises:
            UserError: the row has no answer.
        """
        return encode(self.tokenizer, self.prompting, row)

    def prompt(self, example: Example) -> TokenSequence:
        """Return the model's input for a question: its tokens, with the latents that the stage forces."""
        return self.method.prompt(self.stage, example, self.ids)

    def layout(self, example: Example, rng: random.Random, probabilities: list[float] | None) -> TokenSequence:
        """Return an example as the stage trains it; see `methods.base.BaseMethod.layout`."""
        return self.method.layout(self.stage, example, self.ids, rng, probabilities)

    def generate(
        self,
        examples: Sequence[Example],
        decoding: Decoding,
        any_rank: Callable[[bool], bool] = bool,
        watch: Watch | None = None,
    ) -> list[Generation]:
        """Answer questions freely, with the latents that the stage forces or lets the model choose, in order.

        Args:
            any_rank: returns whether its argument is true on any rank (ranks that shard a model step together).
            watch: sees the scores of every token before it is chosen; see `latents.generate.generate`.
        """
        return generate(
            self.model,
            [self.prompt(one) for one in examples],
            self.fill,
            self.decoding(decoding),
            latent_id=self.latent_id,
            eos_ids=self.eos_ids,
            any_rank=any_rank,
            thinking=self.thinking,
            watch=watch,
        )

    def decoding(self, wanted: Decoding) -> Decoding:
        """Return how the stage decodes: without chosen latents if it forces them, or has none."""
        return wanted if self.stage.chosen else wanted.model_copy(update={"max_latents": 0})

    @property
    def eos_ids(self) -> list[int]:
        """The tokens that end a response."""
        return list(ending_ids(self.model, self.tokenizer))

    def text(self, generation: Generation) -> str:
        """Return a response's text: everything but the method's own tokens."""
        own = set(self.ids.ids.values())
        return decoded(self.tokenizer, [token for token in generation.response if token not in own]).strip()

    def save(self, folder: Path) -> None:
        """Save as an ordinary Hugging Face folder plus `thoughtscope.json` (and the fill's parameters, if any)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        card = {
            "method": self.method.model_dump(mode="json"),
            "stage": self.stage.index,
            "steps": self.steps,
            "prompting": self.prompting.model_dump(mode="json"),
        }
        (folder / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
        if self.fill is not None and self.fill.parameters is not None:
            save_file(self.fill.parameters.state_dict(), folder / FILL)


def load_reasoner(folder: Path, *, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa") -> Reasoner:
    """Load a reasoner from a folder that `Reasoner.save` wrote.

    Raises:
        UserError: the folder lacks its card, its weights or its tokenizer.
    """
    path = folder / CARD
    if not path.is_file():
        raise UserError(str(path), "no such file", "point to the model folder of a run")
    card = json.loads(path.read_text())
    method = read_method(card["method"], f"{path}: method")
    model, tokenizer = load_backbone(folder, attention=attention, dtype=dtype)
    model.to(device)
    stage = method.stages(card["steps"])[card["stage"]]
    modules = fill_modules([stage], model.config.get_text_config().hidden_size)
    for module in modules.values():
        if not (folder / FILL).is_file():
            raise UserError(str(folder / FILL), "no such file", "copy the whole model folder of a run")
        module.load_state_dict(load_file(folder / FILL))
        module.to(device=device, dtype=model.dtype).eval()
    return Reasoner(
        model, tokenizer, method, stage, modules, Prompting.model_validate(card["prompting"]), card["steps"]
    )


def read_method(raw: Mapping[str, Any], where: str) -> BaseMethod:
    """Read a method from the settings of a method file.

    Args:
        where: the file, for errors.

    Raises:
        UserError: no such kind of method, or a mistake in its settings.
    """
    method: BaseMethod = read_settings("methods", raw, where)[1]  # type: ignore[assignment]
    return method


def fill_modules(stages: Sequence[Stage], width: int) -> dict[str, nn.Module]:
    """Return new parameters for the fills of `stages`, by kind, for hidden states of `width`."""
    found: dict[str, nn.Module] = {}
    for fill in (stage.fill for stage in stages if stage.fill is not None):
        module = None if fill.kind in found else fill.parameters(width)
        if module is not None:
            found[fill.kind] = module
    return found


def encode(tokenizer: Any, prompting: Prompting, row: Mapping[str, Any]) -> Example:
    """Turn a row of a reasoning task into token ids: prompt, each step with its separator, answer and EOS.

    Raises:
        UserError: the row has no answer.
    """
    if not (row["answer"] or "").strip():
        raise UserError(f"example {row['example_id']}", "it has no answer", "complete or remove it")
    answer = response_ids(tokenizer, answer_text(row["answer"]))
    return Example(
        example_id=row["example_id"],
        prompt=prompt_ids(tokenizer, row["question"], prompting.chat, prompting.chat_arguments),
        steps=[response_ids(tokenizer, text) for text in step_texts(row["steps"])],
        answer=[*answer, tokenizer.eos_token_id],
        cue=cue_length(tokenizer, answer),
        gold=row["answer"],
        judge=Judge.of(row),
        overlap=row.get("overlap"),
    )


def cue_length(tokenizer: Any, answer: Sequence[int]) -> int:
    """Return how many tokens of an encoded `answer_text` come before the first one that holds a part of its value.

    Tokenizers cut ` #### 12` in different places: GPT-2 writes the space with the number, Llama 3 and Qwen as a token
    of its own. The text of the tokens decides, so that the token before the value is the right one for each of them.
    """
    lengths = (n for n in range(1, len(answer) + 1) if not ANSWER.startswith(decoded(tokenizer, answer[:n]).strip()))
    return next(lengths, 1) - 1


def device_and_dtype(precision: str) -> tuple[str, str]:
    """Return the device and the dtype of `precision`: auto is bfloat16 on CUDA, else float32."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wide = precision == "float32" or (precision == "auto" and device == "cpu")
    return device, "float32" if wide else "bfloat16"
