"""Sends requests to destinations, over connections to addresses that were looked at and to no other.

The pool asks `GuardedNetwork` for every connection, and that resolves the name, has each address checked, and connects
to one of those very addresses. So a name that changes between check and use changes nothing, nor does one that changes
between two tries. TLS still checks the certificate against the name.

The body of an answer to a POST is nobody's business: so much of it is read as lets the connection be used again, and no
more. That of an answer to a GET is read to a limit, and comes as it was sent: nothing is unpacked.

Below: destinations, httpcore2. Above: webhooks, authorization. Errors hold neither the URL nor what was answered.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpcore2

from gateway.outward.destinations import Destination, Destinations, NoPublicAddressError

AT_A_TIME = 32
"""Connections."""
_BODY_READ = 4096  # bytes
_BODY_SECONDS = 0.5
_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 5.0
_ADDRESSES_TRIED = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `headers` have lower-case names; `body` is empty for a POST."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


class UnansweredError(Exception):
    """No answer came. `why` is a word: no_public_address, no_connection, timeout or broken_answer."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class GuardedRequests:
    """The way out. Made once, closed at the end of the process."""

    def __init__(self, destinations: Destinations, ssl_context: ssl.SSLContext | None = None) -> None:
        self._network = GuardedNetwork(destinations)
        self._ssl_context = ssl_context
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def post(self, to: Destination, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
        """Send the body, and wait so long at most, for all of it. UnansweredError. A redirect is an answer."""
        return await self._ask("POST", to, headers, body, seconds=seconds, read=_glance)

    async def get(self, to: Destination, headers: Mapping[str, str], seconds: float, *, limit: int) -> Answer:
        """Ask, and read at most one byte more than `limit` of the answer's body. Waits and fails as `post` does."""
        return await self._ask("GET", to, headers, None, seconds=seconds, read=partial(_read, limit=limit))

    async def _ask(
        self,
        method: str,
        to: Destination,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        seconds: float,
        read: Callable[[httpcore2.Response], Awaitable[bytes]],
    ) -> Answer:
        url = httpcore2.URL(scheme=to.scheme.encode(), host=to.host.encode(), port=to.port, target=to.target.encode())
        try:
            async with (
                asyncio.timeout(seconds),
                self._opened().stream(
                    method,
                    url,
                    headers=[("Host", to.netloc), *headers.items()],
                    content=body,
                    extensions={"timeout": {"connect": _CONNECT_SECONDS, "pool": seconds}},
                ) as response,
            ):
                received = await read(response)
                return Answer(response.status, _readable(response.headers), received)
        except _RefusedError:
            raise UnansweredError("no_public_address") from None
        except (TimeoutError, httpcore2.TimeoutException):
            raise UnansweredError("timeout") from None
        except httpcore2.ConnectError:
            raise UnansweredError("no_connection") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            raise UnansweredError("broken_answer") from None

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()

    def _opened(self) -> httpcore2.AsyncConnectionPool:
        if self._pool is None:
            import httpx2  # for its certificates; tens of milliseconds

            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=self._ssl_context or httpx2.create_ssl_context(trust_env=False),
                max_connections=AT_A_TIME,
                max_keepalive_connections=AT_A_TIME,
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=self._network,
            )
        return self._pool


class _RefusedError(httpcore2.ConnectError):
    """The name has no address that we connect to."""


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that `destinations` let through."""

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await self._destinations.addresses(host, port)
        except NoPublicAddressError:
            raise _RefusedError from None
        last: Exception = httpcore2.ConnectError()
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise _RefusedError

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _glance(response: httpcore2.Response) -> bytes:
    """Read a short body to its end. A long or slow one is left, and its connection with it. Nothing of it is given."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            await _read(response, limit=_BODY_READ)
    except (TimeoutError, httpcore2.NetworkError, httpcore2.ProtocolError):
        pass  # the status has been read, and is what counts
    return b""


async def _read(response: httpcore2.Response, *, limit: int) -> bytes:
    """The body, or as much of it as shows that it is longer than `limit` bytes."""
    read = bytearray()
    async for chunk in response.aiter_stream():
        read += chunk
        if len(read) > limit:
            break
    return bytes(read[: limit + 1])


def _readable(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
