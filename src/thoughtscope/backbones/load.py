"""Loads the model and the tokenizer of a folder or a hub, always through `from_pretrained`, never with remote code.

A backbone that is not built here is kept as `reference.json`: where it is, and at which revision. Of a model that
also sees images only the part that reads text is kept. The tokenizer is the one that tokenizer.json describes:
`AutoTokenizer` builds some from their vocabulary with the pre-tokeniser of their family, whatever that file says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import is_sentencepiece_available

from thoughtscope.backbones.encoder import text_ids
from thoughtscope.backbones.folder import CONFIG, GENERATION, Place, check_folder, find, read_json
from thoughtscope.errors import UserError
from thoughtscope.hub import first_line

MODEL = "model"  # the folder of the model, or of the reference to it, in the artifact of a backbone or a run
TOKENIZER = "tokenizer.json"
SENTENCEPIECE = "tokenizer.model"
TOKENIZER_FILES = (TOKENIZER, SENTENCEPIECE, "vocab.json")


def load_backbone(folder: Path, *, attention: str = "sdpa", dtype: str = "float32") -> tuple[Any, Any]:
    """Load the causal LM and the tokenizer of a backbone or run folder, and check that they belong together.

    Raises:
        UserError: as `load_model` and `load_tokenizer` do, or a token of the tokenizer has no row in the model.
    """
    check_folder(find(folder))
    tokenizer = load_tokenizer(folder)
    model = load_model(folder, attention=attention, dtype=dtype)
    check_rows(rows_of(model), tokenizer, {*text_ids(tokenizer), tokenizer.eos_token_id}, find(folder).name)
    return model, tokenizer


def rows_of(model: Any) -> int:
    """Return how many rows the embedding table of a model has."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_rows(rows: int, tokenizer: Any, ids: Iterable[int], where: str) -> None:
    """Refuse token ids that have no row in an embedding table of so many rows.

    Added tokens that no text and no template produces may have none (Gemma-3 1B lists one for images).

    Raises:
        UserError: an id is too large; the largest is named, with its token.
    """
    largest = max(ids)
    if largest >= rows:
        raise UserError(
            where,
            f"token {tokenizer.convert_ids_to_tokens(largest)!r} has id {largest}, the embedding table has {rows} rows",
            "take the tokenizer that belongs to the weights, or resize the table and save the model",
        )


def load_model(folder: Path, *, attention: str = "sdpa", dtype: str = "float32") -> Any:
    """Load the causal LM of a backbone or run folder, in evaluation mode.

    Raises:
        UserError: a folder that `check_folder` refuses, weights that do not fit the configuration, a hub that cannot be
            reached or refuses, or generation settings that could not be saved again.
    """
    place = find(folder)
    check_folder(place)
    try:
        loaded, report = AutoModelForCausalLM.from_pretrained(
            place.name,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with the name of the weight
            **place.arguments,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # Transformers raises whatever a broken file makes it stumble over
        if "does not support an attention implementation" in str(error):
            raise UserError(place.name, f"its class has no {attention} attention", "set attention: eager") from error
        raise place.error(error, "complete or correct the folder") from error
    _check_keys(place, loaded, report)
    model = text_part(loaded)
    _check_generation(place, model)
    return model.eval()


def _check_keys(place: Place, model: Any, report: dict[str, Any]) -> None:
    """Refuse weights that are missing or of another shape, and layers that only the files have."""
    where, fix = f"{place.name}/{CONFIG}", f"take the {CONFIG} that belongs to the weights"
    names = {name for name, _ in model.named_parameters()}
    missing = sorted(report["missing_keys"])
    lacking = sorted(names.intersection(missing))
    if len(lacking) > len(names) / 2:
        raise UserError(where, f"the files lack {len(lacking)} of its {len(names)} weights, as {lacking[0]}", fix)
    if missing:
        raise UserError(place.name, f"weight {missing[0]} is missing", "complete the *.safetensors files")
    for name, stored, expected in sorted(report["mismatched_keys"]):
        raise UserError(where, f"it makes weight {name} {_shape(expected)}, in the files it is {_shape(stored)}", fix)
    kinds = {_without_numbers(name) for name in names}
    for name in sorted(report["unexpected_keys"]):
        if _without_numbers(name) in kinds:
            raise UserError(where, f"the files hold weight {name}, which its model does not have", fix)


def _check_generation(place: Place, model: Any) -> None:
    """Refuse generation settings that cannot be read, or could not be saved with what a run trains."""
    where = f"{place.name}/{GENERATION}"
    settings = model.generation_config
    ends = settings.eos_token_id if isinstance(settings.eos_token_id, list) else [settings.eos_token_id or 0]
    if not all(isinstance(one, int) for one in ends):
        raise UserError(f"{where}: eos_token_id", f"{settings.eos_token_id!r} is no token id", "correct it")
    try:
        settings.validate(strict=True)
    except (ValueError, TypeError) as error:
        raise UserError(where, first_line(error), "correct it") from error


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "*", name)


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
    """Load the tokenizer of a backbone or run folder, as tokenizer.json describes it if there is one.

    Special tokens, chat template and other settings come from tokenizer_config.json.

    Raises:
        UserError: there is none, it does not load, has no fast form, or no end-of-sequence token.
    """
    place = find(folder)
    if place.local and not any(place.file(name) for name in TOKENIZER_FILES):
        raise UserError(place.name, "no tokenizer", f"add one of {', '.join(TOKENIZER_FILES)}")
    read_json(place, "tokenizer_config.json")
    described = place.file(TOKENIZER) is not None
    if not described and place.file(SENTENCEPIECE) and not is_sentencepiece_available():
        raise UserError(
            f"{place.name}/{SENTENCEPIECE}", "reading it needs the package sentencepiece",
            f"install it, or convert the tokenizer and add {TOKENIZER}",
        )  # fmt: skip
    tokenizer = from_place(PreTrainedTokenizerFast if described else AutoTokenizer, place)
    if not tokenizer.is_fast:
        raise UserError(
            place.name, f"{type(tokenizer).__name__} has no fast form", "convert the tokenizer and save tokenizer.json"
        )
    if tokenizer.eos_token_id is None and described:
        _take_default_eos(tokenizer, place)
    if tokenizer.eos_token_id is None:
        raise UserError(place.name, "the tokenizer has no EOS token", "set eos_token in tokenizer_config.json")
    return tokenizer


def from_place(kind: Any, place: Place) -> Any:
    """Load a tokenizer through the class `kind`.

    Raises:
        UserError: it does not load.
    """
    try:
        return kind.from_pretrained(place.name, **place.arguments)
    except Exception as error:  # `tokenizers` raises plain Exception for a file it cannot read
        read_json(place, TOKENIZER)
        raise place.error(error, f"correct or add {TOKENIZER}") from error


def _take_default_eos(tokenizer: Any, place: Place) -> None:
    """Take the EOS that the family's class has by default (GPT-2's files name none), if the vocabulary has it."""
    if (read_json(place, "tokenizer_config.json") or {}).get("eos_token", "") is None:
        return
    eos = from_place(AutoTokenizer, place).eos_token
    if eos in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"eos_token": eos})


def ending_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a response: the tokenizer's EOS and all that generation_config.json names."""
    named = model.generation_config.eos_token_id
    more = named if isinstance(named, list) else [] if named is None else [named]
    return frozenset({int(tokenizer.eos_token_id), *map(int, more)})
