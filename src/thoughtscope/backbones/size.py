"""The number of parameters of a backbone, from its file or from the headers of its weights. Loads no weights.

A safetensors file begins with the length of its header (8 bytes, little-endian) and the header as JSON, which gives the
shape of each tensor.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

from thoughtscope.backbones.gguf_file import locate
from thoughtscope.backbones.settings import Settings
from thoughtscope.errors import UserError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MOST_PER_BYTE = 2  # weights per byte of a GGUF file; four bits per weight is the usual minimum
LARGEST_HEADER = 100_000_000  # bytes; the limit of the format


def parameters(settings: Settings) -> int | None:
    """Return the number of parameters of a backbone, from its `facts`, its folder or the hub's cache, in this order.

    A tiny backbone counts as 0, and a GGUF file as the largest number that its size allows. None: unknown, because the
    model is on a hub and not in the cache, and its file does not state it.

    Raises:
        UserError: a file of weights cannot be read.
    """
    if settings.source == "tiny":
        return 0
    if settings.facts.parameters is not None:
        return settings.facts.parameters
    if settings.source == "gguf":
        return MOST_PER_BYTE * locate(settings, "backbone").stat().st_size
    folder = Path(str(settings.path)) if settings.source == "folder" else _cached(settings)
    return count_parameters(folder) if weight_files(folder) else None


def _cached(settings: Settings) -> Path:
    from huggingface_hub import constants  # slow to import, and every job reads the config
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=str(settings.hub_id), repo_type="model")
    return Path(constants.HF_HUB_CACHE) / name / "snapshots" / str(settings.revision)


def weight_files(folder: Path) -> list[Path]:
    """Return the files that Transformers loads weights from: one, those of the index, or all safetensors files."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        return [folder / name for name in sorted(set(_json(folder / INDEX)["weight_map"].values()))]
    return sorted(folder.glob("*.safetensors"))


@functools.cache
def count_parameters(folder: Path) -> int:
    """Return the number of weights in a model folder's safetensors files.

    Raises:
        UserError: a file is missing, or is no safetensors file.
    """
    return sum(
        math.prod(tensor["shape"])
        for path in weight_files(folder)
        for name, tensor in _header(path).items()
        if name != "__metadata__"
    )


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return dict(json.loads(file.read(min(length, LARGEST_HEADER))))
    except (OSError, ValueError) as error:
        raise UserError(str(path), "no safetensors file", "complete or replace the model folder") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(str(path), "no JSON file", "complete or replace the model folder") from error
