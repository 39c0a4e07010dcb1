"""A rank that dies takes the others down, and a damaged state is not gone on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from thoughtscope.training.trainer import ContinueLaterError
from thoughtscope.training.worker import state_folder

from .world import COCONUT, LT_TUNING, World, finish, with_fault

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("raise:1:6", "error: rank 1 failed:"),
        ("kill:1:6", "error: rank 0: it lost another rank"),
    ],
)
def test_a_rank_that_dies_takes_the_others_down_with_its_own_error_first(
    world: World, fault: str, expected: str
) -> None:
    name = fault.replace(":", "-")
    command = world.command(name, COCONUT, 2)
    done = finish(command, **with_fault(fault))
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr[-4000:]
    assert errors[0].startswith(expected)
    assert ("RuntimeError: injected fault" in done.stderr) == fault.startswith("raise")
    assert "exitcode  : -9" in done.stderr or fault.startswith("raise"), "the launcher names the rank that was killed"
    assert not world.output(name).exists()


def test_a_damaged_state_is_not_gone_on_from(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    training = {"updates": 20, "save_every_seconds": 1e-6}
    broken = world.here("damaged", LT_TUNING, lambda: world.updates("damaged") >= 12, training=training)
    with pytest.raises(ContinueLaterError):
        broken.execute()
    older, newest = world.states("damaged")
    with (newest / "tensors-0000.safetensors").open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\0\0\0\0\0\0\0\1")
    again = world.here("damaged", LT_TUNING, training=training)
    again.report.active = True
    again.execute()
    said = capsys.readouterr().err
    assert f"state {newest.name} is damaged (tensors-0000.safetensors): going back to the one before" in said
    assert f"resumed at update {int(older.name.removeprefix('step-'))}" in said
    losses = [row["loss"] for row in again.records.read("metrics")]
    assert losses == world.losses_here(LT_TUNING, training={"updates": 20})


def test_a_run_with_other_settings_or_inputs_has_another_state(tmp_path: Path) -> None:
    folders = [
        state_folder(tmp_path, settings, inputs)
        for settings in ({"updates": 4}, {"updates": 5})
        for inputs in ({"task": "a"}, {"task": "b"})
    ]
    assert len(set(folders)) == 4
    assert folders[0] == state_folder(tmp_path, {"updates": 4}, {"elsewhere": "a"})
