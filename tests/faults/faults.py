"""Faults done to real runs and real workflows: each function does one and fails if anything finished was lost."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.world import COCONUT, ENVIRONMENT, LT_TUNING, World, content, finish, with_fault
from tests.workflow.conftest import SMOKE, Workspace
from thoughtscope.launch.status import CONTINUE
from thoughtscope.run_id import RunId
from thoughtscope.tasks.prepare import EXAMPLES

WorkflowFault = Callable[[Workspace], None]
TASK = "results/tasks/chain/manifest.json"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@dataclass
class Kills:
    """What random kills did: how many came at all, after which signals, and how many updates had to be done again."""

    counts: dict[str, int]
    runs: int = 0
    repeated: int = 0
    asked_and_saved: int = 0


def kill_at_random(world: World, run: RunId, kills: int, seed: int, updates: int = 120, longest: float = 6.0) -> Kills:
    """Train, killed within `longest` seconds of a start or its first update; every run ends as if nothing had been."""
    rng, done = random.Random(seed), Kills({kind.name: 0 for kind in SIGNALS})
    training = {"updates": updates, "save_every_seconds": 0.5}
    expected = content(world.once(run, training={"updates": updates}))
    while sum(done.counts.values()) < kills:
        name = f"killed-{seed}-{done.runs}"
        command, saved = world.command(name, run, training=training), 0
        while not world.output(name).exists():
            process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, start_new_session=True)
            if sum(done.counts.values()) < kills:
                before, training_now = world.updates(name), rng.random() < 0.7  # else while it still starts
                while training_now and world.updates(name) <= before and process.poll() is None:
                    time.sleep(0.02)
                _signal_after(process, rng.uniform(0, longest), rng.choice(SIGNALS), done)
            said = process.communicate(timeout=300)[1].decode()
            assert process.returncode <= 0 or process.returncode == CONTINUE, f"{process.returncode} {said[-3000:]}"
            done.asked_and_saved += process.returncode == CONTINUE
            newest = max([int(path.name.removeprefix("step-")) for path in world.states(name)], default=0)
            assert newest >= saved or world.output(name).exists(), f"saved updates were lost: {newest} after {saved}"
            done.repeated += max(0, world.updates(name) - newest)
            saved = newest
        assert content(world.output(name)) == expected
        done.runs += 1
    return done


def _signal_after(process: subprocess.Popen[bytes], seconds: float, kind: signal.Signals, done: Kills) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        to_all = kind in {signal.SIGKILL, signal.SIGINT}  # as a power cut and as Ctrl-C in a terminal
        os.killpg(process.pid, kind) if to_all else process.send_signal(kind)
        done.counts[kind.name] += 1


def full_disk(world: World) -> None:
    """The disk is full while a state is saved: the state before stays, and with room the run goes on from it."""
    training = {"updates": 200, "save_every_seconds": 0.1, "keep_states": 2}
    expected = content(world.once(LT_TUNING, training={"updates": 200}))
    command = world.command("full", LT_TUNING, training=training)
    with small_disk(world.folder / "full/state", "3m") as grow:
        done = finish(command)
        assert done.returncode == 1
        assert "No space left on device; make room there" in _only_error(done.stderr)
        assert world.states("full"), "the last whole state is kept"
        grow("64m")
        done = finish(command)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "resumed at update" in done.stderr
        assert content(world.output("full")) == expected


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], object]]:
    """Mount a file system of `size` at `folder` (root only); yields a function that changes its size."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)


def cut_parquet(world: World) -> None:
    """A task's table is cut short: the run says which file and what to do, and trains once the table is whole again."""
    task = world.folder / "cut"
    shutil.copytree(world.folder / "task", task)
    table = task / EXAMPLES
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    command = world.command("cut-run", COCONUT)
    command[command.index("--task") + 1] = str(task)
    error = _only_error(finish(command).stderr)
    assert error.startswith(f"error: {table}: not a whole Parquet file")
    assert error.endswith("delete its folder and run again")
    assert not world.output("cut-run").exists()


def clock_back(world: World) -> None:
    """The clock jumps back a day while a run trains, and its state lies in the future when it resumes."""
    training = {"updates": 16, "save_every_seconds": 0.1}
    expected = content(world.once(LT_TUNING))
    command = world.command("clock", LT_TUNING, training=training)
    done = finish(command, **with_fault("clock-and-kill:0:9"))
    assert done.returncode == 1
    for path in [world.folder / "clock", *(world.folder / "clock").rglob("*")]:
        os.utime(path, (time.time() + 86400, time.time() + 86400))
    done = finish(command)
    assert "resumed at update" in done.stderr
    assert content(world.output("clock")) == expected


def read_only_results(workspace: Workspace) -> None:
    """The results folder is read-only: one line before any job, nothing changed, and all goes on once it is not."""
    results = workspace.folder / "results"
    (results / "tables").mkdir(parents=True)
    (results / "tables/kept.csv").write_text("kept\n")
    results.chmod(0o500)
    done = _snakemake(workspace, preexec_fn=_obey_permissions)
    said = done.communicate()[0]
    results.chmod(0o700)
    assert done.returncode != 0
    assert "error: results: the folder is read-only; make it writable" in said
    assert (results / "tables/kept.csv").read_text() == "kept\n"
    workspace.snakemake(TASK, "--cores", "1", *SMOKE)
    assert (workspace.folder / TASK).is_file()


def two_snakemakes(workspace: Workspace) -> None:
    """A second Snakemake on a folder is sent away, also after the first was killed, and says how to unlock."""
    first = _snakemake(workspace)
    locks = workspace.folder / ".snakemake/locks"
    while not (locks.is_dir() and any(locks.iterdir())) and first.poll() is None:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGSTOP)  # so that it still runs when the second comes
    second = workspace.snakemake(TASK, "--cores", "1", *SMOKE, check=False)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    assert "--unlock" in second.stdout
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert workspace.snakemake(TASK, "--cores", "1", *SMOKE, check=False).returncode != 0
    workspace.snakemake("--unlock", *SMOKE)
    workspace.snakemake(TASK, "--cores", "1", *SMOKE)
    assert (workspace.folder / TASK).is_file()


def _snakemake(workspace: Workspace, preexec_fn: object = None) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).parent / "snakemake"), TASK, "--cores", "1", *SMOKE]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(
        command, cwd=workspace.folder, env=ENVIRONMENT, start_new_session=True, preexec_fn=preexec_fn, **output
    )


def _obey_permissions() -> None:
    """Give up root's right to write everywhere: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability)


def _only_error(said: str) -> str:
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said[-3000:]
    return errors[0]
