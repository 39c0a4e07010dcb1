"""runs, hidden states, probes -> results/tables/{name}.csv"""


rule table:
    """Make one table over all the runs it is about."""
    input:
        table_inputs,
    output:
        report(
            "<tables>/{name}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{name}"},
        ),
    log:
        "<logs>/tables/{name}.log",
    benchmark:
        "<benchmarks>/tables/{name}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 10 * attempt,
        light=1,
    params:
        settings=lambda w: slices.table_slice(STUDY, w.name),
        folders=lambda w, input: [str(Path(file).parent) for file in input],
        sources=lambda w: sources("table", module_name("evaluation", w.name)),
        pins=pins("table"),
    message:
        "make table {wildcards.name}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/make_table.py --table {wildcards.name:q}"
        " --settings {params.settings:q} --inputs {params.folders:q}"
        " --sources {params.sources:q} --pins {params.pins:q} --output {output:q} > {log:q} 2>&1"
