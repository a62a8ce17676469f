"""The one way out to providers: a shared connection pool that is bounded in every direction.

Clients are short-lived, one a request, so that nothing of one person can stay in an object that serves another; the
pool and the TLS context (tens of milliseconds to build) outlive them in `ProviderTransport`. A body is read to
`BODY_LIMIT` bytes and no further, also after decompression. Redirects are not followed, the environment's proxies
and cookies do not apply.

Some providers want tokens in the query of a GET. httpx2 writes each request's address into its log, and whatever runs
us may listen to that. So a request forgets its query as soon as it has been sent: what is not there cannot be logged.

Below: httpx2. Above: client, discovery, identity.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import zlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx2

from gateway.secret import Secret

log = logging.getLogger(__name__)

BODY_LIMIT = 256 * 1024
TIMEOUT = 10.0
"""Seconds for a whole request, from name look-up to the last byte. Shorter than a refresh lease."""


class BodyTooLargeError(httpx2.TransportError):
    """The answer is longer than any honest one."""


class ProviderTransport(httpx2.AsyncBaseTransport):
    """A pool that many short-lived clients share: leaving a client does not close it, `close()` does."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._pool: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._pool is None:
            context = self._ssl_context or httpx2.create_ssl_context(trust_env=False)
            self._pool = httpx2.AsyncHTTPTransport(verify=context, trust_env=False)
        request.headers["Accept-Encoding"] = "identity"
        try:
            response = await self._pool.handle_async_request(request)
        finally:
            request.url = request.url.copy_with(query=None)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _FRAMING]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """A client was left; the pool stays."""

    async def aclose(self) -> None:
        """A client was closed; the pool stays."""

    async def close(self) -> None:
        """Close the pool. For the end of the process."""
        if self._pool is not None:
            await self._pool.aclose()


class LastLook(httpx2.AsyncBaseTransport):
    """The same way out, with a last look: `look` is called when the connection stands and the first byte is about to
    leave, after which nothing of the request can be taken back. What it raises stops the request.
    """

    def __init__(self, transport: ProviderTransport, look: Callable[[], None]) -> None:
        self._transport = transport
        self._look = look

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions = {**request.extensions, "trace": self._traced}
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """A client was closed; the pool stays."""

    async def _traced(self, event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            self._look()


_FRAMING = {"content-encoding", "content-length", "transfer-encoding", "set-cookie"}


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.stream:  # type: ignore[union-attr]
        body += chunk
        if len(body) > BODY_LIMIT:
            raise BodyTooLargeError(f"the answer is longer than {BODY_LIMIT} bytes")
    if response.headers.get("content-encoding", "").lower() in {"gzip", "x-gzip", "deflate"}:
        return _inflate(bytes(body))
    return bytes(body)


def _inflate(body: bytes) -> bytes:
    """Some servers compress unasked. Never more than the limit comes out, however much is packed in."""
    try:
        decoded = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, BODY_LIMIT + 1)
    except zlib.error:
        raise httpx2.DecodingError("the answer is not what its Content-Encoding says") from None
    if len(decoded) > BODY_LIMIT:
        raise BodyTooLargeError(f"the answer is longer than {BODY_LIMIT} bytes")
    return decoded


async def get_json(transport: ProviderTransport, url: str, token: Secret | None = None) -> dict[str, Any] | None:
    """The JSON object at a URL, or None where there is none to be had. `token` is sent as a bearer."""
    headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    found = await ask_json(transport, url, headers)
    return found if isinstance(found, dict) else None


async def ask_json(
    transport: ProviderTransport, url: str, headers: Mapping[str, str], method: str = "GET", body: str | None = None
) -> dict[str, Any] | list[Any] | None:
    """The JSON object or list that a request is answered with, or None. `body` is JSON text. Never raises."""
    sent = {"Accept": "application/json", **({"Content-Type": "application/json"} if body is not None else {})}
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False) as client,
        ):
            response = await client.request(method, url, headers={**sent, **headers}, content=body)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        log.warning("%s could not be read: %s", url.partition("?")[0], type(error).__name__)
        return None
    return json_document(response.content) if response.is_success else None


async def post_form(
    transport: ProviderTransport, url: str, fields: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]] | None:
    """Status and JSON object that a form is answered with, {} for any other body; None for no answer. Never raises."""
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False) as client,
        ):
            response = await client.post(url, data=dict(fields), headers={"Accept": "application/json", **headers})
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        log.warning("%s did not answer: %s", url.partition("?")[0], type(error).__name__)
        return None
    return response.status_code, json_object(response.content) or {}


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that `body` is, or None. UTF-8 whatever a header says (RFC 8259); a key twice is refused."""
    found = json_document(body)
    return found if isinstance(found, dict) else None


def json_document(body: bytes) -> dict[str, Any] | list[Any] | None:
    """The JSON object or list that `body` is, or None; read as strictly as `json_object`."""
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


_STEP = re.compile(r"\[(\d+)\]|\[\?(\w+)\]|([^.\[\]]+)")


def at_path(found: Any, path: str) -> Any:
    """The value at a path, or None. A dot leads into an object, `[0]` into a list, `[?flag]` to its first member whose
    `flag` is true. A key that is the whole path wins: names of claims may be URLs."""
    if isinstance(found, Mapping) and path in found:
        return found[path]
    for index, flag, key in _STEP.findall(path):
        if key:
            found = found.get(key) if isinstance(found, Mapping) else None
        elif not isinstance(found, list):
            return None
        elif index:
            found = found[int(index)] if int(index) < len(found) else None
        else:
            found = next((member for member in found if isinstance(member, Mapping) and member.get(flag)), None)
    return found
