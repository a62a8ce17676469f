"""The `run` of a tool whose function lives in a worker elsewhere. Below: `gateway.toolkit.workers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.toolkit.context import Context
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.workers import Workers
from gateway.types import Credential

_MARGIN = 0.2  # seconds by which the worker's time is up before the call's, so that it is told what is known


class RemoteRun:
    """Calls the tool of this name at one of the workers."""

    def __init__(self, workers: Workers, name: str, timeout: float) -> None:
        self._workers = workers
        self._name = name
        self._timeout = timeout

    async def __call__(self, arguments: Mapping[str, Any], credential: Credential | None, context: Context) -> Any:
        left = context.seconds_left
        seconds = self._timeout if left is None else left
        return await self._workers.call(
            ToolRequest(self._name, arguments, credential), max(0.0, seconds - min(_MARGIN, seconds / 10))
        )
