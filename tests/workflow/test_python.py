"""The Python interface on a finished study: the blocks of its page run, and its numbers are those of the workflow."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import thoughtscope as ts
from thoughtscope import schemas
from thoughtscope.errors import UserError
from thoughtscope.tasks.prepare import EXAMPLES

from .conftest import ROOT, Workspace

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_blocks_of_a_page_run_one_after_another(smoke: Workspace, page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=smoke.folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def results(smoke: Workspace) -> Any:
    return ts.load_results(smoke.folder / "results")


def test_answers_and_latents_are_those_that_the_workflow_stored(results: Any) -> None:
    run = next(run for run in results.runs if run.path.endswith("qwen3/coconut/full/seed0"))
    rows = schemas.read(results.folder / "tasks" / run.task / EXAMPLES, schemas.REASONING).to_pylist()
    tests = [row for row in rows if row["split"] == "test"][:4]
    vectors, about = results.vectors(run, "input")
    last = (about["checkpoint_step"] == about["checkpoint_step"].max()) & about["latent_index"].notna()
    predictions = schemas.read(
        results.folder / "runs" / run.path / "predictions.parquet", schemas.PREDICTIONS
    ).to_pandas()
    final = predictions[(predictions["step"] == predictions["step"].max()) & (predictions["layout"] == schemas.LAST)]
    said = dict(zip(final["example_id"], final["response"], strict=True))
    for row, response in zip(tests, results.load(run).answers([row["question"] for row in tests]), strict=True):
        stored = vectors[(last & (about["example_id"] == row["example_id"])).to_numpy()]
        fed = np.stack([latent.fed for latent in response.latents])
        assert np.abs(fed - stored).max() < 1e-5 * np.abs(stored).max()
        assert [latent.index for latent in response.latents] == list(range(1, len(stored) + 1))
        assert said[row["example_id"]].startswith(response.text) or response.text.startswith(said[row["example_id"]])


def test_a_text_method_has_no_latents(results: Any) -> None:
    run = next(run for run in results.runs if run.method == "cot")
    assert results.load(run).answer("1 + 1 =").latents == []


def test_mistakes_name_what_there_is(results: Any) -> None:
    run = next(run for run in results.runs if run.path.endswith("qwen3/coconut/full/seed0"))
    with pytest.raises(UserError, match="no checkpoint at update 1; use one of those kept: "):
        results.load(run, checkpoint=1)
    with pytest.raises(UserError, match=r"nothing\.csv: no such table; use one of those that exist: .*summary"):
        results.table("nothing")
    with pytest.raises(UserError, match="no such folder; run the study first"):
        ts.load_results("no/where")
