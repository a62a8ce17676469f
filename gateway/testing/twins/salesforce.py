"""Salesforce: answers that name no lifetime, sessions that slide, a host of each customer's own.

- Token answers hold `instance_url`, `id`, `issued_at` in milliseconds as text, and `signature`; never `expires_in`.
- A session ends two hours after its last use. Only introspection tells when.
- A refresh token comes with the scope `refresh_token`; a refresh that names a `scope` is refused. Rotation is a setting
  of the app: `behaviour.rotates`, after which a token that comes back ends the chain.
- Five approvals for each person and app: the sixth silently ends the oldest.
- Revoking a refresh token ends its sessions; revoking a session leaves the refresh token.

Sources: help.salesforce.com, "OAuth 2.0 Web Server Flow", "Token introspection", "Revoke OAuth tokens".
The API is `salesforce_api`. Below: `twin`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.behaviour import Behaviour
from gateway.testing.grants import AccessToken, AuthorizationRequest, Grant, Issued, Person, RefusalError
from gateway.testing.manners import Manners, Paths
from gateway.testing.twins import salesforce_api
from gateway.testing.twins.description import moved, shipped
from gateway.testing.twins.salesforce_api import ORGANIZATION, identity, identity_url, user_id
from gateway.testing.twins.twin import Vendor

_START = "/services/oauth2"
_PATHS = Paths(
    authorize=f"{_START}/authorize",
    token=f"{_START}/token",
    userinfo=f"{_START}/userinfo",
    revoke=f"{_START}/revoke",
    introspect=f"{_START}/introspect",
    jwks="/id/keys",
    metadata=("/.well-known/openid-configuration",),
)
_WORDS = {
    "unknown_code": ("invalid_grant", "invalid authorization code"),
    "used_code": ("invalid_grant", "expired authorization code"),
    "expired_code": ("invalid_grant", "expired authorization code"),
    "verifier": ("invalid_grant", "invalid code verifier"),
    "redirect_uri": ("redirect_uri_mismatch", "redirect_uri must match configuration"),
    "unknown_client": ("invalid_client_id", "client identifier invalid"),
    "wrong_secret": ("invalid_client", "invalid client credentials"),
}


def _behaviour() -> Behaviour:
    return Behaviour(
        access_lifetime=timedelta(hours=2),
        slides=True,
        names_lifetime=False,
        most_grants=5,
        needs_pkce=False,
        auth_methods=("client_secret_post", "client_secret_basic"),
    )


def _grant(asked: AuthorizationRequest, person: Person, agreed: frozenset[str], _former: Sequence[Grant]) -> Grant:
    return Grant(asked.client.id, person, agreed, offline=bool(agreed & {"refresh_token", "offline_access"}))


def _check(form: Mapping[str, str]) -> None:
    if form.get("grant_type") == "refresh_token" and "scope" in form:
        raise RefusalError("invalid_request", "scope parameter not supported")


def _token_answer(server: AuthorizationServer, issued: Issued, url: str) -> dict[str, Any]:
    issued_at = str(int(issued.issued_at.timestamp() * 1000))
    id_url = identity_url(url, issued.grant.person)
    answer = {
        "access_token": issued.access_token,
        "signature": _signature(server, issued.grant.client_id, id_url + issued_at),
        "scope": " ".join(sorted(issued.scopes)),
        "instance_url": url,
        "id": id_url,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }
    if issued.refresh_token is not None:
        answer["refresh_token"] = issued.refresh_token
    if "openid" in issued.scopes:
        answer["id_token"] = server.id_token(issued, url)
    return answer


def _signature(server: AuthorizationServer, client_id: str, text: str) -> str:
    """HMAC-SHA256 over the identity URL and the time, with the client's secret: the client may check it."""
    client = server.clients.get(client_id)
    key = (client.secret if client else None) or ""
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), hashlib.sha256)).decode()


def _refused(refusal: RefusalError) -> Response:
    dead = ("invalid_grant", "expired access/refresh token")
    plain = dead if refusal.error == "invalid_grant" else (refusal.error, refusal.description)
    error, description = _WORDS.get(refusal.reason, plain)
    return JSONResponse({"error": error, "error_description": description}, 400, headers={"Cache-Control": "no-store"})


def _claims(person: Person) -> dict[str, Any]:
    return {
        "sub": f"https://login.salesforce.com/id/{ORGANIZATION}/{user_id(person)}",
        "user_id": user_id(person),
        "organization_id": ORGANIZATION,
        "preferred_username": f"{person.name}@twin.example",
        "nickname": person.name,
        "name": person.full_name,
        "email": person.email,
        "email_verified": True,
    }


def _userinfo(_server: AuthorizationServer, token: AccessToken | None, url: str) -> Response:
    if token is None:
        return PlainTextResponse("Bad_OAuth_Token", 403)
    return JSONResponse(_claims(token.grant.person) | {"urls": identity(url, token.grant.person)["urls"]})


def _introspection(server: AuthorizationServer, value: str) -> Response:
    access, refresh = server.grants.find_access(value), server.grants.find_live_refresh(value)
    if access is not None and server.grants.is_live(access):
        times = {"exp": access.expires_at, "iat": access.issued_at, "nbf": access.issued_at}
        found = _introspected(access.grant, access.scopes, "access_token")
        return JSONResponse(found | {name: int(at.timestamp()) for name, at in times.items()})
    if refresh is not None:
        return JSONResponse(_introspected(refresh.grant, refresh.grant.scopes, "refresh_token"))
    return JSONResponse({"active": False})


def _introspected(grant: Grant, scopes: frozenset[str], kind: str) -> dict[str, Any]:
    return {
        "active": True,
        "scope": " ".join(sorted(scopes)),
        "client_id": grant.client_id,
        "username": f"{grant.person.name}@twin.example",
        "sub": _claims(grant.person)["sub"],
        "token_type": kind,
    }


def _revoke(server: AuthorizationServer, _client_id: str | None, value: str) -> Response:
    access, refresh = server.grants.find_access(value), server.grants.find_live_refresh(value)
    if refresh is not None:
        refresh.grant.revoked = True
    elif access is not None and server.grants.is_live(access):
        access.revoked = True
    else:
        return JSONResponse({"error": "invalid_token", "error_description": "invalid token"}, 400)
    return Response(status_code=200)


VENDOR = Vendor(
    "salesforce",
    Manners(
        name="Salesforce",
        paths=_PATHS,
        behaviour=_behaviour,
        token_answer=_token_answer,
        refused=_refused,
        claims=_claims,
        userinfo=_userinfo,
        introspection=_introspection,
        revoke=_revoke,
        check_token_request=_check,
        grant=_grant,
        signs_with="RS256",
        names_issuer=False,
        anonymous=frozenset({"revoke"}),
        rate_limited=salesforce_api.rate_limited,
        serve_api=salesforce_api.serve,
    ),
    lambda origin: moved(shipped("salesforce"), origin),
)
