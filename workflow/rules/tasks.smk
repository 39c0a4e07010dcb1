"""Tasks.

reads     config/tasks/{task}.yaml, and the local files that it names
produces  results/tasks/{task}/: examples, texts for pre-training, and a report on answers, skipped rows and overlap
"""


rule prepare_task:
    """Generate a task's examples and pre-training texts."""
    input:
        files=lambda w: study_rules.task_files(STUDY, w.task),
    output:
        manifest="results/tasks/{task}/manifest.json",
        provenance="results/tasks/{task}/provenance.json",
        examples="results/tasks/{task}/task.parquet",
        pretraining="results/tasks/{task}/pretraining.parquet",
        report="results/tasks/{task}/report.json",
    log:
        "results/logs/tasks/{task}.log",
    benchmark:
        "results/benchmarks/tasks/{task}.tsv"
    threads: 1
    resources:
        mem_mb=lambda w, input, attempt: int(1500 + 6 * input.size_mb) * attempt,
        runtime=lambda w, attempt: 30 * attempt,
        light=1,
    params:
        **settings(study_rules.prepare_task),
        **code_params("prepare_task.py", task_modules),
    message:
        "prepare task {wildcards.task}"
    shell:
        "python workflow/scripts/prepare_task.py --task {wildcards.task:q} --settings {params:q}"
        " --files {input.files:q} --output {output.manifest:q} > {log:q} 2>&1"
