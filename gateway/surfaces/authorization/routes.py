"""All of this surface together: its routes, and through which doors one reaches them."""

from __future__ import annotations

from starlette.routing import BaseRoute

from gateway.audit import AuditLog
from gateway.authorization.server import AuthorizationServer
from gateway.clock import Clock
from gateway.surfaces.authorization.authorize import AuthorizePage, Browser
from gateway.surfaces.authorization.endpoints import WELL_KNOWN, Endpoints
from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.browser.form_guard import FormGuard
from gateway.surfaces.browser.pages import Pages

PUBLIC_PATHS = ("/authorize",)
"""It asks by itself who sits at the browser, and sends who is nobody to sign in."""
OPEN_PATHS = ("/token", "/revoke", "/register", "/jwks.json", *WELL_KNOWN)


def authorization_routes(
    server: AuthorizationServer, browser: Browser, *, form_key: bytes, secure: bool, audit: AuditLog, clock: Clock
) -> list[BaseRoute]:
    """`form_key` signs form tokens. `secure`: the browser reaches us by https."""
    pages = Pages(__package__, secure=secure)
    guard = FormGuard(Cookies(secure=secure), form_key)
    page = AuthorizePage(server, browser, pages=pages, guard=guard, audit=audit, clock=clock)
    return [page.route(), *Endpoints(server).routes()]
