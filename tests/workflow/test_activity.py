"""The study of docs/activity.md, a model and statements of one's own and no run, goes through the whole workflow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.gguf_files import write_gguf
from tests.workflow.conftest import ROOT, Workspace
from thoughtscope.backbones.tokenizer import train_tokenizer

pytestmark = pytest.mark.slow
KINDS, COUNTRIES = ("long river", "tidal river", "old canal"), ("Egypt", "England", "Peru", "Japan")


def write_as_documented(folder: Path) -> None:
    """Write the files that the page shows, each after its name; the table is continued, and the model is a tiny one."""
    page = (ROOT / "docs/activity.md").read_text()
    shown = dict(re.findall(r"`([\w./]+)`[^`]*?:?\n\n```\w*\n(.*?)```", page, re.DOTALL))
    assert {"data/rivers.csv", "config/backbones/mine.yaml", "config/tasks/rivers.yaml", "config/mine.yaml"} <= set(
        shown
    )
    for name in shown:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(shown[name])
    lines = sum(len(shown[name].splitlines()) for name in shown if name.endswith("yaml"))
    assert lines == 10
    rivers = [f"River {i},{KINDS[i % 3]},{COUNTRIES[i % 4]}" for i in range(60)]
    (folder / "data/rivers.csv").write_text(shown["data/rivers.csv"] + "\n".join(rivers) + "\n")
    tokenizer = train_tokenizer([shown["data/rivers.csv"], *rivers], 320)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 128}
    heads, ids = {"num_attention_heads": 2, "num_key_value_heads": 1}, {"eos_token_id": tokenizer.eos_token_id}
    config = AutoConfig.for_model("llama", **sizes, **heads, **ids, vocab_size=len(tokenizer), pad_token_id=0)
    (folder / "models").mkdir()
    model = AutoModelForCausalLM.from_config(config)
    write_gguf(folder / "models/mine.gguf", model, tokenizer, quantised="Q8_0")


def test_a_model_and_statements_of_ones_own_need_ten_lines(workspace: Workspace) -> None:
    write_as_documented(workspace.folder)
    workspace.snakemake("--cores", "1", "--no-hooks", "--configfile", "config/mine.yaml")
    results = workspace.folder / "results"
    assert sorted(file.stem for file in (results / "tables").glob("*.csv")) == ["activity", "probes"]
    assert (results / "figures/activity.png").stat().st_size > 10_000
    assert not (results / "runs").exists()
    made_by = json.loads((results / "backbones/mine/given/provenance.json").read_text())
    assert made_by["weights"]["quantised"] == ["Q8_0"]
    assert made_by["weights"]["file"] == "mine.gguf"
    probes = pd.read_csv(results / "tables/probes.csv")
    assert set(probes["layer"].dropna()) == {0, 1, 2}
    assert not probes["passes_null"].eq(True).any(), "a model that was never trained knows no river"
    cells = pd.read_csv(results / "tables/activity.csv")
    assert set(cells.loc[cells["row"] == "cell", "evidence"]) <= {"no", "untested", "shared"}
