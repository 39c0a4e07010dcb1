"""Makes the folder of a backbone: tokenizer, model, pre-training; or a checked reference to a given one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from thoughtscope import tables
from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.load import REFERENCE, load_model, load_tokenizer
from thoughtscope.backbones.pretrain import pretrain
from thoughtscope.backbones.settings import Pretraining, Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.tasks.prepare import PRETRAINING


def make_tiny(
    settings: Settings, pretraining: Pretraining, tasks: Sequence[Path], folder: Path, where: str
) -> list[dict[str, float]]:
    """Build a tiny backbone, pre-train it on the texts of `tasks`, save it as an ordinary folder; return its losses.

    The tokenizer is trained on the same texts.
    """
    rows = [row for task in tasks for row in tables.read(task / PRETRAINING, tables.PRETRAINING).to_pylist()]
    tokenizer = train_tokenizer(f"{row['question']} {row['response']}" for row in rows)
    model = build_tiny(settings, tokenizer, where)
    curve = pretrain(model, tokenizer, rows, pretraining, lambda line: print(line, flush=True))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return curve


def refer(settings: Settings, folder: Path) -> None:
    """Write where a given backbone is, after loading its model and tokenizer once.

    Raises:
        UserError: it does not load.
    """
    given = {"path": settings.path} if settings.source == "folder" else {}
    reference = given or {"hub_id": settings.hub_id, "revision": settings.revision}
    (folder / REFERENCE).write_text(json.dumps(reference, sort_keys=True) + "\n")
    load_tokenizer(folder)
    load_model(folder, attention=settings.attention)
