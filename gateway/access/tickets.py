"""What a browser keeps for us between two steps of a sign-in: short, dated, signed, and good for one purpose.

Nobody else can make one. Whoever holds one can read it, so no secret is in it. Above: company_login, second_step.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta

from gateway.clock import Clock

LONGEST = 3_500  # characters; a cookie has room for 4096 bytes
_CODE = 43


class Tickets:
    """`key` signs them; the same in every process that serves one public URL."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def write(self, purpose: str, says: Mapping[str, str], life: timedelta) -> str:
        until = str(int((self._clock.now() + life).timestamp()))
        body = urlsafe_b64encode(json.dumps([until, dict(says)]).encode()).rstrip(b"=").decode()
        return f"{body}.{self.code(purpose, body)}"

    def read(self, purpose: str, ticket: str | None) -> Mapping[str, str] | None:
        """What it says; None where it is none of ours, for another purpose, or too old."""
        body, _, code = (ticket or "").rpartition(".")
        if len(body) > LONGEST or not hmac.compare_digest(code.encode(), self.code(purpose, body).encode()):
            return None
        until, says = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        found: Mapping[str, str] = says
        return found if self._clock.now().timestamp() < int(until) else None

    def code(self, purpose: str, text: str) -> str:
        """43 characters that only we can work out from the text."""
        message = len(purpose).to_bytes(2) + purpose.encode() + text.encode("utf-8", "surrogatepass")
        return urlsafe_b64encode(hmac.new(self._key, message, hashlib.sha256).digest()).decode()[:_CODE]
