"""Writes the numbers of finished runs into docs/, between `<!-- ledger: NAME -->` and `<!-- end -->`.

    make ledger RESULTS="results elsewhere/results"

Each folder holds an execution of `config/config.yaml`, with other seeds, on another machine, or with other processor
instructions. The pages describe the first in full, and count the executions and seeds in which each line solved its
task.
"""

from __future__ import annotations

import json
import re
import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from thoughtscope.evaluation.seeds import Solved

FILLED = ("default-run.md", "interpretation.md", "activity.md", "staleness.md", "gallery/README.md")
PAGES = tuple(Path("docs", name) for name in FILLED)
MARKED = re.compile(r"<!-- ledger: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
LINE = ["trainable", "method", "backbone"]
RUN = ["task", *LINE, "seed"]


@dataclass(frozen=True)
class Execution:
    """One results folder.

    Attributes:
        name: a letter by which the pages call it.
    """

    name: str
    results: Path

    def table(self, name: str) -> pd.DataFrame:
        """Return one of its tables."""
        return pd.read_csv(self.results / f"tables/{name}.csv")

    def run(self, row: pd.Series) -> Path:
        """Return the folder of the run that a row of `summary` is about, from `results`."""
        return Path("runs", row["task"], row["backbone"], row["method"], row["trainable"], f"seed{row['seed']}")

    def provenance(self) -> list[dict]:
        """Return the provenance of its runs."""
        files = sorted((self.results / "runs").rglob("provenance.json"))
        return [json.loads(file.read_text()) for file in files]


Part = Callable[[Sequence[Execution]], str]


def executions(all_: Sequence[Execution]) -> str:
    """Return where, with which commit and with how many seeds each execution was made."""
    rows = []
    for one in all_:
        made, summary = one.provenance(), one.table("summary")
        hardware = [facts["hardware"] for facts in made]
        rows.append(
            {
                "execution": one.name,
                "commit": ", ".join(sorted({str(facts["git_revision"])[:7] for facts in made})),
                "processor": ", ".join(sorted({str(facts.get("processor")) for facts in hardware})),
                "instructions": ", ".join(sorted({str(facts.get("instructions", "")) for facts in hardware})),
                "threads": ", ".join(sorted({str(facts["threads"]) for facts in made})),
                "runs": len(summary),
                "seeds": summary["seed"].nunique(),
            }
        )
    return markdown(pd.DataFrame(rows))


def lines(all_: Sequence[Execution]) -> str:
    """Return, for each line, what its seeds reached in each execution and how often it solved its task."""
    rows = []
    for key, parts in _lines(all_):
        cells = {f"execution {name}": _reached(part) for name, part in parts.items()}
        rows.append({"line": _name(key), **cells, "solved": _often(parts)})
    return markdown(pd.DataFrame(rows))


def verdicts(all_: Sequence[Execution]) -> str:
    """Return which lines solve their task always, never, and sometimes."""
    found: dict[str, list[str]] = {"always": [], "never": [], "sometimes": []}
    for key, parts in _lines(all_):
        each = pd.concat(parts.values())["solved"].astype(bool)
        found["always" if each.all() else "sometimes" if each.any() else "never"].append(_name(key))
    seeds = sorted({one.table("summary")["seed"].nunique() for one in all_})
    about = (
        f"{len(all_)} execution{'s' * (len(all_) > 1)} of {' or '.join(map(str, seeds))} seed{'s' * (seeds[-1] > 1)}"
    )
    said = {
        "always": f"**Solved by every seed in {about}**",
        "never": "**Solved by none**",
        "sometimes": "**Solved by some**, so that a single run says nothing about the method",
    }
    return "\n".join(f"- {said[key]}: {'; '.join(names)}." for key, names in found.items() if names)


def ledger(all_: Sequence[Execution]) -> str:
    """Return one row for each run of the first execution: its stages, seconds, memory and accuracy."""
    one, rows = all_[0], []
    for _, row in one.table("summary").iterrows():
        folder = one.run(row)
        schedule = json.loads((one.results / folder / "schedule.json").read_text())
        config = json.loads((one.results / folder / "model/config.json").read_text())
        seconds, memory = _cost(one.results / "benchmarks" / folder.with_suffix(".tsv"))
        rows.append(
            {
                "run": f"{_name(tuple(row[LINE]))}, seed {row['seed']}",
                "layers": config["num_hidden_layers"],
                "updates": row["updates"],
                "stages end at": ", ".join(str(stage["last_step"]) for stage in schedule["stages"]),
                "labelled tokens": row["labelled_tokens"],
                "seconds": seconds,
                "MiB": memory,
                "latents": f"{row['mean_latents']:.2f}",
                "passes": f"{row['mean_forward_passes']:.2f}",
                "start": f"{row['start_accuracy']:.3f}",
                "accuracy": f"{row['accuracy']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]",
            }
        )
    return markdown(pd.DataFrame(rows))


def lost(all_: Sequence[Execution]) -> str:
    """Return the stages, in any execution, that ended worse than the stage before them."""
    rows = []
    for one in all_:
        curves = one.table("curves")
        for _, row in curves[curves["worse"].astype(str) == "True"].iterrows():
            change = f"{row['change']:+.3f} [{row['change_low']:+.3f}, {row['change_high']:+.3f}]"
            run = f"{_name(tuple(row[LINE]))}, seed {row['seed']}"
            where = {"execution": one.name, "run": run, "stage": row["stage"], "ends at update": row["last_step"]}
            rows.append({**where, "accuracy": f"{row['end']:.3f}", "change": change})
    return markdown(pd.DataFrame(rows)) if rows else "No stage ended worse than the one before it."


def latents(all_: Sequence[Execution]) -> str:
    """Return which intermediate value can be read at which latent, of each probed run of the first execution."""
    probes = all_[0].table("probes")
    probes = probes[(probes["probe"] == "values") & (probes["kind"] == "input")]
    rows = []
    for (*key, target), part in probes.groupby([*LINE, "seed", "target"]):
        at = part.set_index(part["latent_index"].astype(int))
        cells = {f"latent {k}": f"{at['value'][k]:.2f}" + ("" if _passes(at, k) else " (chance)") for k in at.index}
        rows.append({"run": f"{_name(tuple(key[:3]))}, seed {int(key[3])}", "value": int(target), **cells})
    return markdown(pd.DataFrame(rows).fillna("")) if rows else "No latents were probed."


def swaps(all_: Sequence[Execution]) -> str:
    """Return what an exchange of each latent between questions does in the first execution."""
    table = all_[0].table("interventions")
    rows = []
    for _, row in table[table["intervention"] == "swap"].iterrows():
        change = _interval(row["accuracy_change"], row["change_low"], row["change_high"])
        follow = _interval(row["donor_share"], row["donor_low"], row["donor_high"])
        rows.append(
            {"method": row["label"], "seeds": int(row["seeds"]), "latent": int(row["latent_index"]), "n": int(row["n"])}
            | {"change of accuracy": change, "answers that follow": follow, "whose step": int(row["target"])}
        )
    return markdown(pd.DataFrame(rows))


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _passes(rows: pd.DataFrame, k: int) -> bool:
    return str(rows["passes_null"][k]) == "True"


def truth(all_: Sequence[Execution]) -> str:
    """Return how well truth can be told: each direction at its best layer, what needs no layer, and the controls."""
    probes = all_[0].table("probes")
    probes = probes[(probes["probe"] == "truth") & probes["value"].notna()]
    whole = probes[(probes["subset"] == "all") & probes["layer"].notna()]
    chosen = [part.nlargest(1, "value") for _, part in whole.groupby(["unit", "direction"])]
    if not chosen:
        return "No statements were probed."
    best = pd.concat(chosen).sort_values("value").groupby("unit").tail(1)
    chosen.append(probes[probes["layer"].isna()])
    for _, row in best.iterrows():
        same = (probes[["unit", "direction", "layer"]] == row[["unit", "direction", "layer"]]).all(axis=1)
        chosen.append(probes[same & (probes["subset"] != "all")])
    rows = []
    for _, row in pd.concat(chosen).iterrows():
        layer = "-" if pd.isna(row["layer"]) else f"{row['layer']:.0f}"
        auroc = f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
        p = "-" if pd.isna(row["p_corrected"]) else f"{row['p_corrected']:.3f}"
        rows.append(
            {"unit": row["unit"], "direction": row["direction"], "layer": layer, "statements": row["subset"]}
            | {"n": int(row["n"])}
            | {"AUROC": auroc, "p, corrected": p}
        )
    return markdown(pd.DataFrame(rows))


def costs(all_: Sequence[Execution]) -> str:
    """Return one row for each stage of the first execution: jobs, seconds in all, the slowest, the largest memory."""
    rows = []
    for stage in sorted((all_[0].results / "benchmarks").iterdir()):
        cost = [_cost(file) for file in ([stage] if stage.is_file() else sorted(stage.rglob("*.tsv")))]
        seconds = [one[0] for one in cost]
        rows.append(
            {"stage": stage.stem, "jobs": len(cost), "seconds": sum(seconds), "slowest": max(seconds)}
            | {"MiB": max(one[1] for one in cost)}
        )
    return markdown(pd.DataFrame(rows))


def agreement(all_: Sequence[Execution]) -> str:
    """Return how far the runs and probes of the other executions are from those of the first."""
    if len(all_) == 1:
        return "Only one execution was made, so nothing is known of another machine."
    rows = []
    for other in all_[1:]:
        runs = all_[0].table("summary").merge(other.table("summary"), on=RUN, suffixes=("", "_other"))
        away = (runs["accuracy"] - runs["accuracy_other"]).abs().round(6)
        flips = [_name(tuple(row[LINE])) for _, row in runs[runs["solved"] != runs["solved_other"]].iterrows()]
        rows.append(
            {"executions": f"{all_[0].name} and {other.name}", "runs in both": len(runs)}
            | {"final accuracies within .01": int((away <= 0.01).sum()), "largest difference": f"{away.max():.3f}"}
            | {"solved in one alone": "; ".join(flips) or "none"}
        )
    return markdown(pd.DataFrame(rows))


def made(all_: Sequence[Execution]) -> str:
    """Return which execution the gallery shows."""
    commits = ", ".join(sorted({f"`{str(facts['git_revision'])[:7]}`" for facts in all_[0].provenance()}))
    return f"Made by `make run` at commit {commits}: execution {all_[0].name} of [default-run.md](../default-run.md)."


PARTS: dict[str, Part] = {
    "executions": executions,
    "verdicts": verdicts,
    "lines": lines,
    "ledger": ledger,
    "lost": lost,
    "latents": latents,
    "swaps": swaps,
    "truth": truth,
    "costs": costs,
    "agreement": agreement,
    "made": made,
}


def fill(page: str, all_: Sequence[Execution]) -> str:
    """Return a page with the text between its markers replaced."""
    return MARKED.sub(lambda found: f"<!-- ledger: {found[1]} -->\n\n{PARTS[found[1]](all_)}\n\n<!-- end -->", page)


def _lines(all_: Sequence[Execution]) -> list[tuple[tuple, dict[str, pd.DataFrame]]]:
    """Return every line with its rows of `summary` in each execution that has it."""
    found: dict[tuple, dict[str, pd.DataFrame]] = {}
    for one in all_:
        for key, part in one.table("summary").groupby(LINE):
            found.setdefault(key, {})[one.name] = part
    return sorted(found.items())


def _reached(part: pd.DataFrame) -> str:
    first = part.iloc[0]
    if len(part) == 1:
        return f"{first['accuracy']:.3f} [{first['ci_low']:.3f}, {first['ci_high']:.3f}]"
    share = Solved(int(first["seeds_solved"]), len(part), first["solved_low"], first["solved_high"], float("nan"))
    return f"{part['accuracy'].min():.3f} to {part['accuracy'].max():.3f}; {share.text}"


def _often(parts: dict[str, pd.DataFrame]) -> str:
    each = pd.concat(parts.values())["solved"].astype(bool)
    return f"{each.sum()} of {len(each)}"


def _name(key: tuple) -> str:
    trainable, method, backbone = key
    return f"{method}, {backbone}, {trainable}"


def _cost(file: Path) -> tuple[int, int]:
    facts = pd.read_csv(file, sep="\t").iloc[0]
    memory = pd.to_numeric(pd.Series([facts["max_pss"]]), errors="coerce").fillna(0).iloc[0]
    return round(facts["s"]), round(memory)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    head = "| " + " | ".join(table.columns) + " |\n" + "| --- " * len(table.columns) + "|\n"
    return head + "\n".join("| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False))


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[1:]] or [Path("results")]
    found = [Execution(letter, folder) for letter, folder in zip(string.ascii_uppercase, given, strict=False)]
    for page in PAGES:
        page.write_text(fill(page.read_text(), found))
        print(f"{page}: filled from {', '.join(map(str, given))}")
