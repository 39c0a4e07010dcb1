"""Runs.

reads     results/tasks/{task}/; results/backbones/{backbone}/{variant}/; results/runs/<run>/ whose schedule a control
          follows
produces  results/runs/<run>/: the model and the checkpoints that are kept; accuracies, predictions, metrics, schedule,
          spelled tokens, what a decoder reads at latents, drawn responses, seconds
keeps     results/state/<digest>/ while a run is unfinished: where its next start resumes. No output, so that
          Snakemake leaves it alone. results/tokens/<digest>/: the examples of a task as token ids, which runs share.
"""


rule train:
    """Train one run, all stages, and measure its accuracy on the way."""
    input:
        task="results/tasks/{task}/manifest.json",
        backbone=backbone_of_run,
        leader=leader_of_run,
    output:
        manifest="results/runs/<run>/manifest.json",
        provenance="results/runs/<run>/provenance.json",
        accuracy="results/runs/<run>/accuracy.parquet",
        predictions="results/runs/<run>/predictions.parquet",
        metrics="results/runs/<run>/metrics.parquet",
        schedule="results/runs/<run>/schedule.json",
        spellings="results/runs/<run>/spellings.json",
        samples="results/runs/<run>/samples.parquet",
        times="results/runs/<run>/times.json",
        readings="results/runs/<run>/readings.parquet",
        model=directory("results/runs/<run>/model"),
        checkpoints=directory("results/runs/<run>/checkpoints"),
    log:
        "results/logs/runs/<run>.log",
    benchmark:
        "results/benchmarks/runs/<run>.tsv"
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
        **settings(study_rules.train),
        **code_params("train.py", worker_modules),
        # how often to save is no reason to rerun, and neither is a param that depends on resources
        saving=lambda w, resources: group(saving=saving(STUDY, run_of(w))),
    message:
        "train {wildcards.method}/{wildcards.backbone} on {wildcards.task} ({wildcards.trainable}, seed {wildcards.seed})"
    shell:
        # Snakemake deletes the log at each start, but not the second name of the file, which keeps the logs of all starts
        "log={log:q}; all=${{log%.log}}.all.log; touch $all; ln -f $all $log; "
        # exec: the program, not a shell, receives signals
        "exec python workflow/scripts/train.py --nodes {resources.nodes} --ranks {resources.ranks} --cores {threads}"
        " --settings {params:q} --task {input.task:q} --backbone {input.backbone:q} --leader {input.leader:q}"
        " --state results/state --output {output.manifest:q} >> $log 2>&1"
