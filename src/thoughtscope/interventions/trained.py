"""Loads the model that a run ended with."""

from __future__ import annotations

from pathlib import Path

from thoughtscope.hidden_states.finished import read_schedule
from thoughtscope.reasoner import Reasoner, device_and_dtype, load_reasoner


def final_reasoner(run: Path) -> Reasoner:
    """Return a run's final model, in the precision that it trained in.

    Raises:
        UserError: `run` is no folder of a finished run.
    """
    return load_reasoner(run / "model", device=device_and_dtype("auto")[0], dtype=str(read_schedule(run)["precision"]))
