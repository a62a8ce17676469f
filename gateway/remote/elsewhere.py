"""Calls to workers that another gateway holds: in one request to that gateway, at most once.

A call has not been sent while nothing of the request has left, or when the other gateway says so, or refuses the
request, which it does before anything happens. Then a second gateway is asked, if there is one, and no third. Sent, and
the answer lost, or refused because something on the way brought it twice: the outcome is unknown, at once where the
other gateway was killed. Whoever waits for the call hangs up by going.

Such a request is not one of the tool's own, and is not watched as one. Below: `sealed_call`, httpx2. Above:
`remote_toolkit`. The other side: `holder`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.clock import Clock
from gateway.errors import ToolkitBusyError, ToolkitUnreachableError, UnknownOutcomeError
from gateway.remote.sealed_call import MARK, CallSeal, Derive, SentCall
from gateway.toolkit.exchange import watching
from gateway.toolkit.replica import Replica
from gateway.toolkit.tool_request import ToolRequest

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

PATH = "/internal/v1/call"
MEDIA_TYPE = "application/octet-stream"
LONGEST_END = 16 << 20  # bytes: a worker's largest answer, with every letter escaped
_MARGIN = 0.2  # seconds by which the other gateway's time is up before ours, so that we are told what is known
CONNECT_SECONDS = 2.0
_IDLE_SECONDS = 3.0  # less than the other side keeps an idle connection: what it is about to close is not used
MOST_AT_ONCE = 200  # calls to other gateways: fewer than one of them takes connections from one address
_MOST_IDLE = 32  # each is looked at for each call
_MOST_KNOWN = 100
_REST = 5.0  # seconds for which one that could not be reached is asked after the others


@dataclass(frozen=True, slots=True)
class Wanted:
    """The call of a tool of this toolkit."""

    tenant: str
    toolkit: str
    request: ToolRequest


class Elsewhere:
    """The way to the other gateways. Made once, closed at the end of the process.

    So many calls are under way at once, and one more waits as long for its turn as for a connection.
    """

    def __init__(
        self,
        derive: Derive,
        clock: Clock,
        *,
        most_at_once: int = MOST_AT_ONCE,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._most_at_once = most_at_once
        self._connect_seconds = connect_seconds
        self._derive = derive
        self._clock = clock
        self._seals: dict[Replica, CallSeal] = {}
        self._failed: dict[Replica, float] = {}
        self._client: httpx2.AsyncClient | None = None

    async def call(self, wanted: Wanted, holders: Sequence[Replica], seconds: float) -> Any:
        """What the function of a worker at one of the holders returned, within `seconds`. Ends as `Workers.call`."""
        until = asyncio.get_running_loop().time() + seconds
        shuffled = random.sample(holders, len(holders))  # spreads calls, hides nothing
        asked = sorted(shuffled, key=self._failed_lately)[:2]
        try:
            return await self._ask(asked[0], wanted, until, waits=len(asked) == 1)
        except (ToolkitUnreachableError, ToolkitBusyError):
            if len(asked) == 1:
                raise
        return await self._ask(asked[1], wanted, until, waits=True)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self, holder: Replica, wanted: Wanted, until: float, *, waits: bool) -> Any:
        left = max(0.0, until - asyncio.get_running_loop().time())
        theirs = left - min(_MARGIN, left / 10)
        seal = self._seal(holder)
        sent = SentCall(wanted.tenant, wanted.toolkit, wanted.request, theirs, waits)
        call = seal.seal_call(sent, self._clock.now())
        answer = await self._post(holder, call, wanted, left, partial(seal.is_taken, call=call))
        end = None if answer is None else seal.open_end(answer, call)
        if end is None:
            raise _unknown(wanted, "gave no answer that can be read")
        if end.error is not None:
            raise end.error
        return end.value

    async def _post(
        self, holder: Replica, call: bytes, wanted: Wanted, seconds: float, is_taken: Callable[[str], bool]
    ) -> bytes | None:
        """The answer, None for what is none. ToolkitUnreachableError: nothing was sent, or it was refused."""
        import httpx2

        has_left = False

        async def note(event: str, _info: Mapping[str, Any]) -> None:
            nonlocal has_left
            has_left = has_left or event.endswith(".send_request_headers.started")

        request = self._opened().build_request(
            "POST",
            holder.url.rstrip("/") + PATH,
            content=call,
            headers={"Content-Type": MEDIA_TYPE},
            extensions={"trace": note, "timeout": {"connect": self._connect_seconds, "pool": self._connect_seconds}},
        )
        try:
            async with asyncio.timeout(seconds):
                with watching(None):
                    response = await self._opened().send(request, stream=True)
                    try:
                        if is_taken(response.headers.get(MARK, "")):
                            raise _unknown(wanted, "was brought it twice")
                        if 400 <= response.status_code < 500:
                            raise self._not_sent(holder, wanted, f"refused a call (HTTP {response.status_code})")
                        return await _body(response)
                    finally:
                        await response.aclose()
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            if has_left:
                raise _unknown(wanted, "has gone, or did not answer in time") from None
            if isinstance(error, httpx2.PoolTimeout):
                raise _too_many(wanted) from None
            raise self._not_sent(holder, wanted, f"cannot be reached ({type(error).__name__})") from None

    def _failed_lately(self, holder: Replica) -> bool:
        at = self._failed.get(holder)
        return at is not None and asyncio.get_running_loop().time() - at < _REST

    def _not_sent(self, holder: Replica, wanted: Wanted, what: str) -> ToolkitUnreachableError:
        """The error, and a line in the log: one for all that come in a row."""
        if not self._failed_lately(holder):
            log.warning(
                "the gateway at %s %s. Each gateway needs a replica_url of its own that leads to it, the same vault "
                "key, and a clock that is right.",
                holder.url,
                what,
            )
        if len(self._failed) >= _MOST_KNOWN:
            self._failed.clear()
        self._failed[holder] = asyncio.get_running_loop().time()
        return ToolkitUnreachableError(
            f"{wanted.toolkit} runs at another gateway, which cannot be reached. {wanted.request.tool} was not called: "
            "try again in a moment."
        )

    def _seal(self, holder: Replica) -> CallSeal:
        if holder not in self._seals:
            if len(self._seals) >= _MOST_KNOWN:
                self._seals.pop(next(iter(self._seals)))
            self._seals[holder] = CallSeal(self._derive, holder)
        return self._seals[holder]

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            import httpx2  # tens of milliseconds

            self._client = httpx2.AsyncClient(
                transport=httpx2.AsyncHTTPTransport(
                    trust_env=False,
                    limits=httpx2.Limits(
                        max_connections=self._most_at_once,
                        max_keepalive_connections=_MOST_IDLE,
                        keepalive_expiry=_IDLE_SECONDS,
                    ),
                    socket_options=_OPTIONS,
                ),
                trust_env=False,
                follow_redirects=False,
            )
        return self._client


async def _body(response: httpx2.Response) -> bytes | None:
    if response.status_code != 200:
        return None
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LONGEST_END:
            return None
    return bytes(body)


def _socket_options() -> list[tuple[int, int, int]]:
    """A machine that is gone without a word is noticed after a quarter of a minute, also while we only wait."""
    named = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}
    probes = [(socket.IPPROTO_TCP, getattr(socket, name), n) for name, n in named.items() if hasattr(socket, name)]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *probes]


_OPTIONS = _socket_options()


def _too_many(wanted: Wanted) -> ToolkitBusyError:
    return ToolkitBusyError(
        f"{wanted.toolkit} runs at another gateway, and as many calls to others are under way as may be. "
        f"{wanted.request.tool} was not called: try again in a moment."
    )


def _unknown(wanted: Wanted, what: str) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        f"The gateway at which {wanted.toolkit} runs was sent the call of {wanted.request.tool} and {what}. Nobody "
        "knows whether it did its work: look before you call it again."
    )
