"""What all rules share: the checked study, and what each stage is told."""

import os
import sys
from pathlib import Path

from thoughtscope.config.load import Run, Study
from thoughtscope.config import slices
from thoughtscope.errors import UserError
from thoughtscope.plugins import module_name
from thoughtscope.provenance import pins, sources_digest

# programs run with the Python that runs Snakemake, unless a conda environment is activated on top
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

SCRIPTS = Path("workflow/scripts")

try:
    STUDY = Study(config, Path("config"), str(workflow.configfiles[-1]))
except UserError as error:
    raise WorkflowError(f"error: {error}") from None


def run_of(wildcards):
    return Run(wildcards.task, wildcards.backbone, wildcards.method, wildcards.trainable, int(wildcards.seed))


def sources(script, *modules):
    """A digest of what a stage's program imports, so that only a change of code reruns it, never of a comment."""
    return sources_digest([SCRIPTS / script, *modules])


def manifests(folder, runs):
    return [f"<{folder}>/{run.path}/manifest.json" for run in runs]
