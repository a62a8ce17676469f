"""All pages of signing in together. Through which doors one reaches them stands in `web_pages`."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.routing import Route

from gateway.access.sign_in import SignIn
from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.browser.form_guard import FormGuard
from gateway.surfaces.browser.pages import Pages
from gateway.surfaces.web.invitation import InvitationPages
from gateway.surfaces.web.sign_in import Entrance, SignInPages


def sign_in_routes(sign_in: SignIn, base_url: str, form_key: bytes) -> list[Route]:
    """`base_url` is where browsers reach us. `form_key` signs form tokens."""
    secure = base_url.startswith("https:")
    cookies = Cookies(secure=secure)
    entrance = Entrance(sign_in, Pages(__package__, secure=secure), cookies, FormGuard(cookies, form_key))
    host = urlsplit(base_url).netloc
    invitations = InvitationPages(entrance, sign_in.local, host).routes() if sign_in.local else []
    return [*SignInPages(entrance, host).routes(), *invitations]
