"""How one vendor's authorization server says what every such server says: its paths, its words, its habits.

The rules for codes and tokens are the same for all (`grants`, under a `Behaviour`); here is what differs in form. Each
field is a function or a value with the plain standard as its default, so a vendor's module holds only its quirks.

Below: `grants`. Above: `sign_in`, `authorization_server`, twins. Sources: RFC 6749, 7009, 7662; OpenID Connect Core.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.testing.behaviour import Behaviour
from gateway.testing.grants import AccessToken, AuthorizationRequest, Grant, Issued, Person, RefusalError

if TYPE_CHECKING:
    from gateway.testing.authorization_server import AuthorizationServer

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the endpoints are. None: there is none. They may hold `{parameters}`, as Microsoft's tenant."""

    authorize: str = "/authorize"
    token: str = "/token"  # noqa: S105 - a path
    userinfo: str | None = "/userinfo"
    revoke: str | None = "/revoke"
    introspect: str | None = "/introspect"
    introspect_method: str = "POST"
    jwks: str | None = "/jwks"
    metadata: tuple[str, ...] = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


def token_answer(server: AuthorizationServer, issued: Issued, url: str) -> Body:
    """A good token answer: RFC 6749 section 5.1."""
    answer: Body = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "scope": " ".join(sorted(issued.scopes)),
    }
    if server.behaviour.names_lifetime:
        answer["expires_in"] = int(server.behaviour.access_lifetime.total_seconds())
    if issued.refresh_token is not None:
        answer["refresh_token"] = issued.refresh_token
    if "openid" in issued.scopes:
        answer["id_token"] = server.id_token(issued, url)
    return answer


def refused(refusal: RefusalError) -> Response:
    """RFC 6749 section 5.2: 401 for a client that could not prove itself, 400 for anything else."""
    unauthorized = refusal.error == "invalid_client"
    body = {"error": refusal.error, "error_description": refusal.description}
    challenge = {"WWW-Authenticate": 'Basic realm="token"'} if unauthorized else {}
    return JSONResponse(body, 401 if unauthorized else 400, headers={"Cache-Control": "no-store", **challenge})


def claims(person: Person) -> Body:
    """OpenID Connect's standard claims."""
    return {
        "sub": person.subject,
        "name": person.full_name,
        "preferred_username": person.name,
        "email": person.email,
        "email_verified": True,
    }


def userinfo(_server: AuthorizationServer, token: AccessToken | None, _url: str) -> Response:
    """Who the token's person is; None stands for a token that is unknown or dead."""
    if token is None:
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return JSONResponse({"error": "invalid_token"}, 401, headers=challenge)
    return JSONResponse(claims(token.grant.person))


def introspection(server: AuthorizationServer, value: str) -> Response:
    """RFC 7662 section 2.2, for access and refresh tokens."""
    token = server.grants.find_access(value)
    if token is not None and server.grants.is_live(token):
        skew = server.behaviour.skew
        times = {"iat": int((token.issued_at + skew).timestamp()), "exp": int((token.expires_at + skew).timestamp())}
        return JSONResponse(_introspected(token.grant, token.scopes) | times)
    refresh = server.grants.find_live_refresh(value)
    if refresh is not None:
        return JSONResponse(_introspected(refresh.grant, refresh.grant.scopes))
    return JSONResponse({"active": False})


def _introspected(grant: Grant, scopes: frozenset[str]) -> Body:
    return {
        "active": True,
        "client_id": grant.client_id,
        "sub": grant.person.subject,
        "username": grant.person.name,
        "scope": " ".join(sorted(scopes)),
        "token_type": "Bearer",
    }


def revoke(server: AuthorizationServer, client_id: str | None, value: str) -> Response:
    """RFC 7009: an unknown token is as good as revoked. One token takes its whole grant with it."""
    grant = server.grants.find_grant(value)
    if grant is not None and grant.client_id == client_id:
        grant.revoked = True
    return Response(status_code=200)


def rate_limited(_what: str) -> Response:
    """Too many requests, at the token endpoint or at the API."""
    return JSONResponse({"error": "slow_down"}, 429, headers={"Retry-After": "1"})


def grant(asked: AuthorizationRequest, person: Person, agreed: frozenset[str], _former: Sequence[Grant]) -> Grant:
    """The grant that a consent makes, given those that the person made before."""
    return Grant(asked.client.id, person, agreed)


def asks(_asked: AuthorizationRequest, _former: Sequence[Grant]) -> bool:
    """Whether the person is shown the consent page."""
    return True


def wanted(form: Mapping[str, str]) -> frozenset[str]:
    """The scopes that a refresh asks for; none means all of them."""
    return frozenset(form.get("scope", "").split())


def no_api(_server: AuthorizationServer) -> None:
    """An authorization server and nothing else."""


def anything_goes(form: Mapping[str, str]) -> None:
    """No token request is refused for its parameters."""


@dataclass(frozen=True, slots=True)
class Manners:
    """One vendor's. `behaviour` makes its policy; `serve_api` adds what else it serves.

    `names_issuer`: redirects carry `iss` (RFC 9207). `anonymous` are endpoints at which a client need not prove itself.
    """

    name: str = "Demo CRM"
    paths: Paths = field(default_factory=Paths)
    behaviour: Callable[[], Behaviour] = Behaviour
    token_answer: Callable[[AuthorizationServer, Issued, str], Body] = token_answer
    refused: Callable[[RefusalError], Response] = refused
    claims: Callable[[Person], Body] = claims
    userinfo: Callable[[AuthorizationServer, AccessToken | None, str], Response] = userinfo
    introspection: Callable[[AuthorizationServer, str], Response] = introspection
    revoke: Callable[[AuthorizationServer, str | None, str], Response] = revoke
    check_token_request: Callable[[Mapping[str, str]], None] = anything_goes
    wanted: Callable[[Mapping[str, str]], frozenset[str]] = wanted
    grant: Callable[[AuthorizationRequest, Person, frozenset[str], Sequence[Grant]], Grant] = grant
    asks: Callable[[AuthorizationRequest, Sequence[Grant]], bool] = asks
    issuer: Callable[[str], str] = str
    signs_with: str = "ES256"
    names_issuer: bool = True
    anonymous: frozenset[str] = frozenset()
    rate_limited: Callable[[str], Response] = rate_limited
    serve_api: Callable[[AuthorizationServer], None] = no_api


Endpoint = Callable[[Request], Awaitable[Response]]
