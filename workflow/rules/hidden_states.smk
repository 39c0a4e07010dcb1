"""a run (or a backbone) + its task -> results/hidden_states/<run>/"""


rule extract_latents:
    """Store the vectors of a run's latents, from free generation on test questions."""
    input:
        run="<runs>/<run>/manifest.json",
        task="<tasks>/{task}/manifest.json",
    output:
        manifest="<hidden_states>/<run>/manifest.json",
    log:
        "<logs>/hidden_states/<run>.log",
    benchmark:
        "<benchmarks>/hidden_states/<run>.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: reading(w, attempt).mem_mb,
        runtime=lambda w, attempt: reading(w, attempt).minutes,
        gpu=lambda w: reading(w).gpus,
        gpu_model=lambda w: reading(w).gpu_type,
    params:
        settings=lambda w: slices.latents_slice(STUDY, run_of(w)),
        source=lambda w, input: f"--run {Path(input.run).parent}",
        sources=lambda w: sources("extract_latents", *method_modules(w)),
        pins=pins("extract_latents"),
    message:
        "extract hidden states of {wildcards.method}/{wildcards.backbone} on {wildcards.task}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/extract_hidden_states.py --settings {params.settings:q}"
        " {params.source} --task $(dirname {input.task:q})"
        " --sources {params.sources:q} --pins {params.pins:q} --output $(dirname {output.manifest:q}) > {log:q} 2>&1"


use rule extract_latents as extract_statements with:
    input:
        backbone=backbone_of_statements,
        task="<tasks>/{task}/manifest.json",
    output:
        manifest="<hidden_states>/{task}/{backbone}/none/live/seed0/manifest.json",
    log:
        "<logs>/hidden_states/{task}/{backbone}/none/live/seed0.log",
    benchmark:
        "<benchmarks>/hidden_states/{task}/{backbone}/none/live/seed0.tsv"
    params:
        settings=lambda w: slices.statements_slice(STUDY, w.task, w.backbone),
        source=lambda w, input: f"--backbone {Path(input.backbone).parent}",
        sources=sources("extract_statements"),
        pins=pins("extract_statements"),
    message:
        "extract hidden states of {wildcards.backbone} on the statements of {wildcards.task}"
