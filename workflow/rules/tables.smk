"""Tables.

reads     results/runs/<run>/, results/hidden_states/<run>/ or results/probes/{probe}/{of}/ of all that a table is
          about
produces  results/tables/{name}.csv, and its provenance
"""


rule table:
    """Make one table over all the runs it is about."""
    input:
        table_inputs,
    output:
        table=report(
            "results/tables/{name}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{name}"},
        ),
        provenance="results/tables/{name}.provenance.json",
    log:
        "results/logs/tables/{name}.log",
    benchmark:
        "results/benchmarks/tables/{name}.tsv"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 10 * attempt,
        light=1,
    params:
        **settings(study_rules.table),
        **code_params("make_table.py", table_modules),
        caption=lambda w: Caption(STUDY.table(w.name)[0].caption()),
    message:
        "make table {wildcards.name}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/make_table.py --table {wildcards.name:q}"
        " --settings {params:q} --inputs {input:q} --output {output.table:q} > {log:q} 2>&1"
