"""task + backbone (+ the run whose schedule is followed) -> results/runs/<run>/"""


rule train:
    """Train one run, all stages, and measure its accuracy on the way."""
    input:
        task="<tasks>/{task}/manifest.json",
        backbone=backbone_of_run,
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
    threads: lambda w: training(w).cores
    resources:
        mem_mb=lambda w, attempt: training(w, attempt).mem_mb,
        runtime=lambda w, attempt: training(w, attempt).minutes,
        gpu=lambda w: training(w).gpus if training(w).nodes == 1 else None,
        gpu_model=lambda w: training(w).gpu_type if training(w).nodes == 1 else None,
        ranks=lambda w: training(w).ranks,
        nodes=lambda w: training(w).nodes,
        # several nodes: SLURM starts this program on the first, which starts the others through srun
        mpi=lambda w: "srun" if training(w).nodes > 1 else None,
        tasks=lambda w: training(w).nodes if training(w).nodes > 1 else None,
        slurm_extra=lambda w: training(w).slurm_options,
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
        # Snakemake removes the log at each start, but not what it is a link to: all starts of the run, one after the other
        "log={log:q}; all=${{log%.log}}.all.log; touch $all; ln -f $all $log; "
        # exec: no shell stands between the run and the signals that it is sent
        "exec python workflow/scripts/train.py --nodes {resources.nodes} --ranks {resources.ranks} --cores {threads}"
        " --settings {params.settings:q} --task $(dirname {input.task:q}) --backbone $(dirname {input.backbone:q})"
        " {params.yoke} --sources {params.sources:q} --pins {params.pins:q} --saving {params.saving:q}"
        " --state results/state --output $(dirname {output.manifest:q}) >> $log 2>&1"
