"""Between the socket and an honest server: sees what each request is, and spoils those that a script is meant for.

It writes the log's line of a request that never got to the server; the server writes the others. Below: `faults`,
`script`, `log`. Above: `authorization_server`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.clock import Clock
from gateway.testing.exchange import SEEN, Exchange, Seen
from gateway.testing.faults import Fault
from gateway.testing.script import Script


class FaultLayer:
    """`see` tells what a request is; `note` writes it to the log; `hold` is where requests may be made to wait."""

    def __init__(
        self,
        app: ASGIApp,
        script: Script,
        *,
        faults: Mapping[str, Fault],
        see: Callable[[Scope, bytes], Seen],
        clock: Clock,
        note: Callable[[Seen, str], None],
        hold: Callable[[Seen], Awaitable[None]],
    ) -> None:
        self._app = app
        self._script = script
        self._faults = faults
        self._see = see
        self._clock = clock
        self._note = note
        self._hold = hold
        self._under_way: Counter[tuple[str, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        seen = scope[SEEN] = self._see(scope, body)
        key = (seen.what, seen.token.grant if seen.token else 0)
        self._under_way[key] += 1
        seen.at_once = self._under_way[key] if seen.token else 1
        try:
            await self._hold(seen)
            await self._answer(scope, _replay(body, receive), send, seen)
        finally:
            self._under_way[key] -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        step = self._script.take(seen.what, seen.person)
        if step is None:
            await self._app(scope, receive, send)
            return
        fault = self._faults[step.fault]
        if fault.carried_out:
            seen.fault = step.fault
        else:
            status = step.params.get("status")
            self._note(seen, step.fault if status is None else str(status))
        await fault.play(Exchange(self._app, scope, receive, send, now=self._clock.now(), params=step.params))


async def _read(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        body.extend(message.get("body", b""))
        more = message.get("more_body", False)
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The request's body once more; after that, whatever else happens on the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
