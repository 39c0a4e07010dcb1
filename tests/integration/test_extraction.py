"""The program that extracts hidden states, with one rank and with two."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.integration.world import ROOT, finish
from thoughtscope import schemas
from thoughtscope.artifacts import artifact_folder
from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.load import MODEL
from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.tasks.prepare import EXAMPLES

CONFIG = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 1}
SUBJECTS = 20


def statement(number: int, label: int) -> dict[str, object]:
    said = {"response": f"it is {number + label}.", "label": label, "attribute": "a", "negated": False}
    where = {"example_id": f"e{number}-{label}", "split": "train", "subject": f"s{number}"}
    return {**where, **said, "question": f"What is {number}?"}


def extract(folder: Path, name: str, ranks: int) -> dict[str, bytes]:
    """Return the files that the program writes, without those that name times."""
    settings = {"run": "t/b", "states": {"batch_size": 1}, "prompting": {}}
    command = [
        *(sys.executable, str(ROOT / "workflow/scripts/extract_hidden_states.py"), "--settings", json.dumps(settings)),
        *("--backbone", str(folder / "backbone"), "--task", str(folder / "task"), "--ranks", str(ranks)),
        *("--cores", str(ranks), "--state", str(folder / "state"), "--output", str(folder / name)),
    ]
    done = finish(command)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list((folder / "state").iterdir()), "what is finished leaves no state"
    files = [path for path in (folder / name).rglob("*") if path.is_file() and path.name != "provenance.json"]
    return {path.relative_to(folder / name).as_posix(): path.read_bytes() for path in files}


def test_two_ranks_store_what_one_does(tmp_path: Path) -> None:
    rows = [statement(number, label) for number in range(SUBJECTS) for label in (0, 1)]
    tokenizer = train_tokenizer([f"{row['question']} {row['response']}" for row in rows])
    with artifact_folder(tmp_path / "backbone", {}) as folder:
        settings = Settings(source="tiny", label="t", model_type="llama", config=CONFIG)
        build_tiny(settings, tokenizer, seed=0).save_pretrained(folder / MODEL)
        tokenizer.save_pretrained(folder / MODEL)
    with artifact_folder(tmp_path / "task", {}) as folder:
        schemas.write(folder / EXAMPLES, schemas.STATEMENTS, rows)
    one = extract(tmp_path, "one", 1)
    assert sum(name.startswith("kind=output/layer=1/") for name in one) > 2
    assert extract(tmp_path, "two", 2) == one
