"""task + backbone (+ the run whose schedule is followed) -> results/runs/<run>/"""


rule train:
    """Train one run, all stages, and measure its accuracy on the way."""
    input:
        task="<tasks>/{task}/manifest.json",
        backbone="<backbones>/{backbone}/manifest.json",
        yoke=leader,
    output:
        manifest="<runs>/<run>/manifest.json",
        accuracy="<runs>/<run>/accuracy.parquet",
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
    params:
        settings=lambda w: slices.train_slice(STUDY, run_of(w)),
        yoke=lambda w, input: (
            f"--yoke {Path(input.yoke[0]).parent}" if input.yoke else ""
        ),
        # a function of resources is no reason to rerun, and how often to save is none
        saving=lambda w, resources: slices.saving(STUDY, run_of(w)),
        sources=lambda w: sources("train", *method_modules(w)),
        pins=pins("train"),
    message:
        "train {wildcards.method}/{wildcards.backbone} on {wildcards.task} ({wildcards.trainable}, seed {wildcards.seed})"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/train.py --ranks {resources.ranks} --settings {params.settings:q}"
        " --task $(dirname {input.task:q}) --backbone $(dirname {input.backbone:q}) {params.yoke}"
        " --sources {params.sources:q} --pins {params.pins:q}"
        " --saving {params.saving:q} --state results/state --output $(dirname {output.manifest:q}) > {log:q} 2>&1"
