"""Signs what is sent to a webhook, and checks it at the other end.

    event = gateway.verify_webhook(secret, request.headers, request.body)

Both halves are here, so that they cannot drift apart; the standard library is all they need. `sign` is for the gateway,
`verify_webhook` for an app.

Source: the Standard Webhooks specification, symmetric signatures: HMAC-SHA256 over `id.timestamp.body`, in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from gateway.errors import WebhookSignatureError
from gateway.secret import Secret

PREFIX = "whsec_"
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_KEY_BYTES = 32
_VERSION = "v1"


def new_secret() -> Secret:
    """A webhook's secret: `whsec_` and 32 random bytes in base64."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode())


def sign(secret: Secret, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers that go with the body. `timestamp` is in seconds since 1970."""
    signature = base64.b64encode(_mac(secret.reveal(), message_id, str(timestamp), body)).decode()
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: f"{_VERSION},{signature}"}


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes | str, *, tolerance: float = 300
) -> dict[str, Any]:
    """The event in a webhook's request, once its signature is found right. `body` is what arrived, byte for byte.

    WebhookSignatureError where it is not from the gateway, or was sent more than `tolerance` seconds ago (or ahead):
    answer 401 then. An event may come more than once: keep its `id` for as long as you want to notice.
    """
    body = body.encode() if isinstance(body, str) else body
    given = {name.lower(): value for name, value in headers.items()}
    if missing := [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]:
        raise WebhookSignatureError(f"The header {missing[0]} is missing: this is no webhook of the gateway.")
    if not given[TIMESTAMP].isdecimal() or not given[TIMESTAMP].isascii():
        raise WebhookSignatureError(f"The header {TIMESTAMP} is not a number of seconds.")
    wanted = _mac(secret, given[ID], given[TIMESTAMP], body)
    if not any(hmac.compare_digest(wanted, signature) for signature in _signatures(given[SIGNATURE])):
        raise WebhookSignatureError(
            "The signature is wrong. Check that the secret is this webhook's, and that the body is used as it arrived."
        )
    if abs(time.time() - int(given[TIMESTAMP])) > tolerance:
        raise WebhookSignatureError("The webhook was sent too long ago, or a clock is wrong.")
    event: dict[str, Any] = json.loads(body)
    return event


def _mac(secret: str, message_id: str, timestamp: str, body: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise WebhookSignatureError(f"That is no webhook secret: one begins with {PREFIX} and goes on in base64.")
    return hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), hashlib.sha256)


def _signatures(header: str) -> list[bytes]:
    """There may be several, with a space between, while a secret is exchanged."""
    found = []
    for part in header.split():
        version, _, text = part.partition(",")
        if version == _VERSION:
            try:
                found.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found
