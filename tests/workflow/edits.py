"""The rows of the staleness matrix: an edit of each kind, and what reruns after it on the finished smoke run.

Each cell names the artifacts that rerun. `!` marks those that the edit itself makes rerun; the others rerun because an
input did. A run's name leaves out `qwen3` and `full`.
"""

from __future__ import annotations

from tests.workflow.desk import Desk
from tests.workflow.matrix import Edit

CODE = "\nADDED = 1\n"
SMOKE = "config/smoke.yaml"
PARAMS, MISSING = "Params have changed since last execution", "Missing output files"
CONTENT, COMMAND = "Updated input files", "Code has changed since last execution"

SCATTERS = "latent_scatter latent_scatter_training"
TRUTH = {"table": "probes activity", "figure": "activity_heatmap"}
AFTER_LATENTS = {"probe": "values", "table": "collapse separation probes", "figure": f"{SCATTERS} read_and_used"}
AFTER_STATES = {"probe": "values truth", "table": "collapse separation probes activity"}
AFTER_STATES |= {"figure": f"{SCATTERS} activity_heatmap read_and_used"}
AFTER_RUNS = {"extract": "coconut lt-tuning", "probe": "values effects words"}
AFTER_RUNS |= {"table": "summary curves collapse separation probes interventions readouts"}
USED = "latent_effects latent_readouts read_and_used"
AFTER_RUNS |= {"figure": f"accuracy_backbones accuracy_live_frozen {SCATTERS} {USED}"}
AFTER_BACKBONES = {"train": "all", "extract": "all", "probe": "all", "table": "all", "figure": "all"}
AFTER_TASKS = {"backbone": "all", **AFTER_BACKBONES}
# A control that follows another run's schedule follows it here too.
EVERY_RUN = "!cot !coconut !coconut(llama3.2) !coconut(lora) !lt-tuning pause !codi !sim-cot !soft-thinking"
STEP_REMOVAL = "!cot !coconut !coconut(llama3.2) !coconut(lora) pause"
AFTER_STEP_REMOVAL = {"extract": "coconut", "probe": "values effects words"}
AFTER_STEP_REMOVAL |= {"table": "summary curves collapse separation probes interventions readouts"}
AFTER_STEP_REMOVAL |= {"figure": f"accuracy_backbones accuracy_live_frozen {SCATTERS} {USED}"}
AFTER_UNDRAWN = {"table": "summary curves"}
LT_TUNING = {"train": "!lt-tuning", "extract": "lt-tuning", "probe": "effects"}
LT_TUNING |= {"table": "summary curves collapse separation interventions", "figure": f"{SCATTERS} latent_effects"}

RUN, STATES = "results/runs/chain/qwen3/pause/full/seed0", "results/hidden_states/chain/qwen3/lt-tuning/full/seed0"
STATES_FILE = f"{STATES}/kind=input/layer=none/part-0001.parquet"


def code(module: str, **cells: str) -> Edit:
    """Return the row of a line of code added to a module of the package."""
    name = f"src/thoughtscope/{module}"
    return Edit("source", f"code in `{module}`", lambda desk: desk.append(name, CODE), PARAMS, cells)


def setting(what: str, name: str, old: str, new: str, **cells: str) -> Edit:
    """Return the row of a changed text in a config file."""
    return Edit("config", what, lambda desk: desk.replace(name, old, new), PARAMS, cells)


def pin(package: str, **cells: str) -> Edit:
    """Return the row of another pinned version of a package."""
    lock, old, new = "envs/requirements.lock", f"\n{package}==", f"\n{package}==9"
    return Edit("environment", f"pin of `{package}`", lambda desk: desk.replace(lock, old, new), PARAMS, cells)


def reformatted(desk: Desk) -> None:
    """Change a comment, a docstring and the formatting of a module that every run imports."""
    name = "src/thoughtscope/training/trainer.py"
    desk.replace(name, '"""The training loop of a run', '"""Reworded: the training loop of a run')
    desk.replace(name, "            # As Coconut does", "\n\n            # In other words")
    desk.append(name, "\n# the end\n")


def reordered(desk: Desk) -> None:
    """Reorder the keys of a small file and drop its comments."""
    name = "config/methods/coconut.yaml"
    lines = [line for line in (desk.folder / name).read_text().splitlines() if not line.startswith("#")]
    desk.write(name, "\n".join(sorted(lines)) + "\n")


def gone_but_needed(desk: Desk) -> None:
    """Take a run away, and a table that is made from it."""
    desk.hide(RUN)
    desk.delete("results/tables/summary.csv")


def artifact(what: str, do: str, name: str, reason: str = MISSING, **cells: str) -> Edit:
    """Return the row of an artifact that suffers something; `do` is a method of `Desk`."""
    return Edit("artifact", what, lambda desk: getattr(desk, do)(name), reason, cells)


EDITS = [
    Edit("source", "a comment, a docstring, formatting in `training/trainer.py`", reformatted),
    code("errors.py"),
    code("training/report.py"),
    code("training/events.py"),
    code("launch/leases.py"),
    code("tasks/prosqa.py"),
    code("tasks/facts.py", task="!facts", extract="facts", probe="truth", **TRUTH),
    code("tasks/chain.py", task="!chain", **AFTER_TASKS),
    code("backbones/pretrain.py", backbone="!all", **AFTER_BACKBONES),
    code("latents/passes.py", backbone="!all", **AFTER_BACKBONES),
    code("latents/fill.py", backbone="!all", **AFTER_BACKBONES),
    code("methods/confidence_insertion.py", **LT_TUNING),
    code("methods/self_distillation.py", train="!codi", **AFTER_UNDRAWN),
    code("methods/soft_thinking.py", train="!soft-thinking", **AFTER_UNDRAWN),
    code("methods/step_decoder.py", train=f"{STEP_REMOVAL} !codi !sim-cot", **AFTER_STEP_REMOVAL),
    code("latents/fills/soft.py", train="!soft-thinking", **AFTER_UNDRAWN),
    code("training/schedule.py", train=EVERY_RUN, **AFTER_RUNS),
    code("hidden_states/extract.py", extract="!all", **AFTER_STATES),
    code("probes/latent.py", probe="!values", table="probes", figure="read_and_used"),
    code("probes/truth_direction.py", probe="!truth", **TRUTH),
    code(
        "interventions/effects.py",
        probe="!effects",
        table="interventions",
        figure="latent_effects read_and_used latent_scatter",
    ),
    code("interventions/readouts.py", probe="!words", table="readouts", figure="latent_readouts"),
    code("explorer/page.py", page="!explore"),
    code("tables/collapse.py", table="!collapse"),
    code("figures/style.py", figure="!all"),
    code("figures/accuracy_backbones.py", figure="!accuracy_backbones"),
    Edit(
        "source",
        "a caption",
        lambda desk: desk.replace("src/thoughtscope/tables/collapse.py", "Whether a method's", "Whether any method's"),
    ),
    code("../../workflow/scripts/draw_figure.py", figure="!all"),
    Edit(
        "source",
        "a rule's command",
        lambda desk: desk.replace("workflow/rules/tables.smk", "--table {", "--table  {"),
        COMMAND,
        {"table": "!all"},
    ),
    Edit(
        "source",
        "a comment in a rule",
        lambda desk: desk.replace("workflow/rules/tables.smk", '"make table', '# why\n        "make table'),
    ),
    Edit("config", "comments dropped, keys in another order", reordered),
    setting("a task's seed", "config/tasks/chain.yaml", "seed: 0", "seed: 1", task="!chain", **AFTER_TASKS),
    setting(
        "a backbone's width",
        "config/backbones/llama3.2.yaml",
        "hidden_size: ",
        "hidden_size: 2",
        backbone="!llama3.2",
        train="coconut(llama3.2)",
        table="summary curves",
        figure="accuracy_backbones",
    ),
    setting(
        "a backbone's label",
        "config/backbones/llama3.2.yaml",
        "label: ",
        "label: Tiny ",
        figure="!accuracy_backbones",
    ),
    setting(
        "a backbone's look",
        "config/backbones/llama3.2.yaml",
        "marker: ",
        "filled: false, marker: ",
        figure="!accuracy_backbones",
    ),
    setting(
        "`evaluation.solved_at`",
        SMOKE,
        "every: 8",
        "every: 8\n  solved_at: 0.9",
        table="!summary !curves",
        figure="!accuracy_backbones !accuracy_live_frozen",
    ),
    setting("`pretraining.updates`", SMOKE, "updates: 20", "updates: 21", backbone="!all", **AFTER_BACKBONES),
    setting(
        "one method's learning rate",
        "config/methods/lt-tuning.yaml",
        "kind:",
        "training: {optimizer: {learning_rate: 2.0e-3}}\nkind:",
        **LT_TUNING,
    ),
    setting(
        "a step decoder's weight",
        "config/methods/sim-cot.yaml",
        "step_decoder: {}",
        "step_decoder: {weight: 0.5}",
        train="!sim-cot",
        **AFTER_UNDRAWN,
    ),
    setting(
        "the weight of CODI's distillation",
        "config/methods/codi.yaml",
        "latents: 6",
        "latents: 6\ndistillation: {weight: 2}",
        train="!codi",
        **AFTER_UNDRAWN,
    ),
    setting("`training.updates`", SMOKE, "updates: 16", "updates: 17", train=EVERY_RUN, **AFTER_RUNS),
    setting("`training.save_every_seconds`", SMOKE, "updates: 16", "updates: 16\n  save_every_seconds: 7"),
    setting(
        "`lora.rank`",
        SMOKE,
        "rank: 4",
        "rank: 5",
        train="!coconut(lora)",
        table="summary curves",
        figure="accuracy_live_frozen",
    ),
    setting(
        "a method's label",
        "config/methods/lt-tuning.yaml",
        "label: LT-Tuning",
        "label: LT",
        table="!summary !curves !collapse !separation !interventions",
        figure="!latent_scatter !latent_scatter_training !latent_effects",
    ),
    setting(
        "`hidden_states.examples`",
        SMOKE,
        "examples: 32",
        "examples: 31",
        extract="!coconut !lt-tuning",
        **AFTER_LATENTS,
    ),
    setting(
        "a probe's `permutations`",
        SMOKE,
        "permutations: 99\n  truth",
        "permutations: 199\n  truth",
        probe="!values",
        table="probes",
        figure="read_and_used",
    ),
    setting("a probe's `bootstrap`", SMOKE, "bootstrap: 20", "bootstrap: 21", probe="!truth", **TRUTH),
    setting(
        "a figure's title",
        SMOKE,
        "kind: accuracy_backbones",
        "kind: accuracy_backbones\n    title: New",
        figure="!accuracy_backbones",
    ),
    setting(
        "a figure's option",
        SMOKE,
        "kind: accuracy_live_frozen",
        "kind: accuracy_live_frozen\n    options: {confidence: 0.9}",
        figure="!accuracy_live_frozen",
    ),
    setting("a DeepSpeed file", "config/deepspeed/zero0.yaml", "stage: 0", "stage: 1", train=EVERY_RUN, **AFTER_RUNS),
    Edit(
        "config",
        "one backbone more in `runs:`",
        lambda desk: desk.replace(SMOKE, "backbone: llama3.2,", "backbone: [llama3.2, gemma3],"),
        MISSING,
        {
            "backbone": "!gemma3",
            "train": "!coconut(gemma3)",
            "table": "summary curves",
            "figure": "accuracy_backbones",
        },
    ),
    pin("torch", backbone="!all", **AFTER_BACKBONES),
    pin("deepspeed", train=EVERY_RUN, **AFTER_RUNS),
    pin(
        "scikit-learn",
        probe="!values !truth",
        table="probes activity",
        figure="!latent_scatter !latent_scatter_training activity_heatmap read_and_used",
    ),
    pin(
        "pandas",
        extract="!all",
        probe="values truth",
        table="!summary !curves !interventions !readouts collapse separation probes activity",
        figure="!accuracy_backbones !accuracy_live_frozen !latent_effects !latent_readouts "
        f"{SCATTERS} activity_heatmap read_and_used",
    ),
    pin("scipy", train=EVERY_RUN, extract="!facts coconut lt-tuning", probe="all", table="all", figure="all"),
    pin("matplotlib", figure="!all"),
    pin("pydantic"),
    Edit("artifact", "every file touched", lambda desk: desk.touch_everything()),
    artifact("a figure's SVG deleted", "delete", "results/figures/latent_scatter.svg", figure="!latent_scatter"),
    artifact("a run's model deleted", "hide", f"{RUN}/model", train="!pause", table="summary curves"),
    artifact("a run's curve deleted", "delete", f"{RUN}/accuracy.parquet", train="!pause", table="summary curves"),
    artifact("a run's metrics deleted", "delete", f"{RUN}/metrics.parquet", train="!pause", table="summary curves"),
    artifact(
        "a run's hidden states of one kind deleted",
        "hide",
        f"{STATES}/kind=input",
        extract="!lt-tuning",
        table="collapse separation",
        figure=SCATTERS,
    ),
    artifact("a file of a run's model deleted: only `make verify` says so", "delete", f"{RUN}/model/tokenizer.json"),
    artifact("hidden states cut short: only `make verify` says so", "cut", STATES_FILE),
    artifact("one byte of hidden states changed: only `make verify` says so", "flip", STATES_FILE),
    artifact("a table cut short: only `make verify` says so", "cut", "results/tables/summary.csv"),
    artifact("a table's provenance deleted", "delete", "results/tables/summary.provenance.json", table="!summary"),
    artifact(
        "a manifest edited",
        "flip",
        f"{STATES}/manifest.json",
        CONTENT,
        table="!collapse !separation",
        figure="!latent_scatter !latent_scatter_training",
        page="explore",
    ),
    artifact("a run gone that nothing needs any more", "hide", RUN),
    artifact("hidden states gone that nothing needs any more", "hide", STATES),
    Edit(
        "artifact",
        "a run and a table made from it gone",
        gone_but_needed,
        MISSING,
        {"train": "!pause", "table": "!summary curves"},
    ),
    artifact("Snakemake's records gone", "hide", ".snakemake/metadata"),
]
