"""Where the gateway is said to be, and one way to ask it something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from gateway.errors import SettingsError
from gateway.providers.addresses import is_loopback

SECONDS = 10.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """`origin` is scheme, host and port as browsers write them."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Place:
        """The place that a URL is at; `gateway.example.com` and `https://gateway.example.com/mcp` will do too."""
        text = url if "://" in url else f"https://{url}"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in _PORTS:
            raise SettingsError(f"{url!r} is no address of a gateway. Write it as https://gateway.example.com.")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme])

    @property
    def origin(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{name}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def is_local(self) -> bool:
        return is_loopback(self.host)


async def ask(
    url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: Any = None
) -> httpx2.Response | None:
    """The answer, redirects not followed; None where there is none."""
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=SECONDS) as client:
            return await client.request(method, url, headers=dict(headers or {}), json=body)
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return None


def json_of(answer: httpx2.Response | None) -> dict[str, Any]:
    """The JSON object that a good answer holds; {} for anything else."""
    if answer is None or not answer.is_success:
        return {}
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
