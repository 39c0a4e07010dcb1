"""Figures.

reads     results/runs/<run>/, results/hidden_states/<run>/ or results/probes/{probe}/{of}/ of all that a figure shows
produces  results/figures/{name}.png, .pdf, .svg; .csv, the points that are drawn; and their provenance
"""


rule figure:
    """Draw one figure from tables only."""
    input:
        figure_inputs,
    output:
        png=report(
            "results/figures/{name}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
        pdf="results/figures/{name}.pdf",
        svg="results/figures/{name}.svg",
        csv="results/figures/{name}.csv",
        provenance="results/figures/{name}.provenance.json",
    log:
        "results/logs/figures/{name}.log",
    benchmark:
        "results/benchmarks/figures/{name}.tsv"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 10 * attempt,
        light=1,
    params:
        **settings(study_rules.figure),
        **code_params("draw_figure.py", figure_modules),
        caption=lambda w: Caption(STUDY.figure(w.name)[0].caption()),
    message:
        "draw figure {wildcards.name}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/draw_figure.py --figure {wildcards.name:q}"
        " --settings {params:q} --inputs {input:q} --output-stem results/figures/{wildcards.name:q} > {log:q} 2>&1"
