"""Was this form sent from our own page, by the person it was made for?

Two independent checks. The browser's word: `Sec-Fetch-Site`, where it is sent, must be `same-origin` (the edge has
already refused a foreign `Origin`). And a signed double-submit token: a random value in a cookie, its HMAC over cookie
and person in the form; neither is any use without the other. The cookie also tells this browser from every other one.

Source: OWASP, Cross-Site Request Forgery Prevention, "Signed Double-Submit Cookie"; W3C Fetch Metadata.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.requests import Request
from starlette.responses import Response

from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.refusal import Refusal
from gateway.types import Principal

FIELD = "form_token"
FORM_EXPIRED = Refusal(
    403,
    "form_refused",
    "Please press the button once more",
    "The form came from another page or was open too long, so nothing was done. "
    "Go back, reload the page and try again.",
)
_COOKIE = "form"
_SECONDS = 12 * 3600


class FormGuard:
    """`key` signs the tokens; the same in every process that serves one public URL."""

    def __init__(self, cookies: Cookies, key: bytes) -> None:
        self._cookies = cookies
        self._key = key

    def token(self, request: Request, person: Principal, about: str = "") -> tuple[str, str]:
        """The cookie's value (kept if the browser has one already) and the field of a form for this person.

        `about` is what the form asks: the field is good for no other question.
        """
        cookie = self._cookies.find(request, _COOKIE) or secrets.token_urlsafe(32)
        return cookie, self._signed(person, cookie, about)

    def browser_token(self, request: Request) -> str | None:
        """What only this browser can show again; None before it was given a form."""
        cookie = self._cookies.find(request, _COOKIE)
        return hmac.new(self._key, f"browser {cookie}".encode(), hashlib.sha256).hexdigest() if cookie else None

    def remember(self, response: Response, cookie: str) -> None:
        """Send the cookie with the page that holds the form."""
        self._cookies.put(response, _COOKIE, cookie, _SECONDS)

    def is_ours(self, request: Request, person: Principal, field: object, about: str = "") -> bool:
        """Whether a submitted form is one that we gave to this person in this browser, about this."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        cookie = self._cookies.find(request, _COOKIE)
        if not cookie or not isinstance(field, str):
            return False
        return hmac.compare_digest(field.encode(), self._signed(person, cookie, about).encode())

    def _signed(self, person: Principal, cookie: str, about: str) -> str:
        parts = [cookie, person.tenant, person.issuer, person.subject, about]
        message = b"form " + b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
