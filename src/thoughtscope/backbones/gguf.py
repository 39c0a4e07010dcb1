"""Converts a GGUF file, the format of llama.cpp, into an ordinary model folder: safetensors, tokenizer, chat template.

Transformers reads the weights and the tokenizer. This module adds what it omits: pre-tokenisers that split digits
(SmolLM) and the scaled rotary positions of Llama 3. Quantised weights become float16, whose rounding is far smaller
than that of the quantisation.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.integrations.gguf.dequant import GGML_NAME
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from thoughtscope.artifacts import write_json
from thoughtscope.backbones.gguf_file import verified
from thoughtscope.backbones.settings import Settings
from thoughtscope.errors import UserError
from thoughtscope.hub import first_line

RECORD = "gguf.json"
PLAIN = {0: "F32", 1: "F16", 30: "BF16"}  # types of GGML that are not quantised
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
DIGITS = {"smollm", "starcoder", "refact", "command-r", "codeshell"}  # each digit is a token; otherwise as GPT-2
GPT2 = {"gpt-2", "gpt2", "default"}  # the split that Transformers uses if it has no rule
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
KEY_LENGTH = {"qwen3"}  # Transformers ignores the width of heads that the file states, and uses the class's default
SCALES = "rope_freqs.weight"
FIX = "use a complete GGUF file of the Llama, Qwen, Gemma or Mistral family, or the model's folder in safetensors"


def convert(settings: Settings, folder: Path, where: str) -> dict[str, Any]:
    """Write the model and the tokenizer of a GGUF file into `folder`, and return a description of the file.

    The description is also written to `RECORD`: file, digest, architecture, the number of weights of each type, and the
    type in which they are stored now.

    Raises:
        UserError: the file is missing, has another digest, is damaged or truncated, or Transformers cannot read it.
    """
    path, digest = verified(settings, where)
    with _one_line(path, "it is no GGUF file that can be read"):
        metadata, _ = read_gguf_metadata(str(path))
        header = GgufHeader.from_file(str(path))
    _check_length(path, header)
    types: Counter[str] = Counter()
    for tensor in header.tensors:
        types[_type_name(tensor.ggml_type)] += int(torch.Size(tensor.shape).numel())
    stored = DTYPES[max(types, key=types.__getitem__)] if types.keys() <= DTYPES.keys() else torch.float16
    model = _load(path, metadata, header, stored)
    with _one_line(path, "Transformers does not read its tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    _split_digits(tokenizer, str(metadata.get("tokenizer.ggml.pre", "default")), path)
    _make_ordinary(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    package = {"package": settings.package, "version": settings.version} if settings.package else {}
    record = {
        **package,
        "file": path.name,
        "sha256": digest,
        "architecture": header.architecture,
        "name": metadata.get("general.name"),
        "license": metadata.get("general.license"),
        "quantised": sorted(types.keys() - DTYPES.keys()),
        "weights": dict(sorted(types.items())),
        "stored": str(stored).removeprefix("torch."),
    }
    write_json(folder / RECORD, record)
    return record


def note(record: Mapping[str, Any]) -> str:
    """Return the description of a converted file for the log."""
    if not record["quantised"]:
        return f"note: {record['file']}: weights are not quantised"
    parts = ", ".join(f"{count} in {name}" for name, count in record["weights"].items())
    return f"note: {record['file']}: weights were quantised ({parts}) and are stored as {record['stored']}"


def _load(path: Path, metadata: Mapping[str, Any], header: GgufHeader, dtype: torch.dtype) -> Any:
    """Return the causal LM of a file with dequantised weights."""
    architecture = header.architecture
    scaling = metadata.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none":
        where, factor = f"{path}: {architecture}.rope.scaling", metadata.get(f"{architecture}.rope.scaling.factor")
        raise UserError(where, f"Transformers does not take rotary scaling ({scaling}, {factor}) from GGUF", FIX)
    stated = {"head_dim": metadata.get(f"{architecture}.attention.key_length")} if architecture in KEY_LENGTH else {}
    with _one_line(path, f"Transformers does not read architecture {architecture!r}"):
        model, report = AutoModelForCausalLM.from_pretrained(
            str(path.parent),
            gguf_file=path.name,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            **{key: value for key, value in stated.items() if value is not None},
        )
    if report["missing_keys"]:
        raise UserError(str(path), f"weight {sorted(report['missing_keys'])[0]} is missing", FIX)
    _scale_positions(model, path, header)
    return model


@contextlib.contextmanager
def _one_line(path: Path, problem: str) -> Iterator[None]:
    """Turn any exception that a damaged or unknown file causes into a `UserError`."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise UserError(str(path), f"{problem} ({type(error).__name__}: {first_line(error)})", FIX) from error


def _type_name(ggml_type: int) -> str:
    return PLAIN.get(ggml_type) or str(GGML_NAME[ggml_type])


def _check_length(path: Path, header: GgufHeader) -> None:
    needed = max((header.data_start + tensor.offset + tensor.nbytes for tensor in header.tensors), default=0)
    there = path.stat().st_size
    if needed == 0:
        raise UserError(str(path), "it holds no weights", FIX)
    if there < needed:
        raise UserError(str(path), f"it is cut short: {there} bytes of {needed}", "copy or download it again")


def _split_digits(tokenizer: Any, kind: str, path: Path) -> None:
    """Set the pre-tokeniser that the vocabulary was learned with, if Transformers has no rule for it.

    Raises:
        UserError: the pre-tokeniser of this byte-level vocabulary is unknown.
    """
    backend = tokenizer.backend_tokenizer
    if not isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel) or kind in GGUF_PRE_TOKENIZER_SPLITS:
        return
    if kind in DIGITS:
        bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_of])
    elif kind not in GPT2:
        raise UserError(f"{path}: tokenizer.ggml.pre", f"no rule splits text for {kind!r}", FIX)


def _scale_positions(model: Any, path: Path, header: GgufHeader) -> None:
    """Set the rotary scaling of Llama 3, which a GGUF file stores as one factor for each frequency.

    Raises:
        UserError: the factors are not those of Llama 3.
    """
    tensor = next((one for one in header.tensors if one.name == SCALES), None)
    if tensor is None:
        return
    count = int(torch.Size(tensor.shape).numel())
    data = _bytes(path, header.data_start + tensor.offset, 4 * count)
    factors = torch.frombuffer(bytearray(data), dtype=torch.float32)
    config = model.config
    theta = config.rope_parameters["rope_theta"]
    config.rope_parameters = {"rope_type": "llama3", "rope_theta": theta, "factor": float(factors.max()), **LLAMA3}
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = theta ** -(torch.arange(0, 2 * count, 2) / (2 * count))
    if not torch.allclose(plain / factors, scaled, rtol=1e-3):
        raise UserError(f"{path}: {SCALES}", "its rotary positions are not scaled as Llama 3 scales them", FIX)


def _bytes(path: Path, start: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(count)


def _make_ordinary(model: Any) -> None:
    """Remove the marks of quantisation, with which Transformers would refuse to save the model."""
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config._name_or_path = ""
