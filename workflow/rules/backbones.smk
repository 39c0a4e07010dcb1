"""config/backbones/{backbone}.yaml + the tasks it is pre-trained on -> results/backbones/{backbone}/{variant}/

The variant is seed0, seed1, ... of a tiny backbone, one for each seed of its runs, or `given`.
"""


rule build_backbone:
    """Build and pre-train a tiny backbone, or check one that is given."""
    input:
        tasks=pretraining_tasks,
        files=given_files,
    output:
        "<backbones>/{backbone}/{variant}/manifest.json",
    log:
        "<logs>/backbones/{backbone}/{variant}.log",
    benchmark:
        "<benchmarks>/backbones/{backbone}/{variant}.tsv"
    priority: 2  # everything waits for these, and the deepest takes longest
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=backbone_memory,
        runtime=60,
    params:
        settings=lambda w: slices.backbone_slice(STUDY, w.backbone, w.variant),
        tasks=lambda w, input: [str(Path(file).parent) for file in input.tasks],
        sources=sources("build_backbone"),
        pins=pins("build_backbone"),
    message:
        "build backbone {wildcards.backbone}/{wildcards.variant}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/build_backbone.py --backbone {wildcards.backbone:q}"
        " --settings {params.settings:q} --tasks {params.tasks:q} --sources {params.sources:q}"
        " --pins {params.pins:q} --output $(dirname {output:q}) > {log:q} 2>&1"
