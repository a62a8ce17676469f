"""A registry, a loader for files written on the spot, and a way to run a tool as the executor does."""

from __future__ import annotations

import asyncio
import textwrap

import anyio
import pytest

from gateway.toolkit.context import Context, NullChannel
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.toolkit.sink import loading_into
from gateway.types import Credential

TOKEN = "CNRY-token-5d1c8e-of-ada"


class Shelf:
    """A sink that a test registers into: a toolkit called `crm`, whose file has been read."""

    toolkit = "crm"
    is_loading = False

    def __init__(self, registry, pool):
        self.registry = registry
        self.pool = pool

    def add(self, tool):
        self.registry.add(tool)

    def drop(self, name):
        return self.registry.drop(name)


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def loader(registry):
    return Loader(registry)


@pytest.fixture
def shelf(registry):
    from gateway.toolkit.pool import Pool

    with loading_into(shelf := Shelf(registry, Pool())):
        yield shelf


@pytest.fixture
def write(tmp_path):
    """Write a toolkit's file, in a folder of the test's own."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def credential():
    return Credential("hubspot", TOKEN, account="ada@example.com", extras={"hub_id": "7"})


@pytest.fixture
def run(registry):
    """Check a call's arguments and run the tool, without the executor round it."""

    async def run(name, credential=None, channel=None, /, **arguments):
        tool = registry.find(name)
        problem = tool.check(arguments)
        assert problem is None, problem
        with anyio.fail_after(5):
            return await tool.run(arguments, credential, Context(channel or NullChannel(), asyncio.get_running_loop()))

    return run
