"""task + backbone (+ the run whose schedule is followed) -> results/runs/<run>/"""


def leader(wildcards):
    """The run whose stage switches a control follows, if its method is yoked to one."""
    run = run_of(wildcards)
    method = STUDY.method(run.method).yoked_to
    return manifests("runs", [Run(run.task, run.backbone, method, run.trainable, run.seed)]) if method else []


rule train:
    """Train one run, all stages, and measure its accuracy on the way."""
    input:
        task="<tasks>/{task}/manifest.json",
        backbone="<backbones>/{backbone}/manifest.json",
        yoke=leader,
    output:
        manifest="<runs>/<run>/manifest.json",
        accuracy="<runs>/<run>/accuracy.parquet",
    params:
        settings=lambda w: slices.train_slice(STUDY, run_of(w)),
        yoke=lambda w, input: f"--yoke {Path(input.yoke[0]).parent}" if input.yoke else "",
        sources=lambda w: sources("train.py", "thoughtscope.training.worker", method_module(w)),
        pins=pins("torch", "transformers", "deepspeed", "peft"),
    log:
        "<logs>/runs/<run>.log",
    benchmark:
        "<benchmarks>/runs/<run>.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=120,
        gpu=0,
        ranks=1,
    message:
        "train {wildcards.method}/{wildcards.backbone} on {wildcards.task} ({wildcards.trainable}, seed {wildcards.seed})"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/train.py --ranks {resources.ranks} --settings {params.settings:q}"
        " --task $(dirname {input.task:q}) --backbone $(dirname {input.backbone:q}) {params.yoke}"
        " --state results/state --output $(dirname {output.manifest:q}) > {log:q} 2>&1"


def method_module(wildcards):
    return module_name("methods", STUDY.method(wildcards.method).kind)
