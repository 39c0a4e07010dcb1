"""Probes.

reads     results/hidden_states/<run>/ or results/statements/{task}/{backbone}/, and results/tasks/{task}/
produces  results/probes/<run>/: which intermediate values can be read at a run's latents;
          results/truth_probes/{task}/{backbone}/: directions that tell true from false statements, and their scores
"""


rule fit_latent_probes:
    """Probe which intermediate value can be read at each latent of a run."""
    input:
        states="results/hidden_states/<run>/manifest.json",
        task="results/tasks/{task}/manifest.json",
    output:
        manifest="results/probes/<run>/manifest.json",
        provenance="results/probes/<run>/provenance.json",
        latents="results/probes/<run>/latents.parquet",
    log:
        "results/logs/probes/<run>.log",
    benchmark:
        "results/benchmarks/probes/<run>.tsv"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        **settings(study_rules.fit_latent_probes),
        **code_params("fit_latent_probes.py"),
    message:
        "fit probes on {wildcards.method}/{wildcards.backbone}, task {wildcards.task}"
        " ({wildcards.trainable}, seed {wildcards.seed})"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/fit_latent_probes.py --settings {params:q}"
        " --states {input.states:q} --task {input.task:q} --output {output.manifest:q} > {log:q} 2>&1"


rule fit_truth_probes:
    """Fit directions of truth on a backbone's states, and score every token of what is displayed."""
    input:
        states="results/statements/{task}/{backbone}/manifest.json",
        task="results/tasks/{task}/manifest.json",
    output:
        manifest="results/truth_probes/{task}/{backbone}/manifest.json",
        provenance="results/truth_probes/{task}/{backbone}/provenance.json",
        truth="results/truth_probes/{task}/{backbone}/truth.parquet",
        activity="results/truth_probes/{task}/{backbone}/activity.parquet",
        trends="results/truth_probes/{task}/{backbone}/trends.parquet",
    log:
        "results/logs/truth_probes/{task}/{backbone}.log",
    benchmark:
        "results/benchmarks/truth_probes/{task}/{backbone}.tsv"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        **settings(study_rules.fit_truth_probes),
        **code_params("fit_truth_probes.py"),
    message:
        "fit truth directions of {wildcards.backbone} on {wildcards.task}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/fit_truth_probes.py --settings {params:q}"
        " --states {input.states:q} --task {input.task:q} --output {output.manifest:q} > {log:q} 2>&1"
