"""What is kept of codes, tokens and client secrets: their SHA-256. They are random, so no slow hash is needed."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from gateway.secret import Secret

_BYTES = 32


def new_secret(prefix: str = "") -> Secret:
    """256 random bits, as text. The prefix tells a person, and a scanner for leaked secrets, what it is."""
    return Secret(prefix + secrets.token_urlsafe(_BYTES))


def digest_of(text: str) -> str:
    """To find a code or token by, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def secret_digest_of(text: str) -> bytes:
    """To compare a client's secret with."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def is_secret(text: str, digest: bytes) -> bool:
    return hmac.compare_digest(secret_digest_of(text), digest)
