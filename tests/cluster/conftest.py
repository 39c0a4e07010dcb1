"""The cluster and the workflow on it, shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.conftest import make_workspace

from .site import Site, make_site
from .slurm import Cluster, cluster, missing


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of two nodes."""
    if reason := missing():
        pytest.skip(reason)
    with cluster(Path(tmp_path_factory.mktemp("cluster"))) as made:
        yield made


@pytest.fixture(scope="module")
def site(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The workflow on the cluster, with a task and a backbone."""
    return make_site(slurm, make_workspace(Path(tmp_path_factory.mktemp("site"))))
