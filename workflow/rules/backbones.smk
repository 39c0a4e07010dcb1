"""Backbones.

reads     config/backbones/{backbone}.yaml; results/tasks/{task}/ of its pre-training; the files of a given folder
produces  results/backbones/{backbone}/{variant}/: the model folder, or a reference to a given one, and the losses of
          its pre-training

The variant is seed0, seed1, ... of a tiny backbone, one for each seed of its runs, or `given`.
"""


rule build_backbone:
    """Build and pre-train a tiny backbone, or check one that is given."""
    input:
        tasks=pretraining_tasks,
        files=given_files,
    output:
        manifest="results/backbones/{backbone}/{variant}/manifest.json",
        provenance="results/backbones/{backbone}/{variant}/provenance.json",
        pretraining="results/backbones/{backbone}/{variant}/pretraining.json",
        model=directory("results/backbones/{backbone}/{variant}/model"),
    log:
        "results/logs/backbones/{backbone}/{variant}.log",
    benchmark:
        "results/benchmarks/backbones/{backbone}/{variant}.tsv"
    priority: 2  # everything waits for these, and the deepest takes longest
    threads: 1
    resources:
        mem_mb=backbone_memory,
        runtime=60,
    params:
        **settings(study_rules.build_backbone),
        **code_params("build_backbone.py"),
    message:
        "build backbone {wildcards.backbone}/{wildcards.variant}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/build_backbone.py --backbone {wildcards.backbone:q}"
        " --settings {params:q} --tasks {input.tasks:q} --output {output.manifest:q} > {log:q} 2>&1"
