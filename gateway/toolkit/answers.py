"""A gateway's address, and its answers to our own clients, in the one way in which all of them read it. Pure.

Where a gateway names the `code` of what went wrong, the error is of the kind that has this code here. Above:
`app_line`, `async_app_line`, and the toolkit's worker (`gateway.toolkit.afar`).
"""

from __future__ import annotations

import functools
import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.errors import GatewayError, GatewayTimeoutError, GatewayUnreachableError, UnexpectedAnswerError

PATH = "/api/v1/atp/llm-client/"
LONGEST_REFUSAL = 65536  # bytes of an error's body that are worth reading


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway is. `prefix` is the path under which a proxy has it."""

    host: str
    port: int | None
    secure: bool
    prefix: str

    @classmethod
    def of(cls, base_url: str) -> Address:
        """GatewayError where that is no URL of a gateway."""
        try:
            parts = urllib.parse.urlsplit(base_url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise GatewayError(f"base_url {base_url!r} is not a URL.") from None
        if parts.scheme not in ("http", "https") or not host:
            raise GatewayError(
                "This LLMClient does not know which gateway to talk to. Run the script with `atp-gateway run`, "
                "or pass the gateway's address, like base_url='https://gateway.example.com'."
            )
        return cls(host, port, parts.scheme == "https", parts.path)

    def path(self, path: str) -> str:
        return self.prefix + PATH + path


def decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise UnexpectedAnswerError("The gateway's answer is not JSON. Is base_url the address of a gateway?") from None


def event_in(line: bytes) -> Any:
    """The JSON in a line of server-sent events; None for every other line."""
    return decoded(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else None


def refusal(status: int, raw: bytes) -> GatewayError:
    """The error that an answer with this status and body is."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not answer.get("message"):
        return UnexpectedAnswerError(f"HTTP status {status} came back. Is base_url the address of a gateway?")
    code = str(answer.get("code") or GatewayError.code)
    error = _kinds().get(code, GatewayError)(str(answer["message"]))
    error.code = code
    return error


def out_of_time(base_url: str, seconds: float) -> GatewayTimeoutError:
    return GatewayTimeoutError(f"The gateway at {base_url} did not answer within {seconds:g} s.")


def unreachable(base_url: str, error: Exception) -> GatewayUnreachableError:
    return GatewayUnreachableError(
        f"The gateway at {base_url} cannot be reached ({type(error).__name__}). Is it running?"
    )


@functools.cache
def _kinds() -> dict[str, type[GatewayError]]:
    """The kinds of errors by code: those that are made of a sentence alone."""
    return {kind.code: kind for kind in _below(GatewayError) if kind.__init__ is GatewayError.__init__}


def _below(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)
