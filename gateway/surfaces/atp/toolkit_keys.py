"""Which toolkit a request or a socket is from: the key that it shows.

The published SDK puts the key into the path or the body. A client of ours puts it into a header, where no log of
anybody's proxy has it. Below: access. Above: the toolkit half's endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.access.keys import Keys
from gateway.errors import KeyRefusedError
from gateway.key_types import ApiKey, KeyKind
from gateway.surfaces.atp.requests import RefusalError
from gateway.wire import wire


class ToolkitKeys:
    """Finds keys of toolkits."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def find(self, text: str) -> ApiKey:
        """The key. RefusalError where it is nobody's, revoked, or not a toolkit's."""
        found = await self._keys.find(text, KeyKind.TOOLKIT)
        if isinstance(found, KeyRefusedError):
            raise RefusalError(wire(found).http, found.code, found.message)
        return found


def shown(headers: Mapping[str, str], otherwise: Any) -> str:
    """The key's text: that of the Authorization header, or what is found elsewhere."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "apikey":
        return text.strip()
    return otherwise if isinstance(otherwise, str) else ""
