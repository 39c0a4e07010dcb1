"""Leases of devices, by real processes that hold simulated ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thoughtscope.errors import UserError
from thoughtscope.launch import leases
from thoughtscope.launch.ranks import DEVICES
from thoughtscope.launch.slurm import JOB

HOLD = """
import os, sys
from thoughtscope.launch.leases import lease
with lease(int(sys.argv[1])) as mine:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(mine)
    print(",".join(mine), flush=True)
    sys.stdin.read()
"""


class Desk:
    """A machine with simulated devices."""

    def __init__(self, folder: Path, devices: str) -> None:
        left = {name: value for name, value in os.environ.items() if name not in (JOB, DEVICES)}
        self.environment = {**left, "TMPDIR": str(folder), leases.SIMULATED: devices}
        self.runs: list[subprocess.Popen[str]] = []

    def start(self, count: int) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        run = subprocess.Popen([sys.executable, "-c", HOLD, str(count)], env=self.environment, text=True, **pipes)  # type: ignore[call-overload]
        self.runs.append(run)
        return run  # type: ignore[no-any-return]


def line(stream: object) -> str:
    return stream.readline().strip()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, "a,b,c")
    yield made
    for run in made.runs:
        run.kill()
        run.communicate()


def test_runs_at_once_hold_distinct_devices_and_one_that_wants_two_gets_two(desk: Desk) -> None:
    first, second = desk.start(1), desk.start(2)
    held = [line(first.stdout).split(","), line(second.stdout).split(",")]
    assert sorted(map(len, held)) == [1, 2]
    assert sorted(held[0] + held[1]) == ["a", "b", "c"]


def test_a_run_waits_with_one_line_until_all_it_wants_is_free(desk: Desk) -> None:
    first, second = desk.start(1), desk.start(1)
    ids = {line(first.stdout), line(second.stdout)}
    third = desk.start(2)
    assert line(third.stderr) == "waiting for 2 of 3 devices"
    fourth = desk.start(1)
    left = line(fourth.stdout)
    assert {left} | ids == {"a", "b", "c"}, "who waits for two holds none in the meantime"
    for run in (first, fourth):
        run.communicate("")
    assert len(line(third.stdout).split(",")) == 2


def test_a_crash_frees_its_devices(desk: Desk) -> None:
    first = desk.start(3)
    line(first.stdout)
    second = desk.start(3)
    assert line(second.stderr).startswith("waiting")
    os.kill(first.pid, signal.SIGKILL)
    assert line(second.stdout) == "a,b,c"


def test_more_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JOB, raising=False)
    monkeypatch.setenv(leases.SIMULATED, "a,b")
    with pytest.raises(UserError, match="a run wants 3 devices, this machine has 2"), leases.lease(3):
        pass


def test_inside_a_job_and_without_devices_nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(leases.SIMULATED, "")
    with leases.lease(2) as mine:
        assert mine == []
    monkeypatch.setenv(leases.SIMULATED, "a")
    monkeypatch.setenv(JOB, "7")
    with leases.lease(2) as mine:
        assert mine == []
