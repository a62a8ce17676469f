"""The executor's own tests, with their toolkit in worker processes: every end of a call is what it is inline."""

from __future__ import annotations

import pytest
import test_executor
from test_executor import *  # noqa: F403 - all of its tests, and its fixtures but the one below

from gateway.toolkit.registry import Registry


@pytest.fixture(scope="module")
async def isolated(worlds):
    async with worlds(names=frozenset({"fixture"})) as world:
        text = test_executor.TOOLKIT.replace("(timeout=0.1)", "(timeout=0.28)")  # there are two processes to wait for
        assert text != test_executor.TOOLKIT
        assert not world.load("fixture.py", text).errors
        yield world


@pytest.fixture
def registry(isolated):
    """A registry of each test's own, with the same workers behind it."""
    registry = Registry()
    registry.replace((), isolated.registry.tools())
    return registry
