"""hidden states + task -> results/probes/<run>/"""


rule fit_latent_probes:
    """Probe which intermediate value can be read at each latent of a run."""
    input:
        states="<hidden_states>/<run>/manifest.json",
        task="<tasks>/{task}/manifest.json",
    output:
        manifest="<probes>/<run>/manifest.json",
    log:
        "<logs>/probes/<run>.log",
    benchmark:
        "<benchmarks>/probes/<run>.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        program="fit_latent_probes.py",
        settings=lambda w: slices.latent_probes_slice(STUDY, run_of(w)),
        sources=sources("fit_latent_probes"),
        pins=pins("fit_latent_probes"),
    message:
        "fit probes on {wildcards.method}/{wildcards.backbone}, task {wildcards.task}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/{params.program} --settings {params.settings:q}"
        " --states $(dirname {input.states:q}) --task $(dirname {input.task:q})"
        " --sources {params.sources:q} --pins {params.pins:q} --output $(dirname {output.manifest:q}) > {log:q} 2>&1"


use rule fit_latent_probes as fit_truth_probes with:
    input:
        states="<hidden_states>/{task}/{backbone}/none/live/seed0/manifest.json",
        task="<tasks>/{task}/manifest.json",
    output:
        manifest="<probes>/{task}/{backbone}/none/live/seed0/manifest.json",
    log:
        "<logs>/probes/{task}/{backbone}/none/live/seed0.log",
    benchmark:
        "<benchmarks>/probes/{task}/{backbone}/none/live/seed0.tsv"
    params:
        program="fit_truth_probes.py",
        settings=lambda w: slices.truth_probes_slice(STUDY, w.task, w.backbone),
        sources=sources("fit_truth_probes"),
        pins=pins("fit_truth_probes"),
    message:
        "fit truth directions of {wildcards.backbone} on {wildcards.task}"


ruleorder: extract_statements > extract_latents
ruleorder: fit_truth_probes > fit_latent_probes
