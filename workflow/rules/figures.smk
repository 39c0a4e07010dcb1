"""runs, hidden states, probes -> results/figures/{name}.{png,pdf,svg,csv}"""


rule figure:
    """Draw one figure from tables only."""
    input:
        figure_inputs,
    output:
        png=report(
            "<figures>/{name}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
        pdf="<figures>/{name}.pdf",
        svg="<figures>/{name}.svg",
        csv="<figures>/{name}.csv",
    log:
        "<logs>/figures/{name}.log",
    benchmark:
        "<benchmarks>/figures/{name}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=lambda w, attempt: 10 * attempt,
        light=1,
    params:
        settings=lambda w: slices.figure_slice(STUDY, w.name),
        folders=lambda w, input: [str(Path(file).parent) for file in input],
        sources=lambda w: sources(
            "figure", module_name("figures", STUDY.config.figures[w.name].kind)
        ),
        pins=pins("figure"),
    message:
        "draw figure {wildcards.name}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/draw_figure.py --figure {wildcards.name:q}"
        " --settings {params.settings:q} --inputs {params.folders:q}"
        " --sources {params.sources:q} --pins {params.pins:q}"
        " --output-stem $(dirname {output.png:q})/{wildcards.name:q} > {log:q} 2>&1"
