"""The whole pipeline with real Snakemake on `config/smoke.yaml`; every artifact is opened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.stand_in_slurm import made_by
from thoughtscope import schemas
from thoughtscope.artifacts import damaged
from thoughtscope.config import analysis
from thoughtscope.config.load import Study
from thoughtscope.run_id import RunId
from workflow.lib import study_rules

from .conftest import ROOT, Workspace

pytestmark = pytest.mark.slow
COCONUT = "chain/qwen3/coconut/full"
STUDY = Study(yaml.safe_load((ROOT / "config/smoke.yaml").read_text()), ROOT / "config", "config/smoke.yaml")


def results(smoke: Workspace) -> Path:
    return smoke.folder / "results"


def test_every_artifact_is_what_its_manifest_says(smoke: Workspace) -> None:
    manifests = [path for path in results(smoke).rglob("manifest.json") if "tokens" not in path.parts]
    assert len(manifests) == 2 + 2 + len(STUDY.runs) + 3 + 5  # tasks, backbones, runs, hidden states, probes
    assert {str(path): damaged(path.parent) for path in manifests if damaged(path.parent)} == {}
    assert all((path.parent / "provenance.json").is_file() for path in manifests)


def test_rules_declare_everything_that_they_produce(smoke: Workspace) -> None:
    for rule, wildcards in study_rules.artifacts(STUDY):
        names = {name: str(value) for name, value in wildcards.items()}
        files, folders = made_by(rule, names, smoke.folder / "workflow/rules")
        (artifact,) = {path.parent for path in files if path.name == "manifest.json"}
        there = {path.relative_to(smoke.folder) for path in (smoke.folder / artifact).rglob("*") if path.is_file()}
        assert [path for path in there - set(files) if not any(path.is_relative_to(one) for one in folders)] == []


def test_every_run_has_its_curve_its_schedule_and_a_model_that_loads(smoke: Workspace) -> None:
    for run in STUDY.runs:
        folder = results(smoke) / "runs" / run.path
        curve = schemas.read(folder / "accuracy.parquet", schemas.ACCURACY).to_pandas()
        last = curve[curve["layout"] == schemas.LAST]
        trains = run.method != "soft-thinking"
        assert ({0, 8, 16} if trains else {0}) <= set(last["step"]), "and where stages end"
        assert last["layout_stage"].nunique() == 1, "every point of a curve has one layout"
        assert set(curve["step"]) == set(last["step"])
        assert curve["run"].unique().tolist() == [run.path]
        assert (curve["n"] == 32).all()
        metrics = schemas.read(folder / "metrics.parquet", schemas.METRICS).to_pandas()
        assert metrics["step"].tolist() == (list(range(1, 17)) if trains else [])
        assert np.isfinite(metrics["loss"]).all()
        predictions = schemas.read(folder / "predictions.parquet", schemas.PREDICTIONS).to_pandas()
        assert len(predictions) == len(curve) * 32
        model = AutoModelForCausalLM.from_pretrained(folder / "model")
        tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        assert model.get_input_embeddings().weight.shape[0] >= len(tokenizer)


def test_a_control_follows_the_schedule_of_its_leader(smoke: Workspace) -> None:
    folder = results(smoke) / "runs/chain/qwen3"
    stages = [
        [(stage["first_step"], stage["last_step"]) for stage in json.loads(path.read_text())["stages"]]
        for path in (folder / "coconut/full/seed0/schedule.json", folder / "pause/full/seed0/schedule.json")
    ]
    assert stages[0] == stages[1]


def test_full_and_lora_runs_start_at_the_same_accuracy(smoke: Workspace) -> None:
    start = {}
    for trainable in ("full", "lora"):
        path = results(smoke) / f"runs/chain/qwen3/coconut/{trainable}/seed0/predictions.parquet"
        rows = schemas.read(path, schemas.PREDICTIONS).to_pandas()
        rows = rows[(rows["step"] == 0) & (rows["layout"] == schemas.LAST)]
        start[trainable] = rows.set_index("example_id")["response"].to_dict()
    assert start["full"] == start["lora"]


def test_hidden_states_have_their_columns(smoke: Workspace) -> None:
    folder = results(smoke) / "hidden_states/chain/qwen3/coconut/full/seed0"
    facts = json.loads((folder / "states.json").read_text())
    for kind in ("input", "output"):
        files = list(folder.glob(f"kind={kind}/layer=*/part-*.parquet"))
        assert files
        schema = pq.read_schema(files[0])
        assert schema.field("vector").type.list_size == facts["width"]
        assert pq.read_metadata(files[0]).num_rows > 0


def test_every_figure_is_drawn_in_every_format(smoke: Workspace) -> None:
    for name in STUDY.config.figures:
        stem = results(smoke) / "figures" / name
        with Image.open(stem.with_suffix(".png")) as image:
            assert min(image.size) > 500
            assert len(image.convert("RGB").getcolors(maxcolors=2**24) or []) > 20
            assert any("stage" in str(value) for value in image.info.values()), "provenance in the metadata"
        assert stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert "<svg" in stem.with_suffix(".svg").read_text()
        assert len(pd.read_csv(stem.with_suffix(".csv"))) > 0


def test_every_table_has_rows(smoke: Workspace) -> None:
    summary = pd.read_csv(results(smoke) / "tables/summary.csv")
    columns = ["task", "backbone", "method", "trainable", "seed"]
    assert sorted(RunId(*row) for row in summary[columns].itertuples(index=False)) == STUDY.runs
    assert summary["accuracy"].between(summary["ci_low"], summary["ci_high"]).all()
    assert (summary["n"] == 32).all()
    for name in ("curves", "collapse", "separation", "probes"):
        assert len(pd.read_csv(results(smoke) / f"tables/{name}.csv")) > 0


def test_the_report_is_one_file_that_names_every_figure(smoke: Workspace) -> None:
    report = (results(smoke) / "report.html").read_text()
    assert all(name in report for name in STUDY.config.figures)
    shown = [STUDY.figure(name)[0] for name in STUDY.config.figures]
    shown += [STUDY.table(name)[0] for name in analysis.table_names(STUDY)]
    assert [kind for kind in shown if " ".join(kind.caption().split()[:6]) not in " ".join(report.split())] == []
