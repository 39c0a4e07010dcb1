"""Runs on the cluster lose their jobs in every way that a cluster knows, and come to their end."""

from __future__ import annotations

import pytest

from .site import Site, target

pytestmark = pytest.mark.slow
LONG = {"training": {"updates": 300, "batch_size": 16, "save_every_seconds": 1.0}, "evaluation": {"every": 20}}


def test_a_run_goes_on_after_three_time_limits_in_one_job_and_spends_no_retry(site: Site) -> None:
    seed = 0
    campaign = site.start(site.config("limits", **LONG), target(seed), retries=1)
    job = site.job_of(seed)
    for number in (1, 2, 3):
        site.trains(seed, start=number)
        site.slurm.ask("scancel", "--signal=USR1", job)  # as SLURM does near the limit
        site.slurm.wait(lambda n=number: site.log(seed).count("asked to stop") == n, "a saved state")
    said = campaign.finish()
    assert site.log(seed).count("resumed at update") == 3
    assert site.jobs_of(seed) == [job]
    assert "Restarts=3" in site.slurm.ask("scontrol", "show", "job", job)
    assert "Trying to restart" not in said


def test_a_cancelled_job_comes_again_as_a_new_one_and_one_whose_node_fails_as_the_same(site: Site) -> None:
    seed = 1
    campaign = site.start(site.config("losses", **LONG), target(seed), retries=1)
    first = site.job_of(seed)
    site.trains(seed)
    site.slurm.ask("scancel", first)
    second = site.job_of(seed, 1)
    site.trains(seed, start=2)
    node = site.slurm.ask("squeue", "-h", f"--jobs={second}", "-o", "%N").strip()
    site.slurm.cut_power(node)
    try:
        said = campaign.finish()
    finally:
        site.slurm.restore(node)
    assert site.slurm.jobs()[first] == "CANCELLED"
    assert site.jobs_of(seed) == [first, second]
    assert said.count("Trying to restart") == 1
    assert "Restarts=1" in site.slurm.ask("scontrol", "show", "job", second)
    assert site.log(seed).count("resumed at update") == 2


def test_a_job_killed_for_memory_is_submitted_again_with_more(site: Site) -> None:
    seed = 2
    campaign = site.start(site.config("memory", compute={"mem_mb": 450}), target(seed), retries=2)
    said = campaign.finish()
    jobs = site.jobs_of(seed)
    asked = [site.slurm.jobs("%m")[job] for job in jobs]
    assert asked == ["450M", "900M", "1800M"][: len(jobs)]
    assert len(jobs) > 1
    assert said.count("Trying to restart") == len(jobs) - 1


def test_control_c_cancels_what_was_submitted_and_the_next_start_goes_on(site: Site) -> None:
    seed = 3
    config = site.config("interrupted", **LONG)
    campaign = site.start(config, target(seed))
    job = site.job_of(seed)
    site.trains(seed)
    campaign.press_control_c()
    assert campaign.process.wait(timeout=90) != 0
    site.slurm.wait(lambda: site.slurm.jobs()[job] == "CANCELLED", "a cancelled job")
    site.start(config, target(seed)).finish()
    assert site.log(seed).count("resumed at update") == 1
