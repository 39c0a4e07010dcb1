"""Checks a Hugging Face model folder before it is loaded; errors are one line with the file, the key and a fix.

For a model on a hub, only its small files are checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import cached_file

from thoughtscope.errors import UserError
from thoughtscope.hub import first_line, hub_error

REFERENCE = "reference.json"
CONFIG, GENERATION, ADAPTER = "config.json", "generation_config.json", "adapter_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.gguf", "*.h5", "*.msgpack")
QUANTISED = ("quantization_config", "compression_config")
QUANTISED_FILES = ("quantize_config.json", "quant_config.json", "quantization_config.json", "hf_quant_config.json")
FLOATS = ("F64", "F32", "F16", "BF16")
COMPLETE = "point to a complete Hugging Face model folder"


@dataclass(frozen=True)
class Place:
    """The location of a model: a folder, or a hub id at a revision."""

    name: str
    revision: str | None = None
    local: bool = True

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `from_pretrained` besides the name."""
        found: dict[str, Any] = {"local_files_only": True} if self.local else {"revision": self.revision}
        return {**found, "trust_remote_code": False}

    def file(self, name: str, *, required: bool = False) -> Path | None:
        """Return a small file of the model, downloaded if it is on a hub and not in the cache; None: no such file.

        Raises:
            UserError: the hub refuses access; or the file is required and missing, or the hub cannot be reached.
        """
        if self.local:
            path = Path(self.name) / name
            return path if path.is_file() else None
        try:
            found = cached_file(self.name, name, revision=self.revision, _raise_exceptions_for_missing_entries=required)
        except (OSError, ValueError) as error:
            raise self.error(error, "") from error
        return None if found is None else Path(found)

    def error(self, error: Exception, fix: str) -> UserError:
        """Return the one-line error for an exception of `from_pretrained`."""
        if not self.local:
            return hub_error(f"hub_id {self.name}", self.name, self.revision, error)
        return UserError(self.name, f"it does not load ({first_line(error)})", fix)


def find(folder: Path) -> Place:
    """Return the place that `from_pretrained` loads from: the folder itself, or the one in its `reference.json`.

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


def check_folder(place: Place) -> None:
    """Refuse a model that cannot be trained.

    Raises:
        UserError: the model is an adapter or quantised, its configuration cannot be read, or its weights are missing,
            damaged, not in safetensors or not floating-point numbers.
    """
    _check_adapter(place)
    config = read_json(place, CONFIG, required=True)
    if config is None:
        raise UserError(f"{place.name}/{CONFIG}", "no such file", COMPLETE)
    _check_family(place, config)
    _check_unquantised(place, config)
    read_json(place, GENERATION)
    if place.local:
        for file in _weight_files(place):
            _check_weights(file)


def read_json(place: Place, name: str, *, required: bool = False) -> dict[str, Any] | None:
    """Return the content of a JSON file of a model; None: no such file.

    Raises:
        UserError: the file is empty, or has no JSON object.
    """
    path = place.file(name, required=required)
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        problem = "the file is empty" if path.stat().st_size == 0 else f"it is no JSON ({first_line(error)})"
        raise UserError(f"{place.name}/{name}", problem, "copy the file again") from error
    if not isinstance(content, dict):
        raise UserError(f"{place.name}/{name}", "it is no JSON object", "copy the file again")
    return content


def _check_adapter(place: Place) -> None:
    adapter = read_json(place, ADAPTER)
    if adapter is not None:
        base = adapter.get("base_model_name_or_path")
        raise UserError(
            f"{place.name}/{ADAPTER}",
            f"the folder holds an adapter of {base}",
            "merge it into its model (merge_and_unload of peft) and save that, or remove the adapter's files",
        )


def _check_family(place: Place, config: Mapping[str, Any]) -> None:
    where, family = f"{place.name}/{CONFIG}: model_type", config.get("model_type")
    if not isinstance(family, str):
        raise UserError(where, "it is missing", f"take the {CONFIG} that belongs to the weights")
    if family not in CONFIG_MAPPING_NAMES:
        raise UserError(where, f"Transformers has no {family}", "name another model: a folder's own code is never run")
    if family not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(where, f"{family} is no causal language model", "name one that is")


def _check_unquantised(place: Place, config: Mapping[str, Any]) -> None:
    for key, part in (("", config), ("text_config.", config.get("text_config") or {})):
        for name in QUANTISED:
            if part.get(name):
                method = part[name].get("quant_method", "unknown") if isinstance(part[name], dict) else "unknown"
                raise _quantised(f"{place.name}/{CONFIG}: {key}{name}", f"the weights are quantised ({method})")
    for name in QUANTISED_FILES:
        if place.local and place.file(name):
            raise _quantised(f"{place.name}/{name}", "the weights are quantised")


def _quantised(where: str, problem: str) -> UserError:
    return UserError(where, problem, "name the model in bf16, fp16 or float32, or dequantise and save it")


def _weight_files(place: Place) -> list[Path]:
    """Return the files that hold the weights of a folder."""
    folder = Path(place.name)
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = read_json(place, INDEX)
    if index is None:
        others = sorted(file.name for pattern in OTHER_WEIGHTS for file in folder.glob(pattern))
        fix = "load the model in Transformers and save it with save_pretrained" if others else COMPLETE
        only = f", only {others[0]}, which is not read" if others else ""
        raise UserError(place.name, f"no weights ({WEIGHTS}, or {INDEX} with its shards){only}", fix)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{place.name}/{INDEX}: weight_map", "it names no weights", "copy the file again")
    for name in sorted(set(map(str, weight_map.values()))):
        if not (folder / name).is_file():
            raise UserError(f"{place.name}/{name}", f"no such file, and {INDEX} names it", "copy the missing shard")
    return sorted(folder / name for name in set(map(str, weight_map.values())))


def _check_weights(file: Path) -> None:
    try:
        with safe_open(file, framework="pt") as weights:
            kinds = {name: weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(str(file), f"the file is damaged ({first_line(error)})", "copy it again") from error
    for name, kind in kinds.items():
        if name.rpartition(".")[2] in ("weight", "qweight", "weight_packed") and kind not in FLOATS:
            raise _quantised(f"{file}: {name}", f"the weight is quantised ({kind})")
