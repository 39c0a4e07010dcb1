"""readings.csv: how often a decoder reads the right step, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import write_readings, write_run

from thoughtscope.errors import UserError
from thoughtscope.run_id import RunId
from thoughtscope.statistics import wilson_interval
from thoughtscope.tables.readings import Level, Readings

RUN = RunId("chain", "qwen3", "sim-cot", "full", 0)


def test_each_step_is_counted_on_the_questions_that_have_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, {0: [True] * 4})
    first = [("3", "3"), ("3", "4"), ("5", "5"), ("6", "6")]
    write_readings(folder, {1: first, 2: [("1", "2"), (None, "7"), ("2", "2"), (None, "")]})
    table = Readings(Level(), {"sim-cot": "SIM-CoT"}).make([folder])
    assert table[["step_index", "n", "accuracy", "most_frequent"]].to_numpy().tolist() == [
        [1, 4, 0.75, 0.5],
        [2, 2, 0.5, 0.5],
    ]
    assert tuple(table.loc[0, ["ci_low", "ci_high"]]) == pytest.approx(wilson_interval(3, 4, 0.95))
    assert table.loc[1, "examples"] == "'1' read as '2'; '2' read as '2'"


def test_a_run_without_a_decoder_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, {0: [True] * 4})
    write_readings(folder, {})
    with pytest.raises(UserError, match="no decoder read its latents; name runs of a method with step_decoder"):
        Readings(Level()).make([folder])
