"""Which toolkits run in processes of their own, and all of their crews, from the first to the last.

Fulfils `gateway.toolkit.loader.Isolation`. Toolkits may be loaded before there is an event loop: their workers are
started then, and take calls once `open` has been called. Below: `crew`. Above: the app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

from gateway.errors import LoadError, SettingsError
from gateway.isolation.crew import Crew
from gateway.isolation.process import Terms
from gateway.toolkit.sources import Source, sources


class Processes:
    """`names` are the toolkits that it covers, by file or folder; None: all. Each gets `workers` processes."""

    def __init__(self, terms: Terms, names: AbstractSet[str] | None = None, workers: int = 2) -> None:
        self._terms = terms
        self._names = names
        self._workers = workers
        self._met: set[str] = set()
        self._crews: set[Crew] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def covers(self, source: Source) -> bool:
        self._met.add(source.name)
        return self._names is None or source.name in self._names

    def start(self, source: Source) -> Crew:
        crew = Crew(source, self._terms, self._workers, self._loaded)
        self._crews = {each for each in self._crews if not each.is_over} | {crew}
        return crew

    def check_names(self, targets: Sequence[str]) -> None:
        """SettingsError when it is to cover a toolkit that was not loaded and is none of `targets`: a name that is
        misspelt would leave one in the gateway's own process."""
        if unknown := (self._names or frozenset()) - self._met - _names_of(targets):
            raise SettingsError(
                f"[toolkits] isolation names {', '.join(sorted(unknown))}, and no toolkit is called that. Write "
                "inline, process, or toolkits by the name of their file or folder."
            )

    def open(self) -> None:
        """Have the workers take calls, on the running loop. Those of toolkits that are loaded later do at once."""
        self._loop = asyncio.get_running_loop()
        for crew in self._crews:
            crew.open()

    async def close(self) -> None:
        """End all processes, now."""
        await asyncio.gather(*(crew.close() for crew in self._crews))

    def _loaded(self, crew: Crew) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(crew.open)


def _names_of(targets: Sequence[str]) -> frozenset[str]:
    names: set[str] = set()
    for target in targets:
        with suppress(LoadError):
            names.update(source.name for source in sources(target))
    return frozenset(names)
