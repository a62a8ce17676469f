"""Cookies where the browser reaches us by https."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.surfaces.browser.cookies import Cookies


def test_with_https_the_browser_itself_enforces_the_cookie() -> None:
    cookies, response = Cookies(secure=True), Response()
    cookies.put(response, "connect-1", "value", 600)
    assert response.headers["set-cookie"] == (
        "__Host-atp-connect-1=value; HttpOnly; Max-Age=600; Path=/; SameSite=lax; Secure"
    )


def test_an_unprefixed_cookie_is_not_taken_for_a_prefixed_one() -> None:
    """Anything on a neighbouring host or by plain http can set the unprefixed name."""
    request = Request({"type": "http", "headers": [(b"cookie", b"atp-form=planted")]})
    assert Cookies(secure=True).find(request, "form") is None
    assert Cookies(secure=False).find(request, "form") == "planted"
