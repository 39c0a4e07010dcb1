"""Probes.

reads     results/hidden_states/<run>/, results/statements/{task}/{backbone}/ or results/runs/<run>/, and
          results/tasks/{task}/
produces  results/probes/{probe}/{of}/: in `tables/`, what a probe found in {of}

{of} is a run, or {task}/{backbone}: each kind of probe reads latents, statements, or the model of a run.
"""


rule fit_probe:
    """Fit a probe to a run, to its hidden states, or to those of a backbone that reads statements."""
    input:
        source=lambda w: manifests(study_rules.probe_inputs(STUDY, w.probe, w.of)[:1]),
        task=lambda w: manifests(study_rules.probe_inputs(STUDY, w.probe, w.of)[1:]),
    output:
        manifest="results/probes/{probe}/{of}/manifest.json",
        provenance="results/probes/{probe}/{of}/provenance.json",
        tables=directory("results/probes/{probe}/{of}/tables"),
    log:
        "results/logs/probes/{probe}/{of}.log",
    benchmark:
        "results/benchmarks/probes/{probe}/{of}.tsv"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: probing(w, attempt).mem_mb,
        runtime=lambda w, attempt: probing(w, attempt).minutes,
        gpu=lambda w: probing(w).gpus,
        gpu_model=lambda w: probing(w).gpu_type,
    params:
        **settings(study_rules.fit_probe),
        **code_params("fit_probe.py", probe_modules),
    message:
        "fit probe {wildcards.probe} to {wildcards.of}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/fit_probe.py --probe {wildcards.probe:q} --of {wildcards.of:q}"
        " --settings {params:q} --source {input.source:q} --task {input.task:q} --output {output.manifest:q} > {log:q} 2>&1"
