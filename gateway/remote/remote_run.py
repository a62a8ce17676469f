"""The `run` of a tool whose function lives in a worker elsewhere. Above: `remote_toolkit`, which finds the worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.toolkit.context import Context
from gateway.toolkit.tool_request import ToolRequest
from gateway.types import Credential

_MARGIN = 0.2  # seconds by which the worker's time is up before the call's, so that it is told what is known


class RemoteRun:
    """Calls the tool of this name by `call`, which takes a request and the seconds that it has."""

    def __init__(self, call: Callable[[ToolRequest, float], Awaitable[Any]], name: str, timeout: float) -> None:
        self._call = call
        self._name = name
        self._timeout = timeout

    async def __call__(self, arguments: Mapping[str, Any], credential: Credential | None, context: Context) -> Any:
        left = context.seconds_left
        seconds = self._timeout if left is None else left
        return await self._call(
            ToolRequest(self._name, arguments, credential), max(0.0, seconds - min(_MARGIN, seconds / 10))
        )
