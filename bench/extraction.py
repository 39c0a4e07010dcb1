"""Compares the extraction of hidden states with a bare forward pass, and with other ways to get the same states.

    .venv/bin/python bench/extraction.py [--subjects 40] [--rounds 3]     fills docs/benchmarks.md

SmolLM2-135M reads statements of the task `people`. All ways return the states of all layers at the tokens of the
responses, and time is processor time of one thread without loading the model; `bare` is the model's own call on the
batches of the extraction, scores included, and returns nothing. The other ways do what their users usually do: they
read whole texts, pad them to batches if they can, and save with `torch.save`; they compute no surprisals. Packages that
are not installed, or fail with this Transformers, are named in the table. Memory is measured in processes of their own,
with a small model, so that what grows with the number of statements shows.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from page import fill

from thoughtscope.backbones.build import build_tiny
from thoughtscope.backbones.gguf import convert
from thoughtscope.backbones.load import load_backbone
from thoughtscope.backbones.prompt import decoded
from thoughtscope.backbones.settings import Settings
from thoughtscope.backbones.tokenizer import train_tokenizer
from thoughtscope.hidden_states.parts import Parts
from thoughtscope.hidden_states.reading import Reader, shared_tokens, trees
from thoughtscope.hidden_states.statements import StatementsSettings, read_part, read_statements, statement
from thoughtscope.latents.layout import TokenSequence
from thoughtscope.parsing import read_yaml
from thoughtscope.reasoner import Prompting
from thoughtscope.tasks import predicates
from thoughtscope.tasks.prepare import EXAMPLES, write_task

ROOT = Path(__file__).parents[1]
BATCH = 16  # texts that other ways read at once
SMALL = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
WHOLE = """
import json, resource, sys, time
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
pa.set_memory_pool(pa.system_memory_pool())
import torch
torch.set_num_threads(1)
try:
    from thoughtscope.hidden_states.statements import StatementsSettings, extract_statements
except ImportError:
    from thoughtscope.hidden_states.extract import StatementsSettings, extract_statements
folder, target = Path(sys.argv[1]), Path(sys.argv[1], "out")
target.mkdir()
rows = pq.read_table(folder / "t/task.parquet").to_pylist()
start = time.process_time()
extract_statements(StatementsSettings(run="r", states=json.loads(sys.argv[2])), folder / "m", rows, target)
seconds = time.process_time() - start
files = [path for path in target.rglob("*") if path.is_file()]
size = sum(path.stat().st_size for path in files)
for path in files:
    path.unlink()
target.rename(folder / f"done-{time.time_ns()}")
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, size / 1e6)
"""
Way = Callable[[Any, Sequence[TokenSequence], Path], None]


def people(subjects: int, folder: Path) -> list[dict[str, Any]]:
    """Return the statements about the first subjects of the task."""
    settings = predicates.Settings.model_validate(read_yaml(ROOT / "config/tasks/people.yaml"))
    write_task("people", predicates, settings, folder)
    rows = pq.read_table(folder / EXAMPLES).to_pylist()
    names = list(dict.fromkeys(row["subject"] for row in rows))[:subjects]
    return [row for row in rows if row["subject"] in names and row["response"]]


class Ours:
    """The extraction without loading: it reads and stores all parts."""

    def __init__(self, model: Any, tokenizer: Any, texts: Sequence[TokenSequence]) -> None:
        shared = shared_tokens(texts)
        self.reader, self.piece = Reader(model, shared), functools.cache(lambda token: decoded(tokenizer, [token]))
        self.batches = list(trees(texts, len(shared), 64))

    def extract(self, folder: Path) -> None:
        """Read and store."""
        for start in range(0, len(self.batches), 8):
            part = folder / str(start)
            part.mkdir()
            read_part(self.reader, self.piece, self.batches[start : start + 8], "r", "bfloat16", part)

    def bare(self, folder: Path) -> None:
        """Call the model on the same batches."""
        for batch in self.batches:
            self.reader.model(**self.reader.arguments(batch))


def one_by_one(model: Any, texts: Sequence[TokenSequence], folder: Path) -> None:
    """Read each text alone and save its states."""
    for number, text in enumerate(texts):
        layers = model(torch.tensor([text.token_ids]), output_hidden_states=True).hidden_states
        torch.save(torch.stack(layers)[:, 0, text.prompt_length :].bfloat16(), folder / f"{number}.pt")


def padded(texts: Sequence[TokenSequence]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids ``[texts, longest]``, filled on the right, and which are no filling."""
    ids = [torch.tensor(text.token_ids) for text in texts]
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
    return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True), mask


def in_batches(read: Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]) -> Way:
    """Return a way that reads padded batches through `read`, which returns the states of each layer, and saves them."""

    def way(model: Any, texts: Sequence[TokenSequence], folder: Path) -> None:
        for start in range(0, len(texts), BATCH):
            some = texts[start : start + BATCH]
            layers = torch.stack([states.detach() for states in read(*padded(some))])
            found = [layers[:, i, one.prompt_length : len(one.token_ids)].bfloat16() for i, one in enumerate(some)]
            torch.save(found, folder / f"{start}.pt")

    return way


def nnsight(model: Any, tokenizer: Any, path: Path) -> Way:
    """Return nnsight's way: a trace that saves the output of every layer."""
    import nnsight as package

    traced = package.NNsight(model)

    def read(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        saved: list[Any] = []
        with traced.trace(input_ids=ids, attention_mask=mask):
            saved.append(traced.model.embed_tokens.output.save())
            for layer in traced.model.layers:
                saved.append(layer.output.save())
        return [one[0] if isinstance(one, tuple) else one for one in saved]

    return in_batches(read)


def transformer_lens(model: Any, tokenizer: Any, path: Path) -> Way:
    """Return TransformerLens' way: a cache of the residual stream after every layer."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(path), hf_model=model, tokenizer=tokenizer, device="cpu")
    names = ["blocks.0.hook_in", *(f"blocks.{i}.hook_out" for i in range(model.config.num_hidden_layers))]

    def read(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        cache = bridge.run_with_cache(ids, attention_mask=mask, names_filter=names)[1]
        return [cache[name] for name in names]

    return in_batches(read)


def compare(subjects: int, rounds: int) -> str:
    """Return a table of all ways: processor seconds and the ratio of speeds to the bare forward pass."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        convert(
            Settings.model_validate(read_yaml(ROOT / "config/backbones/smollm2-135m.yaml")), folder / "m", "smollm2"
        )
        (folder / "t").mkdir()
        rows = people(subjects, folder / "t")
        model, tokenizer = load_backbone(folder / "m")
        texts = [statement(tokenizer, Prompting(), row) for row in rows]
        ours = Ours(model, tokenizer, texts)
        ways: dict[str, Callable[[Path], None]] = {
            "bare forward pass": ours.bare,
            "thoughtscope": ours.extract,
            "one example at a time, torch.save": functools.partial(one_by_one, model, texts),
        }
        missing = {}
        for name, make in (("nnsight", nnsight), ("transformer-lens", transformer_lens)):
            try:
                way = make(copy.deepcopy(model), tokenizer, folder / "m")
                ways[f"{name} {version(name)}"] = functools.partial(way, model, texts)
            except Exception as error:  # whatever a package that expects another Transformers stumbles over
                missing[name] = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name, way in ways.items():
                target = folder / f"{number}-{name}"
                target.mkdir()
                if (seconds := timed(way, target, missing, name)) is not None:
                    times[name].append(seconds)
    lines = ["| way | s per 100 statements | speed / bare forward pass |", "| --- | --- | --- |"]
    base = times["bare forward pass"]
    for name, found in times.items():
        if found:
            ratio = statistics.median(a / b for a, b in zip(base, found, strict=True))
            lines.append(f"| {name} | {100 * statistics.median(found) / len(texts):.2f} | {ratio:.2f} |")
    lines += [f"| {name} | not measured: {why} | |" for name, why in missing.items()]
    return f"{len(texts)} statements, median of {rounds} rounds in turn.\n\n" + "\n".join(lines)


def timed(way: Callable[[Path], None], folder: Path, missing: dict[str, str], name: str) -> float | None:
    """Return the processor seconds of a way, or None and note why if it fails."""
    start = time.process_time()
    try:
        with torch.no_grad():
            way(folder)
    except Exception as error:  # as above; ours would stop the script
        if name.startswith(("bare", "thoughtscope", "one")):
            raise
        missing[name] = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        return None
    return time.process_time() - start


def peak(count: int) -> float:
    """Return the peak memory, in MB, of a process that extracts the states of `count` statements with a small model."""
    command = [sys.executable, __file__, "--count", str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def extract_small(count: int) -> None:
    """Extract states of made-up statements, two about each subject, and print the peak memory in MB."""
    words = ["judge", "poet", "cat", "queen", "Peru", "Rome", "from", "and", "is", "a"]
    rows = [
        {
            "example_id": f"e{number}",
            "question": f"Who is {number // 2}?",
            "response": f"{number // 2} is a " + " ".join(words[(number + k) % len(words)] for k in range(12)),
        }
        for number in range(count)
    ]
    with tempfile.TemporaryDirectory() as place:
        model, state = Path(place, "m"), Path(place, "state")
        tokenizer = train_tokenizer([" ".join(row.values()) for row in rows[:200]])
        settings = Settings(source="tiny", label="t", model_type="llama", config=SMALL)
        build_tiny(settings, tokenizer, seed=0).save_pretrained(model)
        tokenizer.save_pretrained(model)
        read_statements(StatementsSettings(run="r"), model, rows, Parts(state))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def memory() -> str:
    """Return a table of the peak memory for two numbers of statements."""
    few, many = peak(500), peak(5000)
    head = "| statements | peak memory, MB | ratio |\n| --- | --- | --- |\n"
    return f"{head}| 500 | {few:.0f} | 1 |\n| 5,000 | {many:.0f} | {many / few:.3f} |"


def against(commit: str) -> str:
    """Return a table that compares the extraction of the whole task with that of an earlier commit.

    Each runs in a process of its own, which loads the model too.
    """
    lines = ["| code | processor time, s | peak memory, MB | stored, MB |", "| --- | --- | --- | --- |"]
    found = []
    with tempfile.TemporaryDirectory() as place:
        folder, old = Path(place), Path(place, "old")
        settings = Settings.model_validate(read_yaml(ROOT / "config/backbones/smollm2-135m.yaml"))
        convert(settings, folder / "m", "smollm2-135m")
        (folder / "t").mkdir()
        people(0, folder / "t")
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(old), commit], cwd=ROOT, check=True)
        try:
            for name, code, states in ((commit, old, {}), ("this", ROOT, {"dtype": "bfloat16"})):
                command = [sys.executable, "-c", WHOLE, str(folder), json.dumps(states)]
                environment = {**os.environ, "PYTHONPATH": str(code / "src"), "OMP_NUM_THREADS": "1"}
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                found.append([float(value) for value in done.stdout.split()[-3:]])
                lines.append(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in found[-1]) + " |")
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(old)], cwd=ROOT, check=True)
    ratios = [b / a for a, b in zip(*found, strict=True)]
    return "\n".join([*lines, "| ratio | " + " | ".join(f"{value:.2f}" for value in ratios) + " |"])


def main() -> None:
    """Measure, print and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["speed", "memory", "before"])
    parser.add_argument("--before", metavar="COMMIT", help="an earlier commit to compare with, on the whole task")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.count:
        extract_small(asked.count)
        return
    tables = {"speed": lambda: compare(asked.subjects, asked.rounds), "memory": memory}
    if asked.before:
        tables["before"] = lambda: against(asked.before)
    for name, measure in tables.items():
        if asked.only in (None, name):
            text = measure()
            print(text, flush=True)
            fill(f"extraction-{name}", text)


if __name__ == "__main__":
    main()
