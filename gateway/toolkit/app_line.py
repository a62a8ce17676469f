"""One app's line to a gateway: HTTP requests under the ATP paths, and their answers as JSON.

Standard library only. Every request has a time limit, no redirect is followed (the app's key would go along) and no
proxy is used. What goes wrong is a GatewayError in a sentence; where the gateway named a `code`, the error carries it.
Above: `gateway.toolkit.llm_client`, which imports this when a client is built: most programs never build one.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gateway.errors import GatewayError
from gateway.secret import Secret

PATH = "/api/v1/atp/llm-client/"
_LONGEST_REFUSAL = 65536  # bytes of an error's body that are worth reading

Body = Mapping[str, Any] | None


class AppLine:
    """`base_url` may be empty: only a request needs it."""

    def __init__(self, base_url: str, key: Secret) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key

    def answer(self, method: str, path: str, body: Body, timeout: float) -> Any:
        """The JSON that a request is answered with. `timeout` is in seconds, between two signs of life."""
        with self._exchange(method, path, body, timeout, "application/json") as response:
            return _decoded(response.read())

    def events(self, path: str, body: Body, timeout: float) -> Generator[dict[str, Any]]:
        """The answer to a POST as it comes in: server-sent events with JSON in them."""
        with self._exchange("POST", path, body, timeout, "text/event-stream") as response:
            for line in response:
                if line.startswith(b"data: "):
                    yield _decoded(line.removeprefix(b"data: "))

    @contextmanager
    def _exchange(
        self, method: str, path: str, body: Body, timeout: float, accept: str
    ) -> Iterator[http.client.HTTPResponse]:
        connection, prefix = self._connection(timeout)
        headers = {"Authorization": f"ApiKey {self._key.reveal()}", "Accept": accept}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, prefix + PATH + path, content, headers)
            response = connection.getresponse()
            if not 200 <= response.status < 300:
                raise _refusal(response.status, response.read(_LONGEST_REFUSAL))
            yield response
        except TimeoutError:
            raise GatewayError(f"The gateway at {self.base_url} did not answer within {timeout:g} s.") from None
        except (OSError, http.client.HTTPException) as error:
            kind = type(error).__name__
            raise GatewayError(f"The gateway at {self.base_url} cannot be reached ({kind}). Is it running?") from None
        finally:
            connection.close()

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, str]:
        try:
            parts = urllib.parse.urlsplit(self.base_url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise GatewayError(f"base_url {self.base_url!r} is not a URL.") from None
        if parts.scheme not in ("http", "https") or not host:
            raise GatewayError(
                "This LLMClient does not know which gateway to talk to. Run the script with `atp-gateway run`, "
                "or pass the gateway's address, like base_url='https://gateway.example.com'."
            )
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(host, port, timeout=timeout), parts.path


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise GatewayError("The gateway's answer is not JSON. Is base_url the address of a gateway?") from None


def _refusal(status: int, raw: bytes) -> GatewayError:
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        answer = None
    said = answer if isinstance(answer, dict) else {}
    error = GatewayError(
        str(said.get("message") or f"HTTP status {status} came back. Is base_url the address of a gateway?")
    )
    error.code = str(said.get("code") or error.code)
    return error
