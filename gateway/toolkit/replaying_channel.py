"""A Channel for calls whose tool may be run a second time: nobody is asked the same thing twice.

Progress needs no such care: hosts' channels pass on only what is further than before. Above: the rooms that run tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.toolkit.context import Answer, Ask, Channel, Level


class ReplayingChannel:
    """Remembers answers, for `again` to give them to the same questions."""

    def __init__(self, channel: Channel, earlier: Mapping[str, tuple[Ask, Answer]] | None = None) -> None:
        self._channel = channel
        self._earlier = dict(earlier or {})
        self._given: dict[str, tuple[Ask, Answer]] = {}

    def again(self) -> ReplayingChannel:
        """The channel for the second run."""
        return ReplayingChannel(self._channel, self._given)

    @property
    def capabilities(self) -> frozenset[str]:
        return self._channel.capabilities

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        await self._channel.progress(done, total, message)

    async def log(self, level: Level, data: Any, logger: str | None) -> None:
        await self._channel.log(level, data, logger)

    async def ask(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        answers = {key: earlier[1] for key, ask in asks.items() if (earlier := self._said_before(key, ask))}
        if new := {key: ask for key, ask in asks.items() if key not in answers}:
            given = await self._channel.ask(new)
            self._given |= {key: (new[key], answer) for key, answer in given.items() if key in new}
            answers |= given
        return answers

    def _said_before(self, key: str, ask: Ask) -> tuple[Ask, Answer] | None:
        """The first run's answer, once: a tool that asks the same again in one run wants to hear it again."""
        earlier = self._earlier.pop(key, None)
        return earlier if earlier and earlier[0] == ask else None
