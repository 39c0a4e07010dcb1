"""Loads a model or a tokenizer from a folder or a hub, always through `from_pretrained`, never with remote code.

A backbone that is not built here is kept as `reference.json`: where it is, and at which revision. Of a model that
also sees images only the part that reads text is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from thoughtscope.errors import UserError
from thoughtscope.hub import first_line, hub_error

REFERENCE = "reference.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


@dataclass(frozen=True)
class Place:
    """Where a model stands: a folder, or a hub id at a revision."""

    name: str
    revision: str | None = None
    local: bool = True

    @property
    def arguments(self) -> dict[str, Any]:
        """What `from_pretrained` needs to know beside the name."""
        found: dict[str, Any] = {"local_files_only": True} if self.local else {"revision": self.revision}
        return {**found, "trust_remote_code": False}

    def error(self, error: Exception, mend: str) -> UserError:
        """Return the one line for what `from_pretrained` raised here."""
        if not self.local:
            return hub_error(f"hub_id {self.name}", self.name, self.revision, error)
        return UserError(self.name, f"it does not load ({first_line(error)})", mend)


def load_model(folder: Path, *, attention: str = "sdpa", dtype: str = "float32") -> Any:
    """Load the causal LM of a backbone or run folder, in evaluation mode.

    Raises:
        UserError: no weights, no configuration, a hub that cannot be reached or refuses, or generation settings
            that could not be saved again.
    """
    place = find(folder)
    if place.local and not list(Path(place.name).glob("*.safetensors")):
        raise UserError(place.name, "no weights (*.safetensors)", "point to a complete Hugging Face model folder")
    try:
        loaded, report = AutoModelForCausalLM.from_pretrained(
            place.name,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            output_loading_info=True,
            **place.arguments,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if "does not support an attention implementation" in str(error):
            raise UserError(place.name, f"its class has no {attention} attention", "set attention: eager") from error
        raise place.error(error, "complete or correct the folder") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(place.name, f"weight {missing[0]} is missing", "complete the *.safetensors files")
    model = text_part(loaded)
    try:
        model.generation_config.validate(strict=True)
    except ValueError as error:
        raise UserError(f"{place.name}: generation_config.json", first_line(error), "correct it") from error
    return model.eval()


def text_part(model: Any) -> Any:
    """Return the causal LM that reads text inside a model that also sees images; any other model as it is.

    Raises:
        UserError: the text part cannot stand alone.
    """
    config = model.config.get_text_config()
    if config is model.config:
        return model
    try:
        with torch.device("meta"):
            text = AutoModelForCausalLM.from_config(config, attn_implementation=model.config._attn_implementation)
    except ValueError as error:  # e.g. a text part that exists only inside its class
        problem = f"the text part of {type(model).__name__} is no causal language model of its own"
        raise UserError(f"model {model.config.model_type}", problem, "use another model") from error
    setattr(text, text.base_model_prefix, model.get_decoder())
    text.set_output_embeddings(model.get_output_embeddings())
    text.tie_weights()
    text.generation_config = model.generation_config
    return text


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a backbone or run folder.

    Raises:
        UserError: there is none, or it has no end-of-sequence token.
    """
    place = find(folder)
    if place.local and not any((Path(place.name) / name).is_file() for name in TOKENIZER_FILES):
        raise UserError(place.name, "no tokenizer", f"add one of {', '.join(TOKENIZER_FILES)}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(place.name, **place.arguments)
    except (OSError, ValueError) as error:
        raise place.error(error, "add tokenizer.json") from error
    if tokenizer.eos_token_id is None:
        raise UserError(place.name, "the tokenizer has no EOS token", "set eos_token in tokenizer_config.json")
    return tokenizer


def ending_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a response: the tokenizer's EOS and all that generation_config.json names."""
    named = model.generation_config.eos_token_id
    more = named if isinstance(named, list) else [] if named is None else [named]
    return frozenset({int(tokenizer.eos_token_id), *map(int, more)})


def find(folder: Path) -> Place:
    """Return what to hand to `from_pretrained`: the folder itself, or what its reference names.

    Raises:
        UserError: there is no such folder.
    """
    path = folder / REFERENCE
    reference = json.loads(path.read_text()) if path.is_file() else {"path": str(folder)}
    if "hub_id" in reference:
        return Place(reference["hub_id"], reference["revision"], local=False)
    if not Path(reference["path"]).is_dir():
        raise UserError(reference["path"], "no such folder", "check the backbone's path")
    return Place(reference["path"])
