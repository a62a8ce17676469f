"""Runs a Python function as a tool: converts the arguments, injects what the gateway supplies, calls it.

An `async def` runs on the event loop, a plain `def` in a thread of the pool; both end for the caller as soon as the
caller is cancelled. What is injected always wins over what was sent.

Below: `signature`, `pool`. Above: `gateway.toolkit.declaration`. It is the `run` of a `Tool`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gateway.errors import InvalidArgumentsError
from gateway.toolkit.context import Context
from gateway.toolkit.pool import PATIENCE, Pool
from gateway.toolkit.schema import Convert
from gateway.toolkit.signature import AUTH_TOKEN, Injection, Signature
from gateway.types import Credential


class FunctionRun:
    """Calls `function` for a Tool of `toolkit`. `timeout` is the tool's, in seconds."""

    def __init__(
        self,
        function: Callable[..., Any],
        signature: Signature,
        convert: Convert,
        *,
        pool: Pool,
        toolkit: str,
        timeout: float,
    ) -> None:
        self._function = function
        self._signature = signature
        self._convert = convert
        self._pool = pool
        self._toolkit = toolkit
        self._patience = min(PATIENCE, timeout / 2)  # so that "busy" is said before the deadline
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
        )

    async def __call__(self, arguments: Mapping[str, Any], credential: Credential | None, context: Context) -> Any:
        values = self._accepted(self._convert(arguments)) | self._injected(credential, context)
        if self._is_async:
            return await _awaited(self._function(**values))
        call = functools.partial(self._function, **values)
        try:
            value = await self._pool.run(self._toolkit, call, self._patience, context.tenant)
        except asyncio.CancelledError:
            context.close()
            raise
        return await _awaited(value) if inspect.isawaitable(value) else value

    def _accepted(self, values: dict[str, Any]) -> dict[str, Any]:
        if not self._signature.takes_more and (unknown := values.keys() - self._signature.parameters):
            raise InvalidArgumentsError(f"Invalid arguments: there is no {', '.join(sorted(unknown))[:200]}.")
        return values

    def _injected(self, credential: Credential | None, context: Context) -> dict[str, Any]:
        supply = {
            Injection.TOKEN: credential.token if credential else None,
            Injection.CREDENTIAL: credential,
            Injection.CONTEXT: context,
        }
        given = {
            name: supply[kind]
            for name, kind in self._signature.injected.items()
            if supply[kind] is not None or name in self._signature.must_inject
        }
        if credential and self._signature.takes_more:
            given.setdefault(AUTH_TOKEN, credential.token)
        return given


async def _awaited(value: Any) -> Any:
    """Await what an async tool returned, and keep its own trouble apart from a caller that has gone."""
    try:
        return await value
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("the tool was cancelled by something inside it") from None
    except SystemExit:  # it would end the gateway
        raise RuntimeError("the tool ended with SystemExit") from None
