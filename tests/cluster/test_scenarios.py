"""Real jobs of the shipped workflow and profile on a real cluster; all scenarios run at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from .scenarios import SCENARIOS
from .site import Site

pytestmark = pytest.mark.slow
Play = Callable[[Site], None]


@pytest.fixture(scope="module")
def played(site: Site) -> Iterator[dict[Play, Future[None]]]:
    """All scenarios, while they run."""
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {play: pool.submit(play, site) for play in SCENARIOS}


@pytest.mark.parametrize("play", SCENARIOS, ids=lambda play: str(play.__name__))
def test_on_a_cluster(play: Play, played: dict[Play, Future[None]]) -> None:
    played[play].result()
