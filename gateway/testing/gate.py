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
        self._waiting = asyncio.Semaphore(0)

    def close(self) -> None:
        self._open.clear()
        self._waiting = asyncio.Semaphore(0)

    def open(self) -> None:
        self._open.set()

    async def arrival(self, of: int = 1) -> None:
        """Wait until something, or so many, have run into the closed gate; each counts once."""
        for _ in range(of):
            await self._waiting.acquire()

    async def pass_through(self) -> None:
        if not self._open.is_set():
            self._waiting.release()
            await self._open.wait()
