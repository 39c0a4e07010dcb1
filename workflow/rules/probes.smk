"""Probes.

reads     results/hidden_states/<run>/ or results/statements/{task}/{backbone}/, and results/tasks/{task}/
produces  results/probes/{probe}/{of}/: in `tables/`, what a probe found in the hidden states of {of}

{of} is a run, or {task}/{backbone}: each kind of probe reads either latents or statements.
"""


rule fit_probe:
    """Fit a probe to the hidden states of a run, or of a backbone that reads statements."""
    input:
        states=lambda w: manifests(study_rules.probe_inputs(STUDY, w.probe, w.of)[:1]),
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
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        **settings(study_rules.fit_probe),
        **code_params("fit_probe.py", probe_modules),
    message:
        "fit probe {wildcards.probe} to {wildcards.of}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/fit_probe.py --probe {wildcards.probe:q} --of {wildcards.of:q}"
        " --settings {params:q} --states {input.states:q} --task {input.task:q} --output {output.manifest:q} > {log:q} 2>&1"
