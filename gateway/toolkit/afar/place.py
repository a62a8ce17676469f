"""Where a worker's gateway is, and the key that it shows there.

The key travels in a header, never in a path: paths are logged, by us and by every proxy. Without TLS it is shown on
this machine only, unless the author says otherwise.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass

from gateway.errors import GatewayError, GatewayUnreachableError, KeyRefusedError
from gateway.secret import Secret
from gateway.toolkit.answers import LONGEST_REFUSAL, refusal


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway for the key's toolkit. `base_url` has no slash at its end.

    `at_once` is how many calls the worker takes at a time, which it says with every request: the published SDK says
    nothing, and takes one.
    """

    base_url: str
    key: Secret
    at_once: int

    @classmethod
    def of(cls, base_url: str, key: Secret, at_once: int, *, without_tls: bool) -> Place:
        """GatewayError where there is no such place, or the key must not be shown there."""
        try:
            parts = urllib.parse.urlsplit(base_url.strip())
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https") or parts.username is not None:
            raise GatewayError(
                f"base_url {base_url!r} is not the address of a gateway. Write it like https://gateway.example.com."
            )
        if not key:
            raise GatewayError(
                "A toolkit needs its key to serve a gateway: pass it as api_key. Make one with: "
                "atp-gateway keys create toolkit NAME"
            )
        if parts.scheme == "http" and not without_tls and not _is_this_machine(host):
            raise GatewayError(
                f"{host} would get the toolkit's key, and people's tokens would come back, without encryption. Use "
                "https, or say start(without_tls=True) if the network between is yours alone."
            )
        whole = urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        return cls(whole, key, at_once)

    @property
    def has_tls(self) -> bool:
        return self.base_url.startswith("https:")

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"ApiKey {self.key.reveal()}", "ATP-Concurrency": str(self.at_once)}

    def http(self, path: str) -> str:
        return self.base_url + path

    def socket(self, path: str) -> str:
        return "ws" + self.base_url.removeprefix("http") + path


def error_of(status: int, body: bytes) -> GatewayError:
    """What an answer that is no success means to a worker: a GatewayUnreachableError, which passes, or another.

    A 404 passes, too: a proxy says so while the gateway behind it is away.
    """
    error = refusal(status, body[:LONGEST_REFUSAL])
    if status in (401, 403):
        return KeyRefusedError(error.message)
    if status >= 500 or status in (404, 408, 429):
        return GatewayUnreachableError(error.message)
    return error


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
