"""AsyncLLMClient with LLMClient's manners: each call in a loop of its own. So one test holds both to the same."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

from gateway import AsyncLLMClient


class LoopedLLMClient:
    """Every method of AsyncLLMClient, without `await`; its events as a list."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._client = AsyncLLMClient(*args, **more)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        async def call(*args: Any, **more: Any) -> Any:
            async with self._client:
                given = attribute(*args, **more)
                return await (given if inspect.isawaitable(given) else _listed(given))

        return lambda *args, **more: asyncio.run(call(*args, **more))


async def _listed(events: AsyncIterator[Any]) -> list[Any]:
    return [event async for event in events]
