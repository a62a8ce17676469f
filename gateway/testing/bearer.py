"""The door of an API beside a fake authorization server: whose token it is, and what is wrong with it.

The vendors differ in how they say it; that is for each API. Every request is written into the server's log as `api`.
Below: `authorization_server`. Above: `crm`, the twins' APIs. Source: RFC 6750.
"""

from __future__ import annotations

from enum import StrEnum

from starlette.requests import Request

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.grants import AccessToken


class Problem(StrEnum):
    """Why a request is turned away."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SCOPE = "insufficient_scope"


def admit(server: AuthorizationServer, request: Request, *any_of: str) -> AccessToken | Problem:
    """The request's token, if it is alive and has one of these scopes; without any, its scopes do not matter."""
    token = server.find_bearer(request)
    problem = _problem(server, request, token, frozenset(any_of))
    grant = token.grant if token else None
    person, client_id = (grant.person, grant.client_id) if grant else (None, None)
    server.note(request, client_id, person, problem.value if problem else "ok")
    if problem or token is None:
        return problem or Problem.UNKNOWN
    server.grants.touch(token)
    return token


def _problem(
    server: AuthorizationServer, request: Request, token: AccessToken | None, any_of: frozenset[str]
) -> Problem | None:
    if token is None:
        return Problem.UNKNOWN if request.headers.get("authorization") else Problem.MISSING
    if token.grant.revoked or token.revoked:
        return Problem.REVOKED
    if not server.grants.is_live(token):
        return Problem.EXPIRED
    return Problem.SCOPE if any_of and not any_of & token.scopes else None
