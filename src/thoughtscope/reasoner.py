"""A reasoner: a model with its tokenizer, method and stage, that answers questions with its latents.

The one place where a saved model folder becomes something that reasons; used while training, by
evaluation and by extraction. Knows nothing about optimisation, tables or figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from thoughtscope.backbones.load import ending_ids, load_backbone
from thoughtscope.backbones.prompt import decoded, prompt_ids, response_ids
from thoughtscope.errors import UserError
from thoughtscope.latents.generate import Decoding, Generation, generate
from thoughtscope.methods.curriculum import Example, Stage, TokenIds, check_tokens
from thoughtscope.plugins import latents, read_settings
from thoughtscope.settings import Strict
from thoughtscope.tasks.answers import Judge
from thoughtscope.tasks.reasoning import answer_text, step_texts

if TYPE_CHECKING:
    from thoughtscope.latents.fill import Fill

CARD, FILL = "thoughtscope.json", "fill.safetensors"


class Prompting(Strict):
    """How a question becomes a prompt."""

    chat: bool = True
    chat_arguments: dict[str, Any] = {}


@dataclass(frozen=True)
class Method:
    """A method's kind and settings, with the functions that its module offers (see `thoughtscope.methods.contract`)."""

    name: str
    module: ModuleType
    settings: Any

    @classmethod
    def parse(cls, name: str, raw: Mapping[str, Any]) -> Method:
        """Read a method from its settings as they stand in a file.

        Raises:
            UserError: no such kind of method, or a mistake in its settings.
        """
        where = f"method {name}"
        module, settings = read_settings("methods", raw, where)
        check_tokens(module, settings, where)
        return cls(name, module, settings)

    def stages(self, steps: int) -> list[Stage]:
        """Return its curriculum for tasks of at most `steps` steps."""
        return self.module.stages(self.settings, steps)  # type: ignore[no-any-return]

    @property
    def tokens(self) -> list[str]:
        """The tokens it adds to the vocabulary."""
        return self.module.tokens(self.settings)  # type: ignore[no-any-return]

    @property
    def latent_token(self) -> str | None:
        """The token that stands at latents."""
        return self.module.latent_token(self.settings)  # type: ignore[no-any-return]


@dataclass
class Reasoner:
    """A model that reasons as a stage of a method does.

    Attributes:
        fill: computes what is fed at latents; None: the stage has none.
    """

    model: Any
    tokenizer: Any
    method: Method
    stage: Stage
    fill: Fill | None
    prompting: Prompting
    steps: int

    @cached_property
    def ids(self) -> TokenIds:
        """Ids of the tokens that the method added."""
        vocabulary = self.tokenizer.get_vocab()
        return TokenIds({token: vocabulary[token] for token in self.method.tokens if token in vocabulary})

    @property
    def latent_id(self) -> int | None:
        """Id of the token that stands at latents."""
        return None if self.method.latent_token is None else self.ids[self.method.latent_token]

    def encode(self, row: Mapping[str, Any]) -> Example:
        """Turn a row of a reasoning task into token ids.

        Raises:
            UserError: the row has no answer.
        """
        return encode(self.tokenizer, self.prompting, row)

    def generate(
        self,
        examples: Sequence[Example],
        decoding: Decoding,
        any_rank: Callable[[bool], bool] = bool,
    ) -> list[Generation]:
        """Answer questions freely, latents forced or chosen as the stage has it; the order is kept."""
        prompts = [self.method.module.prompt(self.method.settings, self.stage, one, self.ids) for one in examples]
        chosen = decoding if self.stage.chosen else decoding.model_copy(update={"max_latents": 0})
        return generate(
            self.model,
            prompts,
            self.fill,
            chosen,
            latent_id=self.latent_id,
            eos_ids=ending_ids(self.model, self.tokenizer),
            any_rank=any_rank,
        )

    def text(self, generation: Generation) -> str:
        """Return a response's text: everything but the method's own tokens."""
        own = set(self.ids.ids.values())
        return decoded(self.tokenizer, [token for token in generation.response if token not in own]).strip()

    def save(self, folder: Path) -> None:
        """Save as an ordinary Hugging Face folder plus `thoughtscope.json` (and the fill's weights, if any)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        card = {
            "method": self.method.name,
            "settings": self.method.settings.model_dump(mode="json"),
            "stage": self.stage.index,
            "steps": self.steps,
            "prompting": self.prompting.model_dump(mode="json"),
        }
        (folder / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
        if self.fill is not None and self.fill.adapter is not None:
            save_file(dict(self.fill.state_dict()), folder / FILL)


def load_reasoner(folder: Path, *, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa") -> Reasoner:
    """Load a reasoner from a folder that `Reasoner.save` wrote.

    Raises:
        UserError: the folder lacks its card, its weights or its tokenizer.
    """
    path = folder / CARD
    if not path.is_file():
        raise UserError(str(path), "no such file", "point to the model folder of a run")
    card = json.loads(path.read_text())
    method = Method.parse(card["method"], card["settings"])
    model, tokenizer = load_backbone(folder, attention=attention, dtype=dtype)
    model.to(device)
    stage = method.stages(card["steps"])[card["stage"]]
    reasoner = Reasoner(
        model, tokenizer, method, stage, None, Prompting.model_validate(card["prompting"]), card["steps"]
    )
    reasoner.fill = make_fill(reasoner, model.config.get_text_config().hidden_size)
    if reasoner.fill is not None:
        reasoner.fill.to(device=device, dtype=model.dtype)
        if reasoner.fill.adapter is not None:
            reasoner.fill.load_state_dict(load_file(folder / FILL))
    return reasoner


def make_fill(reasoner: Reasoner, width: int) -> Fill | None:
    """Return a fresh fill for the reasoner's stage, or None if it has no latents."""
    if reasoner.stage.fill is None or reasoner.latent_id is None:
        return None
    fill: Fill = latents().Fill(reasoner.stage.fill, width, reasoner.latent_id)
    return fill


def encode(tokenizer: Any, prompting: Prompting, row: Mapping[str, Any]) -> Example:
    """Turn a row of a reasoning task into token ids: prompt, each step with its separator, answer and EOS.

    Raises:
        UserError: the row has no answer.
    """
    if not (row["answer"] or "").strip():
        raise UserError(f"example {row['example_id']}", "it has no answer", "complete or remove it")
    return Example(
        example_id=row["example_id"],
        prompt=prompt_ids(tokenizer, row["question"], prompting.chat, prompting.chat_arguments),
        steps=[response_ids(tokenizer, text) for text in step_texts(row["steps"])],
        answer=[*response_ids(tokenizer, answer_text(row["answer"])), tokenizer.eos_token_id],
        gold=row["answer"],
        judge=Judge.of(row),
        overlap=row.get("overlap"),
    )


def device_and_dtype(precision: str) -> tuple[str, str]:
    """Return where and in which precision to compute: CUDA and bf16 where there is a card, unless told otherwise."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wide = precision == "float32" or (precision == "auto" and device == "cpu")
    return device, "float32" if wide else "bfloat16"
