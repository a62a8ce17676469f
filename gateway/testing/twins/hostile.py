"""A provider that goes wrong in every way there is, as its script says; without one it is a plain OAuth 2 server.

Its behaviour is strict: refresh tokens rotate, and one that comes back ends the family. Change `server.behaviour` for a
reuse window, other lifetimes, or a skewed clock; order faults by `script`. Its API is one path, `/api/me`, which tells
whose token it was, and takes POST for a call with a side effect.

Below: `twin`. Above: tests.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.bearer import Problem, admit
from gateway.testing.behaviour import Behaviour
from gateway.testing.manners import Manners
from gateway.testing.twins.twin import Vendor

_STATUS = {Problem.SCOPE: (403, "insufficient_scope")}


def _behaviour() -> Behaviour:
    return Behaviour(access_lifetime=timedelta(hours=1), rotates=True)


def _serve_api(server: AuthorizationServer) -> None:
    async def me(request: Request) -> Response:
        token = admit(server, request)
        if isinstance(token, Problem):
            status, error = _STATUS.get(token, (401, "invalid_token"))
            return JSONResponse({"error": error}, status, headers={"WWW-Authenticate": f'Bearer error="{error}"'})
        return JSONResponse({"name": token.grant.person.name, "generation": token.generation})

    server.serve_also([Route("/api/me", me, methods=["GET", "POST"])])


def _describe(origin: str) -> dict[str, Any]:
    return {
        "name": "Hostile",
        "authorization_url": f"{origin}/authorize",
        "token_url": f"{origin}/token",
        "userinfo_url": f"{origin}/userinfo",
        "jwks_url": f"{origin}/jwks",
        "issuer": origin,
        "iss_parameter": True,
        "needs_client_secret": True,
        "expires_in_default": 3600,
        "refresh": {"rotates": "yes"},
        "introspection": {"url": f"{origin}/introspect"},
        "revocation": {"url": f"{origin}/revoke"},
        "identity": {"source": "userinfo", "account_id": ["sub"], "label": ["email"]},
        "api": {"base_url": f"{origin}/api", "hosts": ["127.0.0.1"]},
    }


VENDOR = Vendor(
    "hostile", Manners(name="Hostile", behaviour=_behaviour, serve_api=_serve_api), _describe, ("contacts",)
)
