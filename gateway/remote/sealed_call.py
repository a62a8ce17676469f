"""A call on its way from one gateway to another, and its end on the way back: as sealed bytes.

    call     1 | when, in ms since 1970 (8 bytes) | a message sealed to "call", who is addressed, and when
    end      a message sealed to "end", the call's SHA-256, and who is addressed
    mark     an empty message sealed to "taken", and to the same; or as many random bytes

The key belongs to the addressed gateway, for the life of its process. So what one was sent opens at no other and not
after a restart, and an end belongs to one call. A call opens for some seconds only. Inside is JSON.

Every refusal has a mark. It tells whoever sealed the call, and nobody else, whether the call was taken before: then
something on the way has brought it twice, and it may have run.

Not here: that a call is taken once (`holder`), and what its end means (`elsewhere`). Below: the vault's `message_seal`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.errors import (
    CallError,
    NotAllowedError,
    ToolError,
    ToolkitBusyError,
    ToolkitUnreachableError,
    UnknownOutcomeError,
)
from gateway.toolkit.replica import Replica
from gateway.toolkit.tool_request import ToolRequest
from gateway.types import Credential
from gateway.vault.message_seal import MessageSeal

Derive = Callable[[str], Sequence[bytes]]
"""Keys for a purpose: `Vault.derive`."""

PURPOSE = "calls to gateway "
MARK = "ATP-Mark"
"""The header with a refusal's mark."""
FRESH = timedelta(seconds=10)
"""How old a call may be when it is opened, or how far ahead: as far as two machines' clocks may be apart."""

_VERSION = b"\x01"
_HEAD_BYTES = 9
_MARK_BYTES = 28  # nonce and tag
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ERRORS: dict[str, type[CallError]] = {
    kind.code: kind
    for kind in (NotAllowedError, ToolError, ToolkitBusyError, ToolkitUnreachableError, UnknownOutcomeError)
}


@dataclass(frozen=True, slots=True)
class SentCall:
    """A call of a tool that another gateway is asked to make, within `seconds`.

    `waits`: also while no worker is there, as long as one may be about to come back.
    """

    tenant: str
    toolkit: str
    request: ToolRequest
    seconds: float
    waits: bool


@dataclass(frozen=True, slots=True)
class End:
    """What the tool returned, or how else its call ended."""

    value: Any = None
    error: CallError | None = None


class CallSeal:
    """Seals and opens calls to one gateway, and their ends."""

    def __init__(self, derive: Derive, addressed: Replica) -> None:
        self._seal = MessageSeal(derive(PURPOSE + addressed.id))
        self._addressed = addressed.id.encode()

    def seal_call(self, call: SentCall, now: datetime) -> bytes:
        head = _VERSION + ((now - _EPOCH) // timedelta(milliseconds=1)).to_bytes(8, "big")
        return head + self._seal.seal(_bytes(_plain(call)), self._of_call(head))

    def open_call(self, sealed: bytes, now: datetime) -> SentCall | None:
        """None for what is no call to this gateway, or was sealed too long ago to be made in time."""
        head = sealed[:_HEAD_BYTES]
        if len(head) < _HEAD_BYTES or head[:1] != _VERSION:
            return None
        opened = self._seal.open(sealed[_HEAD_BYTES:], self._of_call(head))
        call = None if opened is None else _call(opened)
        if call is None:
            return None
        age = (now - _EPOCH) / timedelta(seconds=1) - int.from_bytes(head[1:], "big") / 1000
        return call if -FRESH.total_seconds() < age < min(FRESH.total_seconds(), call.seconds) else None

    def seal_end(self, end: End, call: bytes) -> bytes:
        """`call` is the sealed one that has come to this end."""
        error = end.error
        said = {"value": end.value} if error is None else {"error": error.code, "message": str(error)}
        return self._seal.seal(_bytes(said), self._of_end(call))

    def open_end(self, sealed: bytes, call: bytes) -> End | None:
        """None for what is no end of this call."""
        opened = self._seal.open(sealed, self._of_end(call))
        said = None if opened is None else json.loads(opened)
        if not isinstance(said, dict):
            return None
        if "error" not in said:
            return End(said.get("value"))
        kind = _ERRORS.get(said["error"])
        return None if kind is None else End(error=kind(said["message"]))

    def seal_taken(self, call: bytes) -> str:
        """The mark for a sealed call that was here before."""
        return self._seal.seal(b"", self._of_end(call, b"taken ")).hex()

    def is_taken(self, mark: str, call: bytes) -> bool:
        """Whether a refusal's mark says that the sealed call was there before."""
        try:
            return self._seal.open(bytes.fromhex(mark), self._of_end(call, b"taken ")) is not None
        except ValueError:
            return False

    def _of_call(self, head: bytes) -> bytes:
        return b"call " + head + self._addressed

    def _of_end(self, call: bytes, word: bytes = b"end ") -> bytes:
        return word + hashlib.sha256(call).digest() + self._addressed


def meaningless_mark() -> str:
    """The mark of every other refusal."""
    return os.urandom(_MARK_BYTES).hex()


def _plain(call: SentCall) -> dict[str, Any]:
    request, credential = call.request, call.request.credential
    return {
        "id": request.id,
        "tenant": call.tenant,
        "toolkit": call.toolkit,
        "tool": request.tool,
        "arguments": dict(request.arguments),
        "credential": credential and _plain_credential(credential),
        "seconds": call.seconds,
        "waits": call.waits,
    }


def _plain_credential(credential: Credential) -> dict[str, Any]:
    return {
        "provider": credential.provider,
        "token": credential.token,
        "scopes": sorted(credential.scopes),
        "account": credential.account,
        "expires_at": credential.expires_at and credential.expires_at.isoformat(),
        "extras": dict(credential.extras),
        "connection_id": credential.connection_id,
        "version": credential.version,
    }


def _call(opened: bytes) -> SentCall | None:
    """What one of us has sealed. None where that is of another version, and cannot be read."""
    try:
        said = json.loads(opened)
        request = ToolRequest(said["tool"], said["arguments"], _credential(said["credential"]), said["id"])
        return SentCall(said["tenant"], said["toolkit"], request, said["seconds"], said["waits"])
    except (ValueError, KeyError, TypeError):
        return None


def _credential(said: dict[str, Any] | None) -> Credential | None:
    if said is None:
        return None
    until = said["expires_at"]
    return Credential(
        provider=said["provider"],
        token=said["token"],
        scopes=frozenset(said["scopes"]),
        account=said["account"],
        expires_at=until and datetime.fromisoformat(until),
        extras=said["extras"],
        connection_id=said["connection_id"],
        version=said["version"],
    )


def _bytes(said: dict[str, Any]) -> bytes:
    """As JSON. Half a surrogate pair in what a tool was given, or returned, goes through."""
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
