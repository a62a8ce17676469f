"""One app's line to a gateway: requests under the ATP paths, and their answers as JSON. For code without a loop.

Standard library only. Every request has a time limit, from its beginning to the end of its answer; no redirect is
followed (the app's key would go along) and no proxy is used. What goes wrong is a GatewayError in a sentence.

Below: `answers`. Above: `gateway.toolkit.llm_client`, which imports this when a client is built: most programs never
build one. Its sibling for loops is `async_app_line`.
"""

from __future__ import annotations

import functools
import http.client
import json
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from gateway.secret import Secret
from gateway.toolkit.answers import LONGEST_REFUSAL, Address, decoded, event_in, out_of_time, refusal, unreachable
from gateway.toolkit.app_requests import AppRequest

T = TypeVar("T")

Within = Callable[[Callable[[], Any]], Any]
"""Does something on the socket in the time that is left."""


class AppLine:
    """`base_url` may be empty: only a request needs it."""

    def __init__(self, base_url: str, key: Secret) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key

    def answer(self, request: AppRequest[T], seconds: float) -> T:
        """What the request is answered with, within so many seconds."""
        with self._exchange(request, seconds, "application/json") as (response, within):
            raw = bytearray()
            while part := within(response.read1):
                raw += part
            return request.read(decoded(bytes(raw)))

    def events(self, request: AppRequest[Any], seconds: float) -> Generator[dict[str, Any]]:
        """The answer to a request as it comes in: server-sent events with JSON in them.

        What the caller does between two of them does not count.
        """
        with self._exchange(request, seconds, "text/event-stream") as (response, within):
            while line := within(response.readline):
                if (event := event_in(line)) is not None:
                    yield event

    @contextmanager
    def _exchange(
        self, request: AppRequest[Any], seconds: float, accept: str
    ) -> Iterator[tuple[http.client.HTTPResponse, Within]]:
        address = Address.of(self.base_url)
        kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
        connection = kind(address.host, address.port, timeout=seconds)
        headers = {"Authorization": f"ApiKey {self._key.reveal()}", "Accept": accept}
        content = None
        if request.body is not None:
            content = json.dumps(request.body).encode()
            headers["Content-Type"] = "application/json"
        try:
            left = _TimeLeft(seconds)
            left.to(connection.connect)
            within = functools.partial(left.to, own_socket=connection.sock)
            within(lambda: connection.request(request.method, address.path(request.path), content, headers))
            response = within(connection.getresponse)
            if not 200 <= response.status < 300:
                raise refusal(response.status, within(lambda: response.read(LONGEST_REFUSAL)))
            yield response, within
        except TimeoutError:
            raise out_of_time(self.base_url, seconds) from None
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.base_url, error) from None
        finally:
            connection.close()


class _TimeLeft:
    """So many seconds for several waits on a socket together. TimeoutError when they are used up.

    What is done between the waits does not count.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def to(self, wait: Callable[[], T], own_socket: socket.socket | None = None) -> T:
        if self._seconds <= 0:
            raise TimeoutError
        if own_socket is not None:
            own_socket.settimeout(self._seconds)
        began = time.monotonic()
        try:
            return wait()
        finally:
            self._seconds -= time.monotonic() - began
