"""Loads a model or a tokenizer from a folder or a hub, always through `from_pretrained`, never with remote code.

A backbone that is not built here is kept as `reference.json`: where it is, and at which revision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from thoughtscope.errors import UserError

REFERENCE = "reference.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def load_model(folder: Path, *, attention: str = "sdpa", dtype: str = "float32") -> Any:
    """Load the causal LM of a backbone or run folder, in evaluation mode.

    Raises:
        UserError: no weights, no configuration, or a hub that cannot be reached.
    """
    place, arguments = _resolve(folder)
    if Path(place).is_dir() and not list(Path(place).glob("*.safetensors")):
        raise UserError(str(place), "no weights (*.safetensors)", "point to a complete Hugging Face model folder")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            place, dtype=getattr(torch, dtype), attn_implementation=attention, trust_remote_code=False, **arguments
        )
    except (OSError, ValueError) as error:
        raise UserError(
            str(place), f"it does not load ({_first_line(error)})", "check path or hub_id, revision and access"
        ) from error
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a backbone or run folder.

    Raises:
        UserError: there is none, or it has no end-of-sequence token.
    """
    place, arguments = _resolve(folder)
    if Path(place).is_dir() and not any((Path(place) / name).is_file() for name in TOKENIZER_FILES):
        raise UserError(str(place), "no tokenizer", f"add one of {', '.join(TOKENIZER_FILES)}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False, **arguments)
    except (OSError, ValueError) as error:
        raise UserError(str(place), f"no tokenizer loads ({_first_line(error)})", "add tokenizer.json") from error
    if tokenizer.eos_token_id is None:
        raise UserError(str(place), "the tokenizer has no EOS token", "set eos_token in tokenizer_config.json")
    return tokenizer


def _resolve(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return what to hand to `from_pretrained`: the folder itself, or what its reference names."""
    path = folder / REFERENCE
    if not path.is_file():
        if not folder.is_dir():
            raise UserError(str(folder), "no such folder", "check the backbone's path")
        return str(folder), {"local_files_only": True}
    reference = json.loads(path.read_text())
    if "path" in reference:
        return reference["path"], {"local_files_only": True}
    return reference["hub_id"], {"revision": reference["revision"]}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
