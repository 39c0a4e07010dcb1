"""What all rules share: the checked study, what each rule is made from, and what it asks a machine for."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

from thoughtscope import explorer
from thoughtscope.artifacts import sha256
from thoughtscope.backbones.gguf_file import locate
from thoughtscope.backbones.settings import GIVEN_FILES
from thoughtscope.config import analysis
from thoughtscope.config.compute import (
    building_mb,
    numbers_request,
    reading_request,
    training_request,
)
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import leader, saving
from thoughtscope.errors import UserError
from thoughtscope.launch.slurm import JOB, REQUEUE
from workflow.lib import study_rules
from workflow.lib.closing import closing
from workflow.lib.params import Caption, code_params, group, run_of, settings_params

# programs run with the Python that runs Snakemake
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


# compute nodes without a network use the cache that `make fetch` filled, and do not wait for the hub
if workflow.remote_exec and STUDY.config.compute.offline:
    os.environ.update(HF_HUB_OFFLINE="1")

# the access token is passed through the environment; no config file or log contains it
if "HF_TOKEN" in os.environ:

    envvars:
        "HF_TOKEN",


# event files change no result, so this is not a param: setting it retrains nothing
os.environ.update(
    THOUGHTSCOPE_EVENTS="results/tensorboard" if STUDY.config.tensorboard else ""
)

# params: a group of settings each
settings = functools.partial(settings_params, STUDY)


# cached: Snakemake calls these for each resource and each attempt
training_of = functools.cache(functools.partial(training_request, STUDY))
reading_of = functools.cache(functools.partial(reading_request, STUDY))


def training(wildcards, attempt=1):
    return training_of(run_of(wildcards), attempt)


def reading(wildcards, attempt=1):
    return reading_of(wildcards.backbone, attempt)


def probing(wildcards, attempt=1):
    """What a probe asks for: what its model needs, if it reads one, else memory for numbers."""
    if STUDY.probe(wildcards.probe)[0].READS == "runs":
        return reading_of(wildcards.of.split("/")[1], attempt)
    return numbers_request(attempt)


def backbone_memory(wildcards):
    return building_mb(STUDY, wildcards.backbone)


# modules that a program imports because its settings name them, or starts as processes


def task_modules(wildcards):
    return [type(STUDY.task(wildcards.task)).__module__]


def method_modules(wildcards):
    return study_rules.method_modules(STUDY, run_of(wildcards))


def worker_modules(wildcards):
    return ["thoughtscope.training.worker", *method_modules(wildcards)]


def probe_modules(wildcards):
    return study_rules.probe_modules(STUDY, wildcards.probe, wildcards.of)


def table_modules(wildcards):
    return [STUDY.table(wildcards.name)[0].__module__]


def figure_modules(wildcards):
    return [STUDY.figure(wildcards.name)[0].__module__]


RECORD = "provenance.json"  # beside each table and figure


# inputs are manifests, which change only with the content of an artifact


def manifests(folders):
    return [f"results/{folder}/manifest.json" for folder in folders]


def pretraining_tasks(wildcards):
    tasks = study_rules.pretraining_tasks(STUDY, wildcards.backbone)
    return manifests(f"tasks/{task}" for task in tasks)


def given_files(wildcards):
    """The files of a backbone that is a folder or a GGUF file."""
    settings = STUDY.backbone(wildcards.backbone)
    if settings.source == "gguf":
        return [str(locate(settings, f"backbone {wildcards.backbone}"))]
    if settings.source != "folder":
        return []
    return sorted(
        str(file) for kind in GIVEN_FILES for file in Path(settings.path).glob(kind)
    )


def backbone_of_run(wildcards):
    path = study_rules.backbone_path(STUDY, wildcards.backbone, int(wildcards.seed))
    return manifests([f"backbones/{path}"])


def backbone_of_statements(wildcards):
    path = study_rules.backbone_path(STUDY, wildcards.backbone, seed=0)
    return manifests([f"backbones/{path}"])


def leader_of_run(wildcards):
    """The run whose stage switches a control follows, if its method is yoked."""
    run = leader(STUDY, run_of(wildcards))
    return manifests([f"runs/{run.path}"] if run else [])


def table_inputs(wildcards):
    return manifests(analysis.table_folders(STUDY, wildcards.name))


def figure_inputs(wildcards):
    return manifests(analysis.figure_folders(STUDY, wildcards.name))


def wanted_tables():
    names = analysis.table_names(STUDY)
    return expand("results/tables/{name}.{kind}", name=names, kind=["csv", RECORD])


def wanted_figures():
    kinds, names = ["png", "pdf", "svg", "csv", RECORD], list(STUDY.config.figures)
    return expand("results/figures/{name}.{kind}", name=names, kind=kinds)


def wanted_page():
    return (
        expand("results/explore.{kind}", kind=["html", RECORD])
        if STUDY.config.explore
        else []
    )


def page_files():
    """The digest of each file that the page is made of, apart from Python's."""
    return {
        file.name: sha256(file)
        for file in sorted(Path(explorer.__path__[0]).glob("page.*"))
        if file.suffix != ".py"
    }


def present_artifacts(_wildcards):
    """Every declared output of each existing artifact, so that an artifact with a missing file is made again.

    An artifact that is missing as a whole is made again only when something needs it.
    """
    found = []
    for rule, wildcards in study_rules.artifacts(STUDY):
        output = getattr(rules, rule).output
        if all(Path(file).exists() for file in expand(output.manifest, **wildcards)):
            found += expand(output, **wildcards)
    return found


def refuse_read_only_results():
    """Raise an error before any job starts if results cannot be written."""
    if Path("results").exists() and not os.access("results", os.W_OK):
        problem = UserError(
            "results",
            "the folder is read-only",
            "make it writable (chmod u+w results, or mount it so) and run again: nothing in it was changed",
        )
        raise WorkflowError(f"error: {problem}")


def print_closing():
    """Print the main numbers and where to look, if everything was made."""
    if all(Path(file).exists() for file in wanted_figures() + wanted_tables()):
        print("\n".join(closing(Path("results"))), flush=True)


def make_report():
    """Write results/report.html if all figures and tables exist; a run of a few targets does not change it."""
    if all(Path(file).exists() for file in wanted_figures() + wanted_tables()):
        command = [sys.executable, "-m", "snakemake", "--nolock", "--configfile"]
        command += map(str, workflow.configfiles)
        subprocess.run(
            [*command, "--report", "results/report.html"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
