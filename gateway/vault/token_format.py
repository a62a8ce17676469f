"""A TokenSet as bytes and back: what the vault seals. Compact JSON, RFC 3339 times.

Only `gateway.vault.vault` uses it: these bytes are tokens in clear, and go nowhere else.
"""

from __future__ import annotations

import json
from datetime import datetime

from gateway.errors import VaultError
from gateway.secret import Secret
from gateway.types import TokenSet


def pack_tokens(tokens: TokenSet) -> bytes:
    packed = {
        "access_token": tokens.access_token.reveal(),
        "refresh_token": _revealed(tokens.refresh_token),
        "expires_at": tokens.expires_at.isoformat() if tokens.expires_at is not None else None,
        "scopes": sorted(tokens.scopes),
        "extras": dict(tokens.extras),
        "previous_refresh_token": _revealed(tokens.previous_refresh_token),
        "replaced_at": tokens.replaced_at.isoformat() if tokens.replaced_at is not None else None,
    }
    return json.dumps(packed, separators=(",", ":")).encode()


def unpack_tokens(packed: bytes) -> TokenSet:
    """The tokens. VaultError for what `pack_tokens` did not make."""
    try:
        found = json.loads(packed)
        return TokenSet(
            access_token=Secret(found["access_token"]),
            refresh_token=_secret(found["refresh_token"]),
            expires_at=datetime.fromisoformat(found["expires_at"]) if found["expires_at"] else None,
            scopes=frozenset(found["scopes"]),
            extras=found["extras"],
            previous_refresh_token=_secret(found.get("previous_refresh_token")),
            replaced_at=datetime.fromisoformat(found["replaced_at"]) if found.get("replaced_at") else None,
        )
    except (ValueError, KeyError, TypeError):
        raise VaultError("Sealed tokens have a form that this version does not know. Connect again.") from None


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)
