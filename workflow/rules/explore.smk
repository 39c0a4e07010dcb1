"""The page.

reads     the runs, hidden states, probes and tasks that it shows, and the provenance of all figures and tables
produces  results/explore.html, and its provenance
"""


rule explore:
    """Make one page to turn, hover over and filter what the study found."""
    input:
        folders=lambda w: manifests(study_rules.explored(STUDY)),
        records=lambda w: [
            file
            for file in wanted_figures() + wanted_tables()
            if file.endswith(RECORD)
        ],
    output:
        page="results/explore.html",
        provenance="results/explore.provenance.json",
    log:
        "results/logs/explore.log",
    benchmark:
        "results/benchmarks/explore.tsv"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 10 * attempt,
        light=1,
    params:
        **settings(study_rules.explore),
        **code_params("make_explorer.py"),
        page_files=lambda w: group(page_files=page_files()),
    message:
        "make explore.html"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/make_explorer.py --settings {params:q}"
        " --folders {input.folders:q} --records {input.records:q} --output {output.page:q} > {log:q} 2>&1"
