"""Ids of handshake sessions that carry, sealed, what the host said when it shook hands.

A host of those revisions opens a session and expects it to last: many do not recover from "session not found". So a
gateway that does not know a session, having been started anew, or being another one of the same database, opens it
again from its id: for the person and the client that it was opened by, and for nobody else. What was under way in it is
not in the id, and is lost with its process.

Above: sessions. Source: MCP 2025-11-25, Transports, "Session Management".
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from gateway.types import Principal

GOOD_FOR = 7 * 86_400.0  # seconds
LONGEST = 2_048  # characters: what is longer is no header that every proxy passes on
_LARGEST = 64 << 10  # bytes that an id may unpack to


class SessionIds:
    """`keys` as of `Vault.derive`, for this purpose alone; without any, ids carry nothing. `clock` is `time.time`."""

    def __init__(self, keys: Sequence[bytes] = (), clock: Callable[[], float] = time.time) -> None:
        self._codec = AESGCMRequestStateCodec(keys) if keys else None
        self._clock = clock

    def make(self, said: Mapping[str, Any], principal: Principal, client: str) -> str:
        """A new id. `said` are the parameters of `initialize`; where they are too long, the id carries nothing."""
        if self._codec is None:
            return secrets.token_hex(16)
        kept = {"at": self._clock(), "whose": _whose(principal, client), "said": said}
        made = self._codec.seal(zlib.compress(json.dumps(kept, separators=(",", ":")).encode()))
        return made if len(made) <= LONGEST else secrets.token_hex(16)

    def read(self, session_id: str, principal: Principal, client: str) -> dict[str, Any] | None:
        """What the host of this person and client said; None if the id is not theirs, too old, or carries nothing."""
        if self._codec is None or len(session_id) > LONGEST:
            return None
        try:
            packed = zlib.decompressobj()
            kept = json.loads(packed.decompress(self._codec.unseal(session_id), _LARGEST))
        except (InvalidRequestState, zlib.error, ValueError):
            return None
        is_theirs = kept["whose"] == _whose(principal, client)
        said: dict[str, Any] = kept["said"]
        return said if is_theirs and self._clock() - kept["at"] < GOOD_FOR else None


def _whose(principal: Principal, client: str) -> list[str]:
    return [principal.tenant, principal.issuer, principal.subject, client]
