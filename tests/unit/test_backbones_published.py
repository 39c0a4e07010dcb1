"""Each published family goes through the whole path on a small folder that looks like its own."""

from __future__ import annotations

import json
import random
import re
import shutil
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM

from tests.folders import CONTEXT, STYLES, WINDOW, make_folder
from tests.published import CONFIGS
from thoughtscope.backbones.facts import differences
from thoughtscope.backbones.load import load_model, load_tokenizer, text_part
from thoughtscope.backbones.make import refer
from thoughtscope.backbones.prompt import prompt_ids, response_ids
from thoughtscope.backbones.settings import Settings
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings
from thoughtscope.latents.attention import attention_windows
from thoughtscope.latents.generate import Decoding
from thoughtscope.latents.packing import pack
from thoughtscope.methods.minibatch import Counts, MicroBatch, Row
from thoughtscope.parsing import merge
from thoughtscope.reasoner import Reasoner, load_reasoner
from thoughtscope.run_id import RunId
from thoughtscope.tasks import chain
from thoughtscope.tasks.reasoning import response_text
from thoughtscope.training.assembly import Parts, assemble
from thoughtscope.training.settings import TrainSettings

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
CHAIN = chain.Settings.model_validate(
    {"kind": "chain", "modulus": 7, "operations": 3, "splits": {"train": 6, "validation": 3, "test": 3}}
)
ROWS = list(CHAIN.examples())
TEXTS = [f"{row['question']} {response_text(row['steps'], row['answer'])}" for row in ROWS]
QUESTION = "3 * 2 + 4 ="
CLASSES = {
    "qwen3": "Qwen3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
}
LLAMA = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: {}\n\n<|eot_id|>"
LLAMA += (
    "<|start_header_id|>user<|end_header_id|>\n\n3 * 2 + 4 =<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
CHATML = "<|im_start|>user\n3 * 2 + 4 =<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = {
    "qwen3": CHATML + "<think>\n\n</think>\n\n",
    "qwen2.5": "<|im_start|>system\nYou are Qwen, a helpful assistant.<|im_end|>\n" + CHATML,
    "smollm3": "<|im_start|>system\n## Metadata\n\nToday Date: 01 January 2025\nReasoning Mode: /no_think<|im_end|>\n"
    + CHATML + "<think>\n\n</think>\n",
    "llama3.2": LLAMA.format("01 Jan 2025"),
    "llama3.1": LLAMA.format("26 Jul 2024"),
    "mistral": "<s>[INST] 3 * 2 + 4 =[/INST]",
    "gpt2": QUESTION + "\n",
    "pythia": QUESTION + "\n",
    "gemma3": "<bos><start_of_turn>user\n3 * 2 + 4 =<end_of_turn>\n<start_of_turn>model\n",
}  # fmt: skip


def published(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"config/backbones/{name}.yaml").read_text())  # type: ignore[no-any-return]


def folder_settings(name: str, folder: Path) -> Settings:
    changes = {"source": "folder", "hub_id": None, "path": str(folder)}
    return Settings.model_validate({**published(name), **changes})


def assembled(name: str, made: Path, method: str, backbone: Path | None = None, **changes: Any) -> Parts:
    """Load and encode as a run does, with the settings that the backbone's own file gives.

    Args:
        backbone: a folder that refers to `made`; None: that folder itself.
    """
    rows = changes.pop("rows", ROWS)
    run = RunId("chain", name, method, changes.pop("trainable", "full"), 0)
    grid = {"task": run.task, "backbone": name, "trainable": run.trainable, "method": [run.method, "coconut"]}
    overrides = {"backbones": {name: {"source": "folder", "hub_id": None, "path": str(made)}}}
    raw = {**SMOKE, "runs": [grid], "figures": {}, "probes": {}, "overrides": overrides}
    study = Study(merge(raw, changes), ROOT / "config")
    settings = TrainSettings.model_validate(run_settings(study, run))
    return assemble(settings, rows, backbone or made, 0, "cpu")


def train(parts: Parts, updates: int = 4) -> list[float]:
    """Train the last stage a little, as plainly as can be; return the losses."""
    reasoner = parts.reasoner.at(parts.stages[-1])
    rows = []
    for example in parts.splits.train:
        likely = [0.1] * len(example.response)
        rows.append(Row(example, reasoner.layout(example, random.Random(1), likely)))
    assert all(row.sequence.latents for row in rows)
    micro = MicroBatch(rows, pack([row.sequence for row in rows], reasoner.stage.fill), Counts.of(rows))
    assert len(micro.batch.passes) > 1
    optimizer = torch.optim.AdamW([p for p in parts.network.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(updates):
        loss = parts.network(micro, reasoner.fill)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    parts.network.eval()
    return losses


def answers(reasoner: Reasoner) -> list[list[int]]:
    examples = [reasoner.encode(row) for row in ROWS if row["split"] == "test"]
    return [one.response for one in reasoner.generate(examples, Decoding(max_new_tokens=8))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("folders")
    return {
        name: make_folder(name, place / name, [*TEXTS, "system user assistant model Today Date"]) for name in STYLES
    }


def test_every_hub_file_has_a_published_configuration() -> None:
    hub = {file.stem for file in (ROOT / "config/backbones").glob("*.yaml") if published(file.stem)["source"] == "hub"}
    assert hub == set(CONFIGS) == set(STYLES)


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_counted_from_the_published_configuration(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS[name]))
    config = AutoConfig.from_pretrained(tmp_path)
    with torch.device("meta"):
        model = text_part(AutoModelForCausalLM.from_config(config))
    facts, text = Settings.model_validate(published(name)).facts, config.get_text_config()
    assert type(model).__name__ == CLASSES[config.model_type]
    assert sum(value.numel() for value in model.parameters()) == facts.parameters
    assert (text.max_position_embeddings, text.tie_word_embeddings) == (facts.context, facts.tied_embeddings)
    assert attention_windows(text).get("sliding_attention") == facts.sliding_window


WHOLE_PATH = [  # one of each class, and of each way to have an output head
    "qwen3-4b", "qwen3-8b", "llama3.2-1b", "llama3.1-8b", "mistral-7b", "smollm3-3b", "gemma3-1b", "gemma3-4b",
    "qwen2.5-7b", "gpt2", "pythia-160m",
]  # fmt: skip


@pytest.mark.parametrize("name", WHOLE_PATH)
def test_a_family_goes_through_the_whole_path(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    made, backbone = folders[name], tmp_path / "backbone"
    assert len(list(made.glob("model-*.safetensors"))) > 1
    backbone.mkdir()
    notes: list[str] = []
    refer(folder_settings(name, made), backbone, notes.append)
    sized = {"facts.parameters", "facts.context", *(["facts.sliding_window"] if "gemma" in name else [])}
    assert {note.split(":")[1].strip() for note in notes if note.startswith("note:")} == sized, notes
    method = "lt-tuning" if len(name) % 2 else "coconut"
    parts = assembled(name, made, method, backbone)
    reasoner = parts.reasoner
    assert type(reasoner.model).__name__ == CLASSES[CONFIGS[name]["model_type"]]
    tied = reasoner.model.get_output_embeddings().weight is reasoner.model.get_input_embeddings().weight
    assert tied == published(name)["facts"]["tied_embeddings"]
    losses = train(parts)
    assert losses[-1] < losses[0]
    reasoner = reasoner.at(parts.stages[-1])
    reasoner.save(tmp_path / "saved")
    again = load_reasoner(tmp_path / "saved")
    assert type(again.model) is type(reasoner.model)
    for (key, value), other in zip(reasoner.model.named_parameters(), again.model.parameters(), strict=True):
        assert torch.equal(value, other), key
    assert answers(again) == answers(reasoner)


@pytest.mark.parametrize("name", ["gemma3-4b", "qwen2.5-7b", "gpt2", "pythia-160m"])
def test_a_frozen_family_trains_its_adapter_alone(name: str, folders: dict[str, Path]) -> None:
    parts = assembled(name, folders[name], "coconut", trainable="lora")
    kept = {key: value.clone() for key, value in parts.network.named_parameters() if not value.requires_grad}
    losses = train(parts)
    assert losses[-1] < losses[0]
    assert kept
    for key, value in parts.network.named_parameters():
        assert key not in kept or torch.equal(value, kept[key]), key


@pytest.mark.parametrize("name", STYLES)
def test_a_prompt_is_cut_where_the_response_begins(name: str, folders: dict[str, Path]) -> None:
    tokenizer, settings = load_tokenizer(folders[name]), Settings.model_validate(published(name))
    ids = prompt_ids(tokenizer, QUESTION, settings.chat, settings.chat_arguments)
    assert tokenizer.decode(ids) == PROMPTS[name.split("-")[0]]
    bos = settings.facts.bos
    assert bos in (None, tokenizer.bos_token)
    assert ids.count(tokenizer.bos_token_id) == (bos is not None), "BOS once, where the family writes it"
    assert tokenizer.eos_token == settings.facts.ends[0]
    for text in ("6 ;", " #### 5", " 3 * 2 = 6 ;"):
        assert tokenizer.decode(response_ids(tokenizer, text)) == text
    plain = prompt_ids(tokenizer, QUESTION, False, {})
    assert tokenizer.decode(plain) == (bos or "") + QUESTION + "\n"


def test_a_template_that_asks_the_clock_gets_the_same_date_always(folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["qwen3-4b"])
    tokenizer.chat_template = "{{ strftime_now('%Y-%m-%d %A %H:%M %b %B %j') }}{{ messages[0].content }}"
    said = tokenizer.decode(prompt_ids(tokenizer, QUESTION, True, {}))
    assert said == datetime(2025, 1, 1).strftime("%Y-%m-%d %A %H:%M %b %B %j") + QUESTION


def test_only_the_text_part_of_a_model_that_sees_images_is_kept(folders: dict[str, Path]) -> None:
    whole = AutoModelForCausalLM.from_pretrained(folders["gemma3-4b"], dtype=torch.float32)
    text = load_model(folders["gemma3-4b"])
    assert type(whole).__name__ == "Gemma3ForConditionalGeneration"
    assert not any("vision" in key for key, _ in text.named_parameters())
    assert attention_windows(text.config) == {"full_attention": None, "sliding_attention": WINDOW}
    ids = torch.tensor([prompt_ids(load_tokenizer(folders["gemma3-4b"]), QUESTION, True, {})])
    assert ids.shape[1] > WINDOW
    assert torch.equal(text(ids).logits, whole(ids).logits)


@pytest.mark.parametrize("name", ["llama3.2-1b", "gemma3-1b"])
def test_any_ending_that_generation_config_names_stops_a_response(name: str, folders: dict[str, Path]) -> None:
    parts = assembled(name, folders[name], "coconut")
    reasoner = parts.reasoner
    first = answers(reasoner)[0][0]
    assert first != reasoner.tokenizer.eos_token_id
    named = reasoner.model.generation_config.eos_token_id
    assert len(named) > 1
    reasoner.model.generation_config.eos_token_id = [*named, first]
    examples = [reasoner.encode(row) for row in ROWS if row["split"] == "test"][:1]
    ended = reasoner.generate(examples, Decoding(max_new_tokens=8))[0]
    assert (ended.stopped, ended.response) == ("eos", [])


def test_new_tokens_keep_a_table_of_matrix_size(folders: dict[str, Path], tmp_path: Path) -> None:
    model = load_model(folders["llama3.2-1b"])
    model.resize_token_embeddings(384, mean_resizing=False)
    tokenizer = load_tokenizer(folders["llama3.2-1b"])
    tokenizer.add_tokens([f"<{i}>" for i in range(384 - len(tokenizer))])
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    parts = assembled("llama3.2-1b", tmp_path, "coconut")
    assert parts.reasoner.model.get_input_embeddings().weight.shape[0] == 448
    assert len(parts.reasoner.tokenizer) == 387
    assert train(parts)[-1] < 1e9


def test_a_fact_that_does_not_hold_is_noted(folders: dict[str, Path]) -> None:
    name = "qwen2.5-1.5b"
    settings = folder_settings(name, folders[name])
    facts = settings.facts.model_copy(update={"tied_embeddings": False, "context": CONTEXT, "parameters": 1})
    notes = list(differences(settings.model_copy(update={"facts": facts}), load_model(folders[name]),
                             load_tokenizer(folders[name])))  # fmt: skip
    assert [note.split(":")[0] for note in notes] == ["facts.parameters", "facts.tied_embeddings"]
    assert "the file says False, the model has True" in notes[1]


def test_the_page_on_backbones_says_what_is_true(folders: dict[str, Path], tmp_path: Path) -> None:
    page = (ROOT / "docs/backbones.md").read_text()
    small, main = re.findall(r"```yaml\n(   # config/.*?)```", page, re.DOTALL)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    made = textwrap.dedent(small).replace("/data/models/mine", str(folders["llama3.1-8b"]))
    (tmp_path / "config/backbones/mine.yaml").write_text(made)
    study = Study(yaml.safe_load(textwrap.dedent(main)), tmp_path / "config")
    assert [run.path for run in study.runs] == [f"chain/mine/{method}/full/seed0" for method in ("coconut", "cot")]
    for name in CONFIGS:
        facts = Settings.model_validate(published(name)).facts
        row = next(line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line).split("|")
        place = re.findall(r"`(.*?)`", row[1]).index(name)
        assert row[2].split(",")[place].strip() == f"{(facts.parameters or 0) / 1e9:.2f}e9"
        assert row[4].split(",")[place].strip() == f"{16 * (facts.parameters or 0) / 1e9:.0f}"
