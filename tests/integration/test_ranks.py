"""Several ranks in real processes: one that dies takes the others down, and their number may change on the way."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from thoughtscope.launch.status import CONTINUE

from .world import COCONUT, LT_TUNING, ROOT, World, content, finish, interrupt, losses, with_fault

pytestmark = pytest.mark.slow

DOWN_WITHIN = 45  # seconds; the launcher gives the other ranks 30 to end by themselves


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
    down = time.time() - float(done.stderr.split("fault at ")[1].split()[0])
    print(f"down after {down:.1f} s")
    assert done.returncode == 1
    assert down < DOWN_WITHIN
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr[-4000:]
    assert errors[0].startswith(expected)
    assert ("RuntimeError: injected fault" in done.stderr) == fault.startswith("raise")
    assert "exitcode  : -9" in done.stderr or fault.startswith("raise"), "the launcher names the rank that was killed"
    assert not world.output(name).exists()


def test_only_the_first_rank_holds_what_is_saved_and_no_rank_the_whole_state(world: World, tmp_path: Path) -> None:
    """Counted are the bytes of all tensors that two ranks make while they save, check and reset their state."""
    forms = [{}, {"deepspeed": "zero1"}, {"precision": "bf16", "deepspeed": "zero2"}, {"deepspeed": "zero3"}]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program = ["-m", "tests.integration.held", str(world.folder), json.dumps(forms), str(tmp_path)]
    done = finish([*launch, *program], PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    assert done.returncode == 0, done.stderr[-3000:]
    counted = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    for form, first, second in zip(forms, *counted, strict=True):
        print(form, first, second)
        assert first["weights"] > 5 * first["largest"], "the model is too small to tell"
        few = 3 * first["largest"]  # what is gathered, and a copy of it on the way
        assert max(second[name] for name in ("state", "model", "moved", "moments")) <= few
        assert max(first[name] for name in ("moved", "moments")) <= few
        assert first["state"] <= few + 100_000, "a file's worth of tensors, not all of them"
        assert first["weights"] <= first["model"] <= first["weights"] + few


def test_a_run_goes_on_with_another_number_of_ranks(world: World) -> None:
    training = {"updates": 20, "deepspeed": "zero1"}
    expected = world.losses_here(COCONUT, training={"updates": 20})
    for ranks, after in ((2, 5), (1, 11)):
        command = world.command("regrouped", COCONUT, ranks, training=training)
        status, said = interrupt(command, signal.SIGTERM, lambda after=after: world.updates("regrouped") >= after)
        assert status == CONTINUE, said
    done = finish(world.command("regrouped", COCONUT, 2, training=training))
    assert "resumed at update" in done.stderr
    assert done.returncode == 0
    assert losses(world.output("regrouped")) == pytest.approx(expected, rel=1e-3)


def test_a_damaged_state_and_a_foreign_one_are_not_gone_on_from(world: World) -> None:
    training = {"updates": 60, "save_every_seconds": 0.05}
    expected = content(world.once(LT_TUNING, training={"updates": 60}))
    command = world.command("damaged", LT_TUNING, training=training)
    interrupt(command, signal.SIGKILL, lambda: len(world.states("damaged")) > 1)
    other = finish(world.command("damaged", LT_TUNING, training={**training, "updates": 4}))
    assert other.returncode == 0
    assert "resumed at update" not in other.stderr
    newest = world.states("damaged")[-1]
    with (newest / "tensors-0000.safetensors").open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\0\0\0\0\0\0\0\1")
    done = finish(command)
    assert f"state {newest.name} is damaged (tensors-0000.safetensors): going back to the one before" in done.stderr
    assert "resumed at update" in done.stderr
    assert content(world.output("damaged")) == expected
