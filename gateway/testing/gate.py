"""A gate that a test closes to hold requests where it wants them, instead of sleeping and hoping.

gate.close()
    … start what will run into it …
    await gate.arrival()
    gate.open()
"""

from __future__ import annotations

import asyncio


class Gate:
    """Open at first. Everything that passes through waits while it is closed."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._arrived = asyncio.Event()

    def close(self) -> None:
        self._open.clear()
        self._arrived.clear()

    def open(self) -> None:
        self._open.set()

    async def arrival(self) -> None:
        """Wait until something has run into the closed gate."""
        await self._arrived.wait()

    async def pass_through(self) -> None:
        if not self._open.is_set():
            self._arrived.set()
            await self._open.wait()
