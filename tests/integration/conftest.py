"""One prepared task and backbone for all tests of a process."""

from __future__ import annotations

import pytest

from .world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A small task and backbone."""
    return make_world(tmp_path_factory.mktemp("world"))
