"""The database of the settings, for commands that work on it alone: no gateway, nothing in the background.

Below: store. Above: the commands about keys, programs, toolkits, webhooks, rules and the record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store.store import Store

Answer = TypeVar("Answer")


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """Open for the block, at this version's schema; only warnings are logged. SettingsError where that cannot be."""
    from gateway.at_rest import open_store

    log_to_stderr("WARNING")
    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


def with_store(settings: Settings, act: Callable[[Store], Awaitable[Answer]]) -> Answer:
    """What `act` answers, given the open database."""
    import anyio

    async def run() -> Answer:
        async with opened_store(settings) as store:
            return await act(store)

    return anyio.run(run)
