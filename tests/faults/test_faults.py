"""The faults that are quick enough for every test run; `make faults` does the rest (see campaign.py)."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from tests.integration.world import make_world
from tests.workflow.conftest import make_workspace
from thoughtscope.training.state import load_state, newest, save_state

from . import faults


@pytest.mark.parametrize("fault", [faults.read_only_results, faults.two_snakemakes], ids=lambda fault: fault.__name__)
def test_a_workflow_says_what_to_do(tmp_path: Path, fault: faults.WorkflowFault) -> None:
    fault(make_workspace(tmp_path))


@pytest.mark.slow
def test_a_run_on_a_table_cut_short_says_what_to_do(tmp_path: Path) -> None:
    faults.cut_parquet(make_world(tmp_path))


def test_a_state_that_finds_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    tensors = {"weight/a": torch.zeros(5000)}
    save_state(tmp_path, 1, tensors.items(), {"step": 1}, keep=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_state(tmp_path, 2, tensors.items(), {"step": 2}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    found = newest(tmp_path, print)
    assert found is not None
    assert load_state(found).facts == {"step": 1}
