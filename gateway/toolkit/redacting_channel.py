"""A Channel for calls that carry a token: what the tool says on the way is searched for it, as its result will be.

Covers progress messages, log lines and questions. Above: the executor. Below: the surface's own channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.redaction import Redactor
from gateway.toolkit.context import Answer, Ask, Channel, Form, Level, Roots, Sample, Visit


class RedactingChannel:
    def __init__(self, channel: Channel, redactor: Redactor) -> None:
        self._channel = channel
        self._redactor = redactor

    @property
    def capabilities(self) -> frozenset[str]:
        return self._channel.capabilities

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        await self._channel.progress(done, total, message and self._redactor.redact(message))

    async def log(self, level: Level, data: Any, logger: str | None) -> None:
        await self._channel.log(level, self._redactor.redact_json(data), logger)

    async def ask(self, asks: Mapping[str, Ask]) -> Mapping[str, Answer]:
        return await self._channel.ask({key: self._redacted(ask) for key, ask in asks.items()})

    def _redacted(self, ask: Ask) -> Ask:
        clean = self._redactor
        match ask:
            case Form(message, schema):
                return replace(ask, message=clean.redact(message), schema=clean.redact_json(schema))
            case Visit(message, url):
                return replace(ask, message=clean.redact(message), url=clean.redact(url))
            case Sample(messages, _, system):
                return replace(ask, messages=clean.redact_json(messages), system=system and clean.redact(system))
            case Roots():
                return ask
