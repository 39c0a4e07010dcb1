"""The staleness matrix as a table: what an edit is, and how the table in `docs/staleness.md` is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.workflow.desk import Desk
from tests.workflow.dry_runs import COLUMNS, FOLLOWS, Stale

PAGE = Path(__file__).parents[2] / "docs/staleness.md"
BEGIN, END = "<!-- matrix -->", "<!-- end of matrix -->"

ALL = {
    "task": "chain facts",
    "backbone": "llama3.2 qwen3",
    "train": "cot coconut coconut(llama3.2) coconut(lora) lt-tuning pause codi sim-cot soft-thinking",
    "extract": "coconut lt-tuning facts",
    "probe": "values truth effects words",
    "table": "summary curves collapse separation probes activity interventions readouts",
    "figure": "accuracy_backbones accuracy_live_frozen latent_scatter latent_scatter_training activity_heatmap "
    "latent_effects latent_readouts read_and_used",
    "page": "explore",
}
SHOWN = [column for column in COLUMNS if column != "page"]  # the page follows whatever reruns


@dataclass(frozen=True)
class Edit:
    """One row: what is done, and what reruns.

    Attributes:
        kind: of edit: source, config, environment or artifact.
        cells: for each column names, `all`, or nothing; `!` before a name or `all`: because of the edit itself.
        reason: Snakemake's reason for those.
    """

    kind: str
    what: str
    do: Callable[[Desk], None]
    reason: str = ""
    cells: dict[str, str] = field(default_factory=dict)

    def expected(self) -> set[Stale]:
        """Return the jobs that should run; the page reruns with anything else."""
        found = set() if not self.cells or "page" in self.cells else {Stale("page", "explore", FOLLOWS)}
        for column, cell in self.cells.items():
            for word in cell.split():
                names = ALL[column].split() if word.strip("!") == "all" else [word.strip("!")]
                reason = self.reason if word.startswith("!") else FOLLOWS
                found |= {Stale(column, name, reason) for name in names}
        return found


def table(edits: Sequence[Edit]) -> str:
    """Return the matrix in Markdown; bold: rerun because of the edit itself, plain: because an input reruns."""
    lines = [f"| | edit | {' | '.join(SHOWN)} |", "|" + " --- |" * (len(SHOWN) + 2)]
    for one in edits:
        cells = [_cell(one.cells.get(column, ""), column) for column in SHOWN]
        lines.append(f"| {one.kind} | {one.what.replace('../../', '')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(cell: str, column: str) -> str:
    own, rest = [word[1:] for word in cell.split() if word[0] == "!"], [word for word in cell.split() if word[0] != "!"]
    if own and set(own + rest) == set(ALL[column].split()):
        return "**all**"
    parts = [f"**{', '.join(own)}**" if own else "", ", ".join(rest)]
    return ", ".join(part for part in parts if part)


def with_table(page: str, edits: Sequence[Edit]) -> str:
    """Return the page with the current table between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table(edits)}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the table into the page."""
    from tests.workflow.edits import EDITS

    PAGE.write_text(with_table(PAGE.read_text(), EDITS))


if __name__ == "__main__":
    main()
