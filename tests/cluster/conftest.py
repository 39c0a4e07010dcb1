"""The cluster, one for all tests of a file, and what is left of the machine when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .slurm import Cluster, cluster, missing


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of two nodes."""
    if reason := missing():
        pytest.skip(reason)
    with cluster(Path(tmp_path_factory.mktemp("cluster"))) as made:
        yield made
