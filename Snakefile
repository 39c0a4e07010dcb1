"""thoughtscope: regenerates every figure of a study on latent reasoning, from nothing.

config -> task -> backbone -> run -> hidden states -> probes -> tables and figures -> report
"""

from snakemake.utils import min_version

min_version("9.27")


# another main file replaces the default; Snakemake would lay it on top
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


pathvars:
    run="{task}/{backbone}/{method}/{trainable}/seed{seed}",


wildcard_constraints:
    task="[^/]+",
    backbone="[^/]+",
    method="[^/]+",
    trainable="full|lora",
    seed=r"\d+",
    variant=r"seed\d+|given",
    name="[^/]+",
    probe="[^/]+",
    of=r"[^/]+/[^/]+(/[^/]+/(full|lora)/seed\d+)?",


include: "workflow/rules/common.smk"
include: "workflow/rules/tasks.smk"
include: "workflow/rules/backbones.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/hidden_states.smk"
include: "workflow/rules/probes.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/explore.smk"


rule all:
    """Everything: figures and tables."""
    default_target: True
    input:
        wanted_figures(),
        wanted_tables(),
        wanted_page(),
        present_artifacts,


onstart:
    refuse_read_only_results()


onsuccess:
    make_report()
    print_closing()
