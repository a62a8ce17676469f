"""A process of its own that serves one toolkit file over stdio: `python launcher.py TOOLKIT`.

As the command line does it: stdout is claimed before anything else is imported.
"""

# ruff: noqa: E402 - the order is the point
from gateway.surfaces.mcp.stdout import claim_stdout

claim_stdout()

import asyncio
import runpy
import sys

from gateway.surfaces.mcp.limits import Limits
from gateway.toolkit.sink import loading_into
from tests.surfaces.mcp.world import ALICE, RegistrySink, World


async def serve(toolkit: str) -> None:
    world = World(Limits(finish_seconds=2, body_bytes=100_000))
    with loading_into(RegistrySink(world.registry)):
        runpy.run_path(toolkit)
    await world.surface.stdio(ALICE)
    await world.audit.close()


asyncio.run(serve(sys.argv[1]))
