"""What would keep jobs from running is said before anything is submitted, a line for each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.site import SNAKEMAKE, Site
from tests.cluster.slurm import HIDDEN, Cluster
from tests.workflow.conftest import make_workspace
from workflow.lib.preflight import minutes


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("1-00:00:00", 1440), ("2:30:00", 150), ("30:00", 30), ("infinite", None), ("n/a", None), ("7-12:00:00", 10800)],
)
def test_time_limits_are_read(limit: str, expected: int | None) -> None:
    assert minutes(limit) == expected


def refused(site: Site, config: Path, *options: str) -> list[str]:
    """Return the lines in which the check says what would keep jobs from running, sorted."""
    command = [
        str(SNAKEMAKE.parent / "python"),
        "-m",
        "workflow.lib.cli",
        "preflight",
        *options,
        "--configfile",
        str(config),
    ]
    process = site.slurm.start(*command, cwd=site.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = process.communicate(timeout=120)
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert process.returncode == (2 if lines else 0), said
    return sorted(lines)


def test_what_slurm_would_refuse_is_said_before_anything_is_submitted(slurm: Cluster, tmp_path: Path) -> None:
    site = Site(slurm, make_workspace(tmp_path))
    wrong = ["prepare_task:slurm_partition=nowhere", "build_backbone:mem_mb=9000"]
    wrong += ["table:slurm_partition=urgent", "table:runtime=90"]
    wrong += ["figure:slurm_partition=urgent", "extract_latents:slurm_partition='red,blue'"]
    errors = refused(site, site.config(1, compute={"gpus": 3}), "--set-resources", *wrong)
    assert len(errors) == 4
    assert errors[0].startswith("error: rule build_backbone: SLURM says: Requested node configuration is not available")
    assert "--mem=9000" in errors[0]
    assert "nodes of work have 4 cores, 8000 MB, devices gpu:2: change compute" in errors[0]
    assert "rule table: asks for 90 minutes, partition urgent ends jobs after 60" in errors[1]
    assert "--gpus=3" in errors[2]
    assert "slurm_partition: there is no partition nowhere; use one of blue, red, urgent, work" in errors[3]
    assert not _submitted(slurm)


def test_what_nodes_do_not_see_is_said_before_anything_is_submitted(slurm: Cluster, tmp_path: Path) -> None:
    site = Site(slurm, make_workspace(tmp_path))
    model = slurm.folder / HIDDEN / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (site.folder / "results").symlink_to(slurm.folder / HIDDEN)
    backbone = {"source": "folder", "label": "Mine", "path": str(model), "facts": {"parameters": 100_000}}
    (site.folder / "config/backbones/mine.yaml").write_text(yaml.safe_dump(backbone))
    runs = [{"task": "chain", "backbone": "mine", "method": "coconut", "seed": 1}]
    errors = refused(site, site.config(1, runs=runs))
    unseen, unwritten = "blue does not see it (partition work)", "blue cannot write to it (partition work)"
    expected = {f"{model}/config.json": unseen, str(model): unseen, f"{site.folder}/results": unwritten}
    fix = "put it on a file system that all nodes share"
    assert errors == [f"error: {file}: {problem}; {fix}" for file, problem in expected.items()]
    assert not _submitted(slurm)


def test_a_study_that_slurm_takes_has_no_problem(slurm: Cluster, tmp_path: Path) -> None:
    site = Site(slurm, make_workspace(tmp_path))
    assert refused(site, site.config(1)) == []


def _submitted(slurm: Cluster) -> list[str]:
    """Return the jobs that were submitted for rules: the look at files leaves a job without a comment."""
    return [comment for comment in slurm.jobs("%k").values() if "rule" in comment]
