"""runs, hidden states, probes -> results/figures/{name}.{png,pdf,svg,csv}"""


def wanted_figures():
    return [f"<figures>/{name}.{kind}" for name in STUDY.config.figures for kind in ("png", "pdf", "svg", "csv")]


def figure_inputs(wildcards):
    tasks = [f"<tasks>/{task}/manifest.json" for task in slices.figure_tasks(STUDY, wildcards.name)]
    return manifests(*slices.figure_inputs(STUDY, wildcards.name)) + tasks


rule figure:
    """Draw one figure from tables only."""
    input:
        figure_inputs,
    output:
        report(
            "<figures>/{name}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
        multiext("<figures>/{name}", ".pdf", ".svg", ".csv"),
    params:
        settings=lambda w: slices.figure_slice(STUDY, w.name),
        folders=lambda w, input: [str(Path(file).parent) for file in input],
        sources=lambda w: sources("draw_figure.py", module_name("figures", STUDY.config.figures[w.name].kind)),
        pins=pins("numpy", "pandas", "matplotlib", "scikit-learn"),
    log:
        "<logs>/figures/{name}.log",
    benchmark:
        "<benchmarks>/figures/{name}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    message:
        "draw figure {wildcards.name}"
    shell:
        "OMP_NUM_THREADS={threads} python workflow/scripts/draw_figure.py --figure {wildcards.name:q}"
        " --settings {params.settings:q} --inputs {params.folders:q}"
        " --output-stem $(dirname {output[0]:q})/{wildcards.name:q} > {log:q} 2>&1"
