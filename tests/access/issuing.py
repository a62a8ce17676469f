"""An issuer of tokens for the tests of who may come in: its keys, its documents, and tokens with anything wrong."""

from __future__ import annotations

import hashlib
import hmac
import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

ISSUER = "https://login.example.com/realms/acme"
RESOURCE = "https://gateway.example.com/mcp"
JWKS = "https://login.example.com/keys"
WELL_KNOWN = "https://login.example.com/.well-known/oauth-authorization-server/realms/acme"


@cache
def key(kind: str, kid: str) -> Key:
    """A key pair. Made once: RSA takes its time."""
    match kind:
        case "RSA":
            return RSAKey.generate_key(2048, {"kid": kid})
        case "small RSA":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return RSAKey.generate_key(1024, {"kid": kid})
        case "EC":
            return ECKey.generate_key("P-256", {"kid": kid})
    return OKPKey.generate_key("Ed25519", {"kid": kid})


def encoded(part: Mapping[str, Any] | bytes) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


@dataclass
class Login:
    """What the issuer publishes, and what it was asked. `is_down`: it answers nothing."""

    now: datetime
    keys: list[Key] = field(default_factory=lambda: [key("RSA", "one")])
    asked: list[str] = field(default_factory=list)
    is_down: bool = False
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "issuer": ISSUER,
            "jwks_uri": JWKS,
            "introspection_endpoint": "https://login.example.com/introspect",
        }
    )

    async def fetch(self, url: str) -> Mapping[str, Any] | None:
        self.asked.append(url)
        if self.is_down:
            return None
        return {WELL_KNOWN: self.metadata, JWKS: self.key_set()}.get(url)

    def key_set(self) -> dict[str, Any]:
        return {"keys": [each.as_dict(private=False) for each in self.keys]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good access token; a change to None leaves one out."""
        now = int(self.now.timestamp())
        good = {
            "iss": ISSUER,
            "sub": "4711",
            "aud": RESOURCE,
            "client_id": "inspector",
            "scope": "tools offline_access",
            "groups": ["sales", "emea"],
            "iat": now,
            "exp": now + 600,
            "jti": "1",
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(
        self,
        header: Mapping[str, Any] | bytes | None = None,
        claims: Mapping[str, Any] | None = None,
        *,
        by: Key | None = None,
    ) -> str:
        """A token signed by the issuer's first key, or `by` another; a change to None leaves a part of it out.

        A header in bytes stands there as it is. Whatever it says, the signature is the one that the key makes.
        """
        signer = by or self.keys[0]
        alg = {"RSA": "RS256", "EC": "ES256"}.get(signer.key_type, "Ed25519")
        if not isinstance(header, bytes):
            head = {"typ": "at+jwt", "alg": alg, "kid": signer.kid, **(header or {})}
            header = json.dumps({name: value for name, value in head.items() if value is not None}).encode()
        text = f"{encoded(header)}.{encoded(self.claims(**(claims or {})))}"
        return f"{text}.{encoded(jws.JWSRegistry.algorithms[alg].sign(text.encode(), signer))}"

    def unsigned(self, header: Mapping[str, Any], signature: bytes = b"") -> str:
        """A token with this header, whatever it says, and this for a signature."""
        return f"{encoded(header)}.{encoded(self.claims())}.{encoded(signature)}"

    def signed_by_hand(self, header: Mapping[str, Any], secret: bytes) -> str:
        """A token with an HMAC, as an attacker would make who has only the public key."""
        text = f"{encoded(header)}.{encoded(self.claims())}"
        return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"
