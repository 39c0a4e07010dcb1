"""A reasoner: a model with its tokenizer, method and stage, which answers questions with latents.

Training, evaluation and extraction use it.
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
from thoughtscope.latents.cost import Sizes, operations
from thoughtscope.latents.fill import Fill
from thoughtscope.latents.generate import Decoding, Generation, Watch, generate
from thoughtscope.latents.layout import TokenSequence, with_latents
from thoughtscope.latents.packing import cuts
from thoughtscope.latents.thinking import Thinking
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Example, Stage, TokenIds
from thoughtscope.plugins import read_settings
from thoughtscope.settings import Strict
from thoughtscope.tasks.answers import Judge
from thoughtscope.tasks.reasoning import ANSWER, answer_text, step_texts

CARD, FILL = "thoughtscope.json", "fill.safetensors"


class Prompting(Strict):
    """How a question is turned into a prompt."""

    chat: bool = True
    chat_arguments: dict[str, Any] = {}


@dataclass(frozen=True)
class Reasoner:
    """A model that reasons as in one stage of a method. `at` returns the same model in another stage.

    Attributes:
        model: a Transformers causal LM.
        method: settings and behaviour of the method.
        fill_modules: the trained parameters of each kind of fill; all stages with that kind share them.
        steps: number of reasoning steps of the longest training example, which decides the stages.
    """

    model: Any
    tokenizer: Any
    method: BaseMethod
    stage: Stage
    fill_modules: Mapping[str, nn.Module]
    prompting: Prompting
    steps: int

    def at(self, stage: Stage) -> Reasoner:
        """Return a reasoner for another stage, with the same model."""
        return replace(self, stage=stage)

    @property
    def fill(self) -> Fill | None:
        """The fill of the stage's latents; None if it has no latents."""
        settings = self.stage.fill
        if settings is None or self.latent_id is None:
            return None
        return Fill(settings, self.latent_id, self.fill_modules.get(settings.kind))

    @cached_property
    def ids(self) -> TokenIds:
        """The ids of the tokens that the method added."""
        found = {token: self.tokenizer.convert_tokens_to_ids(token) for token in self.method.tokens}
        return TokenIds({token: i for token, i in found.items() if i not in (None, self.tokenizer.unk_token_id)})

    @property
    def latent_id(self) -> int | None:
        """The id of the token at latents; None if the method has no latents."""
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
        """Turn a question with steps and answer into token ids; see `encode`.

        Raises:
            UserError: the row has no answer.
        """
        return encode(self.tokenizer, self.prompting, row)

    def prompt(self, example: Example) -> TokenSequence:
        """Return the input for a question: its prompt, with the latents that the stage forces."""
        return self.method.prompt(self.stage, example, self.ids)

    def layout(self, example: Example, rng: random.Random, probabilities: list[float] | None) -> TokenSequence:
        """Return an example in the training layout of the stage; see `methods.base.BaseMethod.layout`."""
        return self.method.layout(self.stage, example, self.ids, rng, probabilities)

    def generate(
        self,
        examples: Sequence[Example],
        decoding: Decoding,
        any_rank: Callable[[bool], bool] = bool,
        latents: int | None = None,
        watch: Watch | None = None,
    ) -> list[Generation]:
        """Answer questions, with the latents that the stage forces or lets the model choose; keep their order.

        Args:
            any_rank: returns whether its argument is true on any rank; ranks that shard a model step together.
            latents: force so many latents, or let the model choose so many at most; None: as the stage does.
            watch: sees the scores of every token before it is chosen; see `latents.generate.generate`.
        """
        prompts, chosen = [self.prompt(one) for one in examples], decoding.max_latents if self.stage.chosen else 0
        if latents is not None and self.stage.chosen:
            chosen = latents
        elif latents is not None:
            prompts = [with_latents(one, latents) for one in prompts]
        return generate(
            self.model,
            prompts,
            self.fill,
            decoding.model_copy(update={"max_latents": chosen}),
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

    def operations(self, generation: Generation) -> float:
        """Return the floating-point operations of a response alone in its batch; see `latents.cost.operations`."""
        prompt, fill = generation.prompt, self.stage.fill
        pieces = cuts(prompt, len(prompt.token_ids), fill)
        further = generation.passes - len(pieces)  # positions of the response that were computed
        start = len(prompt.token_ids)
        pieces += [(start + i, start + i + 1) for i in range(further)]
        filled = generation.latents + prompt.latents if fill is not None and fill.sequential else 0
        if fill is not None and fill.sweeps is not None and prompt.latents > fill.sweeps:
            filled *= fill.sweeps
        scored = further + 1 + (filled if fill is not None and fill.reads_head else 0)
        return operations(self._sizes, pieces, scored, filled)

    @cached_property
    def _sizes(self) -> Sizes:
        return Sizes.of(self.model, self.fill.parameters if self.fill else None)

    def text(self, generation: Generation) -> str:
        """Return the text of a response without the tokens that the method added."""
        own = set(self.ids.ids.values())
        return decoded(self.tokenizer, [token for token in generation.response if token not in own]).strip()

    def save(self, folder: Path) -> None:
        """Save a Hugging Face model folder with `thoughtscope.json` and the parameters of fills, if any."""
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
        UserError: the folder lacks `thoughtscope.json`, weights or a tokenizer.
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
        UserError: there is no such kind of method, or its settings have a mistake.
    """
    return read_settings(BaseMethod, raw, where)


def fill_modules(stages: Sequence[Stage], width: int) -> dict[str, nn.Module]:
    """Return new parameters for each kind of fill in `stages`, for hidden states of size `width`."""
    found: dict[str, nn.Module] = {}
    for fill in (stage.fill for stage in stages if stage.fill is not None):
        module = None if fill.kind in found else fill.parameters(width)
        if module is not None:
            found[fill.kind] = module
    return found


def encode(tokenizer: Any, prompting: Prompting, row: Mapping[str, Any]) -> Example:
    """Turn a question with steps and answer into token ids: prompt, each step with its separator, answer with EOS.

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
    """Return the device, and the dtype of `precision`: auto is bfloat16 on CUDA and float32 on the CPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wide = precision == "float32" or (precision == "auto" and device == "cpu")
    return device, "float32" if wide else "bfloat16"
