"""Writes the artifact of a backbone: a pre-trained tiny model, or a checked reference to an existing model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from thoughtscope import schemas
from thoughtscope.artifacts import sha256, write_json
from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.comparison import check_config
from thoughtscope.backbones.facts import differences
from thoughtscope.backbones.folder import REFERENCE, find
from thoughtscope.backbones.gguf import convert, note
from thoughtscope.backbones.load import check_rows, load_backbone, rows_of
from thoughtscope.backbones.pretrain import pretrain, reasoning_accuracy
from thoughtscope.backbones.prompt import prompt_ids
from thoughtscope.backbones.settings import GIVEN_FILES, Pretraining, Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.backbones.tokenizer_check import RECORD, compare, notes
from thoughtscope.backbones.verification import verify_backbone
from thoughtscope.errors import UserError
from thoughtscope.tasks.prepare import EXAMPLES, PRETRAINING
from thoughtscope.tasks.reasoning import response_text

VERIFICATION = "verification.json"


def make_tiny(
    settings: Settings, pretraining: Pretraining, seed: int, tasks: Sequence[Path], folder: Path, where: str
) -> dict[str, Any]:
    """Build a tiny backbone, pre-train it on the texts of `tasks` and save it as an ordinary folder.

    The tokenizer is trained on the same texts. `seed` decides the initial weights and the order of the texts. The
    engine's verdict on the model is recorded in `VERIFICATION`.

    Returns:
        `losses`: the loss curve; `accuracy`: for each task, the share of its validation questions that the model
        answers in words, with every step as in the reference.

    Raises:
        UserError: the engine disagrees with the model's own forward pass or cannot run it, or the model answers fewer
            validation questions than `pretraining.min_accuracy`.
    """
    rows = [row for task in tasks for row in schemas.read(task / PRETRAINING, schemas.PRETRAINING).to_pylist()]
    tokenizer = train_tokenizer(f"{row['question']} {row['response']}" for row in rows)
    model = build_tiny(settings, tokenizer, seed, where)
    check_config(model.config.get_text_config(), where)
    asked = {task.name: questions for task in tasks if (questions := _validation_questions(task))}

    def measured() -> dict[str, float]:
        return {
            task: reasoning_accuracy(model, tokenizer, questions, pretraining.batch_size)
            for task, questions in asked.items()
        }

    def learned() -> bool:
        return min(measured().values()) >= pretraining.min_accuracy

    until = learned if asked and pretraining.min_accuracy > 0 else None
    losses = pretrain(model, tokenizer, rows, pretraining, seed, lambda line: print(line, flush=True), until)
    accuracy = measured()
    for task, share in accuracy.items():
        print(f"answers {share:.3f} of the validation questions of {task} in words", flush=True)
        if share < pretraining.min_accuracy:
            raise UserError(
                f"{where}: pretraining",
                f"it answers {share:.3f} of the validation questions of {task}, not {pretraining.min_accuracy}",
                "raise pretraining.updates, or lower pretraining.min_accuracy",
            )
    write_json(folder / VERIFICATION, verify_backbone(model, where))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _record_tokenizer(folder, print)
    return {"losses": losses, "accuracy": accuracy}


def _validation_questions(task: Path) -> list[dict[str, str]]:
    """Return the validation questions of a task with their reference responses; [] for a task of statements."""
    if "steps" not in pq.read_schema(task / EXAMPLES).names:
        return []
    table = pq.read_table(
        task / EXAMPLES, columns=["question", "steps", "answer"], filters=[("split", "==", "validation")]
    )
    return [
        {"question": row["question"], "response": response_text(row["steps"], row["answer"])}
        for row in table.to_pylist()
    ]


def refer(settings: Settings, folder: Path, log: Callable[[str], None] = print) -> dict[str, Any]:
    """Write the reference to an existing backbone, or convert its GGUF file, and check that it can be used.

    The reference to a folder has a digest of each of its files, so that a change there makes its runs stale. Model and
    tokenizer are loaded once, and a question is put through the prompt. Differences between `facts` and the model, and
    between tokenizers, are logged. The engine's verdict on the model is recorded in `VERIFICATION`.

    Returns:
        Provenance of the weights; empty unless they are from a GGUF file.

    Raises:
        UserError: the backbone does not load, its chat template refuses a question, or the engine disagrees with the
            model's own forward pass or cannot run it.
    """
    where, weights = f"backbone {settings.label}", dict[str, Any]()
    if settings.source == "gguf":
        weights = convert(settings, folder, where)
        log(note(weights))
    else:
        (folder / REFERENCE).write_text(json.dumps(_reference(settings), sort_keys=True) + "\n")
    model, tokenizer = load_backbone(folder, attention=settings.attention, dtype="bfloat16")
    prompt = prompt_ids(tokenizer, "1 + 1 =", settings.chat, settings.chat_arguments)
    check_rows(rows_of(model), tokenizer, prompt, find(folder).name)
    _record_tokenizer(folder, log)
    for line in differences(settings, model, tokenizer):
        log(f"note: {line}")
    write_json(folder / VERIFICATION, verify_backbone(model, where, log))
    return weights


def _reference(settings: Settings) -> dict[str, Any]:
    """Return the content of `reference.json` for a model on a hub or in a folder."""
    if settings.source == "hub":
        return {"hub_id": settings.hub_id, "revision": settings.revision}
    place = Path(str(settings.path)).absolute()
    files = sorted(file for pattern in GIVEN_FILES for file in place.glob(pattern) if file.is_file())
    return {"path": str(place), "files": {file.name: sha256(file) for file in files}}


def _record_tokenizer(folder: Path, log: Callable[[str], None]) -> None:
    found = compare(folder)
    write_json(folder / RECORD, found)
    for line in notes(found):
        log(f"note: {line}")
