"""What all rules share: the checked study, and what each stage is told."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

from snakemake.logging import logger

from thoughtscope.backbones.settings import GIVEN_FILES
from thoughtscope.config.compute import (
    building_mb,
    reading_request,
    training_request,
)
from thoughtscope.config.load import Study
from thoughtscope.config.run import Run
from thoughtscope.config import slices
from thoughtscope.errors import UserError
from thoughtscope.launch.preflight import Ask, problems
from thoughtscope.launch.slurm import JOB, REQUEUE
from thoughtscope.plugins import module_name
from thoughtscope.stages import STAGES
from thoughtscope.upkeep.plan import plan
from thoughtscope.upkeep.stock import UNRECORDED, distrusted

# programs run with the Python that runs Snakemake, unless a conda environment is activated on top
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)

# inside a SLURM job that was made for one run: the run may put it back into the queue, and what SLURM says to all of the
# job's processes before the time limit is for the run, not for Snakemake
if workflow.remote_exec and JOB in os.environ:
    os.environ[REQUEUE] = os.environ[JOB]
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

try:
    STUDY = Study(
        config, Path("config"), ", ".join(map(os.path.relpath, workflow.configfiles))
    )
    for name in STUDY.named("backbones"):
        reading_request(STUDY, name)
except UserError as error:
    raise WorkflowError(f"error: {error}") from None


# compute nodes without a network: what `make fetch` brought into the cache is used, and nothing waits for a hub
if workflow.remote_exec and STUDY.config.compute.offline:
    os.environ.update(HF_HUB_OFFLINE="1")

# a token is the environment's, never a config file's or a log's
if "HF_TOKEN" in os.environ:

    envvars:
        "HF_TOKEN",


# not told to stages: event files change no result, so asking for them retrains nothing
os.environ.update(
    THOUGHTSCOPE_EVENTS="results/tensorboard" if STUDY.config.tensorboard else ""
)


def run_of(wildcards):
    return Run(
        wildcards.task,
        wildcards.backbone,
        wildcards.method,
        wildcards.trainable,
        int(wildcards.seed),
    )


def sources(stage, *modules):
    """Digests of what a stage's program imports, so that only a change of code reruns it, never of a comment."""
    return slices.canonical(STAGES[stage].sources(*modules))


def pins(stage):
    """The pinned versions of the packages that can change a stage's result."""
    return slices.canonical(STAGES[stage].pins())


def training(wildcards, attempt=1):
    return training_request(STUDY, run_of(wildcards), attempt)


def reading(wildcards, attempt=1):
    return reading_request(STUDY, wildcards.backbone, attempt)


def manifests(folder, runs):
    return [f"<{folder}>/{run.path}/manifest.json" for run in runs]


@functools.cache
def force_what_cannot_be_trusted():
    """Make anew, and say so, what was damaged by hand or stands there without Snakemake's record of how it was made.

    Snakemake itself looks only at whether declared outputs are there, and at times where it has no record. Input
    functions call this: the jobs are being collected then, and it is not yet decided which of them run.
    """
    if not workflow.is_main_process:
        return
    planned = {one.path: one for one in plan(STUDY)}
    wrong = distrusted(planned.values())
    for path, why in list(wrong.items())[:5]:
        logger.warning(f"{path}: {why}; it is made anew")
    if len(wrong) > 5:
        logger.warning(f"and {len(wrong) - 5} more artifacts are made anew")
    if UNRECORDED in wrong.values():
        logger.warning("make adopt verifies what was made elsewhere, and keeps it")
    workflow.dag.forcefiles.update(
        str(file) for path in wrong for file in planned[path].outputs
    )


def pretraining_tasks(wildcards):
    force_what_cannot_be_trusted()
    return [
        f"<tasks>/{task}/manifest.json"
        for task in slices.pretraining_tasks(STUDY, wildcards.backbone)
    ]


def backbone_of_run(wildcards):
    path = slices.backbone_path(STUDY, wildcards.backbone, int(wildcards.seed))
    return f"<backbones>/{path}/manifest.json"


def backbone_of_statements(wildcards):
    run = slices.statements_run(wildcards.task, wildcards.backbone)
    path = slices.backbone_path(STUDY, run.backbone, run.seed)
    return f"<backbones>/{path}/manifest.json"


def given_files(wildcards):
    """The files of a backbone that is a folder: what changes there is read anew."""
    settings = STUDY.backbone(wildcards.backbone)
    if settings.source != "folder":
        return []
    return sorted(
        str(file) for kind in GIVEN_FILES for file in Path(settings.path).glob(kind)
    )


def backbone_memory(wildcards):
    return building_mb(STUDY, wildcards.backbone)


def leader(wildcards):
    """The run whose stage switches a control follows, if its method is yoked to one."""
    force_what_cannot_be_trusted()
    run = slices.leader(STUDY, run_of(wildcards))
    return manifests("runs", [run]) if run else []


def method_modules(wildcards):
    return slices.method_modules(STUDY, run_of(wildcards))


def wanted_tables():
    return [f"<tables>/{name}.csv" for name in slices.wanted_tables(STUDY)]


def wanted_figures():
    return [
        f"<figures>/{name}.{kind}"
        for name in STUDY.config.figures
        for kind in ("png", "pdf", "svg", "csv")
    ]


def table_inputs(wildcards):
    force_what_cannot_be_trusted()
    return manifests(*slices.table_inputs(STUDY, wildcards.name))


def figure_inputs(wildcards):
    force_what_cannot_be_trusted()
    tasks = [
        f"<tasks>/{task}/manifest.json"
        for task in slices.figure_tasks(STUDY, wildcards.name)
    ]
    return manifests(*slices.figure_inputs(STUDY, wildcards.name)) + tasks


def ask_slurm():
    """End before any job is submitted, in a line for each problem, if SLURM would not run what is to be submitted."""
    if not workflow.is_main_process or workflow.executor_plugin.name != "slurm":
        return
    Path("results").mkdir(exist_ok=True)
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    asks = {Ask.of(job.resources): f"rule {job.rule.name}" for job in jobs}
    given = {
        file
        for job in jobs
        for file in job.input
        if not Path(file).is_relative_to("results")
    }
    backbones = [STUDY.backbone(name) for name in STUDY.named("backbones")]
    folders = {one.path for one in backbones if one.source == "folder"}
    if any(one.source == "hub" for one in backbones):
        folders.add(os.environ.get("HF_HOME", Path.home() / ".cache/huggingface"))
    seen = [sys.executable, "Snakefile", *sorted(map(str, given | folders))]
    absolute = [Path(file).absolute() for file in seen]
    try:
        found = list(problems(asks, absolute, [Path("results").absolute()]))
    except UserError as error:
        found = [error]
    if found:
        raise WorkflowError("\n".join(f"error: {problem}" for problem in found))


def refuse_read_only_results():
    """End before any job starts, in a line that says what to do, if results cannot be written."""
    if Path("results").exists() and not os.access("results", os.W_OK):
        problem = UserError(
            "results",
            "the folder is read-only",
            "make it writable (chmod u+w results, or mount it so) and run again: nothing in it was changed",
        )
        raise WorkflowError(f"error: {problem}")


def make_report():
    """Write results/report.html, if everything it shows is there; a run of a few targets leaves it as it is."""
    files = [
        Path(file.replace("<", "results/").replace(">", ""))
        for file in wanted_figures() + wanted_tables()
    ]
    if all(file.exists() for file in files):
        config_files = [str(file) for file in workflow.configfiles]
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--nolock",
            "--configfile",
            *config_files,
        ]
        subprocess.run(
            [*command, "--report", "results/report.html"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
