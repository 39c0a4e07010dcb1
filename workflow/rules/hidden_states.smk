"""Hidden states.

reads     results/runs/<run>/ and its results/tasks/{task}/; or results/backbones/{backbone}/{variant}/ and the
          statements of results/tasks/{task}/
produces  results/hidden_states/<run>/: vectors at the latents of a run's responses, and the responses;
          results/statements/{task}/{backbone}/: vectors at the tokens of statements, and their surprisals
keeps     results/state/<digest>/ while an extraction is unfinished: the parts that are done
"""


rule extract_latents:
    """Store the vectors of a run's latents, from free generation on test questions."""
    input:
        run="results/runs/<run>/manifest.json",
        task="results/tasks/{task}/manifest.json",
    output:
        manifest="results/hidden_states/<run>/manifest.json",
        provenance="results/hidden_states/<run>/provenance.json",
        states="results/hidden_states/<run>/states.json",
        generations="results/hidden_states/<run>/generations.parquet",
        fed=directory("results/hidden_states/<run>/kind=input"),
        computed=directory("results/hidden_states/<run>/kind=output"),
    log:
        "results/logs/hidden_states/<run>.log",
    benchmark:
        "results/benchmarks/hidden_states/<run>.tsv"
    threads: lambda w: reading(w).cores
    resources:
        mem_mb=lambda w, attempt: reading(w, attempt).mem_mb,
        runtime=lambda w, attempt: reading(w, attempt).minutes,
        gpu=lambda w: reading(w).gpus,
        gpu_model=lambda w: reading(w).gpu_type,
        ranks=lambda w: reading(w).ranks,
    params:
        **settings(study_rules.extract_latents),
        **code_params("extract_hidden_states.py", method_modules),
    message:
        "extract hidden states of {wildcards.method}/{wildcards.backbone} on {wildcards.task}"
        " ({wildcards.trainable}, seed {wildcards.seed})"
    shell:
        "OMP_NUM_THREADS={threads} exec python workflow/scripts/extract_hidden_states.py --settings {params:q}"
        " --ranks {resources.ranks} --cores {threads} --state results/state"
        " --run {input.run:q} --task {input.task:q} --output {output.manifest:q} > {log:q} 2>&1"


rule extract_statements:
    """Store the vectors of a backbone that reads statements."""
    input:
        backbone=backbone_of_statements,
        task="results/tasks/{task}/manifest.json",
    output:
        manifest="results/statements/{task}/{backbone}/manifest.json",
        provenance="results/statements/{task}/{backbone}/provenance.json",
        states="results/statements/{task}/{backbone}/states.json",
        repeats="results/statements/{task}/{backbone}/repeats.parquet",
        surprisals="results/statements/{task}/{backbone}/surprisals.parquet",
        spellings="results/statements/{task}/{backbone}/spellings.json",
        computed=directory("results/statements/{task}/{backbone}/kind=output"),
    log:
        "results/logs/statements/{task}/{backbone}.log",
    benchmark:
        "results/benchmarks/statements/{task}/{backbone}.tsv"
    threads: lambda w: reading(w).cores
    resources:
        mem_mb=lambda w, attempt: reading(w, attempt).mem_mb,
        runtime=lambda w, attempt: reading(w, attempt).minutes,
        gpu=lambda w: reading(w).gpus,
        gpu_model=lambda w: reading(w).gpu_type,
        ranks=lambda w: reading(w).ranks,
    params:
        **settings(study_rules.extract_statements),
        **code_params("extract_hidden_states.py"),
    message:
        "extract hidden states of {wildcards.backbone} on the statements of {wildcards.task}"
    shell:
        "OMP_NUM_THREADS={threads} exec python workflow/scripts/extract_hidden_states.py --settings {params:q}"
        " --ranks {resources.ranks} --cores {threads} --state results/state"
        " --backbone {input.backbone:q} --task {input.task:q} --output {output.manifest:q} > {log:q} 2>&1"
