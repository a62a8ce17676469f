"""The second factor: codes of six digits that change every half minute, from a secret that a phone keeps.

Pure. Above: local_accounts, the page that shows the secret. Source: RFC 6238, RFC 4226; Key Uri Format.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b32decode, b32encode
from datetime import datetime
from urllib.parse import quote

STEP = 30  # seconds
DIGITS = 6
_SECRET_BYTES = 20
_DRIFT = 1  # steps that the phone's clock may be off, either way


def new_totp_secret() -> str:
    """A fresh secret, in base32 as people type it."""
    return b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """The code of a time step."""
    digest = hmac.new(b32decode(secret), step.to_bytes(8), hashlib.sha1).digest()
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_at(now: datetime) -> int:
    return int(now.timestamp()) // STEP


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The step, around `now`, that this is the code of; None if it is a wrong one."""
    typed = "".join(code.split())
    found = None
    for step in range(step_at(now) - _DRIFT, step_at(now) + _DRIFT + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), typed.encode()):
            found = step
    return found


def otpauth_uri(secret: str, account: str, host: str) -> str:
    """What the QR code says to the app on the phone."""
    label = quote(f"{host}:{account}", safe="")
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(host, safe='')}&digits={DIGITS}&period={STEP}"
