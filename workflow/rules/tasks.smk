"""config/tasks/{task}.yaml -> results/tasks/{task}/"""


rule prepare_task:
    """Generate a task's examples and pre-training texts."""
    input:
        files=lambda w: slices.task_files(STUDY, w.task),
    output:
        "<tasks>/{task}/manifest.json",
    log:
        "<logs>/tasks/{task}.log",
    benchmark:
        "<benchmarks>/tasks/{task}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, input, attempt: int(1500 + 6 * input.size_mb) * attempt,
        runtime=lambda w, attempt: 30 * attempt,
        light=1,
    params:
        settings=lambda w: slices.task_slice(STUDY, w.task),
        sources=lambda w: sources(
            "prepare_task", module_name("tasks", STUDY.task(w.task).kind)
        ),
        pins=pins("prepare_task"),
    message:
        "prepare task {wildcards.task}"
    shell:
        "python workflow/scripts/prepare_task.py --task {wildcards.task:q} --settings {params.settings:q} --files {input.files:q}"
        " --sources {params.sources:q} --pins {params.pins:q} --output $(dirname {output:q}) > {log:q} 2>&1"
