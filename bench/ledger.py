"""Prints the ledger of finished runs in Markdown: what each stage's jobs took, and what each run reached.

Of several seeds, what each reached and their mean.

.venv/bin/python bench/ledger.py [results]
"""

import json
import sys
from pathlib import Path

import pandas as pd

from thoughtscope.evaluation.seeds import accuracy_interval

CONFIDENCE = 0.95


def runs(results: Path) -> pd.DataFrame:
    """Return one row a run: what it is, its stages' ends, seconds, memory and accuracy with its interval."""
    rows = []
    for row in pd.read_csv(results / "tables/summary.csv").to_dict("records"):
        path = f"{row['task']}/{row['backbone']}/{row['method']}/{row['trainable']}/seed{row['seed']}"
        schedule = json.loads((results / "runs" / path / "schedule.json").read_text())
        settings = json.loads((results / "runs" / path / "provenance.json").read_text())["settings"]
        config = json.loads((results / "runs" / path / "model/config.json").read_text())
        seconds, memory = _cost(results / "benchmarks/runs" / f"{path}.tsv")
        rows.append(
            {
                "run": f"{row['method']}, {row['backbone']}, {row['trainable']}",
                "c": settings["method"].get("latents_per_step", "-"),
                "layers": config["num_hidden_layers"],
                "updates": row["updates"],
                "stages end at": ", ".join(str(stage["last_step"]) for stage in schedule["stages"]),
                "tokens": row["tokens"],
                "seconds": seconds,
                "MiB": memory,
                "latents": f"{row['mean_latents']:.2f}",
                "start": f"{row['start_accuracy']:.3f}",
                "accuracy": f"{row['accuracy']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]",
            }
        )
    return pd.DataFrame(rows)


def seeds(results: Path) -> pd.DataFrame:
    """Return one row for all seeds of a run: each seed's accuracy, and their mean with its interval."""
    rows = []
    summary = pd.read_csv(results / "tables/summary.csv")
    for key, part in summary.groupby(["trainable", "method", "backbone"]):
        low, high = accuracy_interval([(part["accuracy"], int(part["n"].iloc[0]))], CONFIDENCE)
        each = {f"seed {seed}": f"{value:.3f}" for seed, value in zip(part["seed"], part["accuracy"], strict=True)}
        mean = f"{part['accuracy'].mean():.3f} [{low:.3f}, {high:.3f}]"
        rows.append({"run": f"{key[1]}, {key[2]}, {key[0]}", **each, "mean": mean})
    return pd.DataFrame(rows)


def stages(results: Path) -> pd.DataFrame:
    """Return one row a stage: jobs, seconds in all, the slowest job's, and the largest memory in MiB."""
    rows = []
    for folder in sorted((results / "benchmarks").iterdir()):
        costs = [_cost(file) for file in folder.rglob("*.tsv")]
        seconds = [cost[0] for cost in costs]
        rows.append(
            {
                "stage": folder.name,
                "jobs": len(costs),
                "seconds": sum(seconds),
                "slowest": max(seconds),
                "MiB": max(cost[1] for cost in costs),
            }
        )
    return pd.DataFrame(rows)


def _cost(file: Path) -> tuple[int, int]:
    facts = pd.read_csv(file, sep="\t").iloc[0]
    memory = pd.to_numeric(pd.Series([facts["max_pss"]]), errors="coerce").fillna(0).iloc[0]
    return round(facts["s"]), round(memory)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    head = "| " + " | ".join(table.columns) + " |\n" + "| --- " * len(table.columns) + "|\n"
    return head + "\n".join("| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
    several = pd.read_csv(folder / "tables/summary.csv")["seed"].nunique() > 1
    print(markdown(seeds(folder) if several else runs(folder)), markdown(stages(folder)), sep="\n\n")
