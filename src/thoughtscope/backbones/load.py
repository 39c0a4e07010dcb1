"""Loads the model and the tokenizer of a folder or a hub, always through `from_pretrained`, never with remote code.

The artifact of a backbone that is not built here has a `reference.json` with its location and revision. Of a model that
also reads images, only the text part is loaded. The tokenizer is that of tokenizer.json. `AutoTokenizer` is not used,
because it builds some tokenizers from their vocabulary with the pre-tokeniser of their family and ignores that file.
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

MODEL = "model"  # in the artifact of a backbone or a run, the folder of the model or of the reference to it
TOKENIZER = "tokenizer.json"
SENTENCEPIECE = "tokenizer.model"
TOKENIZER_FILES = (TOKENIZER, SENTENCEPIECE, "vocab.json")


def load_backbone(folder: Path, *, attention: str = "sdpa", dtype: str = "float32") -> tuple[Any, Any]:
    """Load the causal LM and the tokenizer of a backbone or run folder, and check that they belong together.

    Raises:
        UserError: as in `load_model` and `load_tokenizer`, or a token of the tokenizer has no row in the model.
    """
    check_folder(find(folder))
    tokenizer = load_tokenizer(folder)
    model = load_model(folder, attention=attention, dtype=dtype)
    check_rows(rows_of(model), tokenizer, {*text_ids(tokenizer), tokenizer.eos_token_id}, find(folder).name)
    return model, tokenizer


def rows_of(model: Any) -> int:
    """Return the number of rows of the embedding table of a model."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_rows(rows: int, tokenizer: Any, ids: Iterable[int], where: str) -> None:
    """Refuse token ids that are not below `rows`, the number of rows of the embedding table.

    Not all added tokens have to be in `ids`: some have no row, and no text or template produces them (the image token
    of Gemma-3 1B).

    Raises:
        UserError: an id is too large; names the largest and its token.
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
        UserError: `check_folder` refuses the folder, the weights do not fit the configuration, the hub cannot be
            reached or refuses access, or the generation settings cannot be saved.
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
    except Exception as error:  # a broken file can make Transformers raise any exception
        if "does not support an attention implementation" in str(error):
            raise UserError(place.name, f"its class has no {attention} attention", "set attention: eager") from error
        raise place.error(error, "complete or correct the folder") from error
    _check_keys(place, loaded, report)
    model = text_part(loaded)
    _check_generation(place, model)
    return model.eval()


def _check_keys(place: Place, model: Any, report: dict[str, Any]) -> None:
    """Refuse weights that are missing or have another shape, and layers in the files that the model lacks."""
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
    """Refuse generation settings that cannot be read, or that could not be saved with a trained model."""
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
    """Return the text part of a model that also reads images, as a causal LM; other models are returned unchanged.

    Raises:
        UserError: the text part cannot be used alone.
    """
    config = model.config.get_text_config()
    if config is model.config:
        return model
    try:
        with torch.device("meta"):
            text = AutoModelForCausalLM.from_config(config, attn_implementation=model.config._attn_implementation)
    except ValueError as error:  # e.g. a text part without a class of its own
        problem = f"the text part of {type(model).__name__} is no causal language model of its own"
        raise UserError(f"model {model.config.model_type}", problem, "use another model") from error
    setattr(text, text.base_model_prefix, model.get_decoder())
    text.set_output_embeddings(model.get_output_embeddings())
    text.tie_weights()
    text.generation_config = model.generation_config
    return text


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a backbone or run folder, from tokenizer.json if there is one.

    Special tokens, chat template and other settings come from tokenizer_config.json.

    Raises:
        UserError: there is no tokenizer, it does not load, is not a fast one, or has no end-of-sequence token.
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
    """Set the default EOS of the tokenizer's class if its files name none (GPT-2) and the vocabulary has it."""
    if (read_json(place, "tokenizer_config.json") or {}).get("eos_token", "") is None:
        return
    eos = from_place(AutoTokenizer, place).eos_token
    if eos in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"eos_token": eos})


def ending_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end a response: the tokenizer's EOS and those of generation_config.json."""
    named = model.generation_config.eos_token_id
    more = named if isinstance(named, list) else [] if named is None else [named]
    return frozenset({int(tokenizer.eos_token_id), *map(int, more)})
