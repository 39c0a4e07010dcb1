"""The probe of the final answer finds it at the latent where it stands, and nowhere else."""

from pathlib import Path

import numpy as np
import pandas as pd
from synthetic import write_states

from thoughtscope.probes.base import EVIDENCE
from thoughtscope.probes.final_answer import FinalAnswer
from thoughtscope.run_id import RunId
from thoughtscope.schemas import write

RUN = RunId("chain", "qwen3", "coconut", "full", 0)


def test_the_answer_is_read_where_it_stands(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 3, 60)
    latents = {1: rng.normal(size=(60, 4)), 2: np.eye(4)[answers] * 5 + rng.normal(size=(60, 4))}
    examples = [{"example_id": f"test-{i:03d}", "answer": str(answer)} for i, answer in enumerate(answers)]
    probe = FinalAnswer(FinalAnswer.Settings(permutations=99))
    rows = list(probe.fit(write_states(tmp_path, RUN, latents), examples)[EVIDENCE])
    named = ({"probe": "answer", **RUN.columns, **row} for row in rows)
    assert write(tmp_path / "evidence.parquet", probe.schema(EVIDENCE), named) == 4
    found = pd.DataFrame(rows).set_index(["kind", "latent_index"])
    assert found["passes_null"].to_dict() == {
        ("input", 1): False, ("input", 2): True, ("output", 1): False, ("output", 2): True
    }  # fmt: skip
    assert found.loc[("input", 2), "value"] > 0.9
    assert (found["classes"] == 3).all()
