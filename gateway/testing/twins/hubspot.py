"""HubSpot: scopes as an array, errors with a `status` beside or instead of `error`, no revoking of access tokens.

- Token answers hold `hub_id`, `user_id`, `scopes`, `token_use`; a refresh repeats the refresh token.
- Introspection answers 200 with `active: false` for what it does not know, and names the account for what it does.
- Scopes in `optional_scope` are dropped without a word when the account lacks them (`behaviour.denied_scopes`).
- Being asked too often is 429 without an `error`.

Sources: developers.hubspot.com, "Manage OAuth tokens" (2026-03) and the published OpenAPI of its OAuth API.
The API is `gateway.testing.crm`. Below: `twin`.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.behaviour import Behaviour
from gateway.testing.crm import Crm
from gateway.testing.grants import AccessToken, Grant, Issued, RefusalError
from gateway.testing.manners import Manners, Paths
from gateway.testing.twins.description import moved, shipped
from gateway.testing.twins.people import number_of
from gateway.testing.twins.twin import Vendor

HUB_ID = 62515
APP_ID = 1160452

_PATHS = Paths(
    authorize="/oauth/authorize",
    token="/oauth/2026-03/token",  # noqa: S106 - a path
    userinfo=None,
    revoke="/oauth/2026-03/token/revoke",
    introspect="/oauth/2026-03/token/introspect",
    jwks=None,
    metadata=(),
)
_STATUS = {"invalid_client": "BAD_CLIENT_ID", "invalid_request": "BAD_REQUEST", "invalid_scope": "BAD_SCOPE"}
_BAD_CODE = {"unknown_code", "used_code", "expired_code", "redirect_uri", "verifier"}


def _behaviour() -> Behaviour:
    return Behaviour(
        access_lifetime=timedelta(minutes=30),
        repeats_refresh_token=True,
        needs_pkce=False,
        auth_methods=("client_secret_post",),
    )


def _token_answer(server: AuthorizationServer, issued: Issued, _url: str) -> dict[str, Any]:
    return {
        "token_type": "bearer",
        "access_token": issued.access_token,
        "refresh_token": issued.refresh_token,
        "expires_in": int(server.behaviour.access_lifetime.total_seconds()),
        "token_use": "access_token",
        **_account(issued.grant),
        "scopes": sorted(issued.scopes),
    }


def _account(grant: Grant) -> dict[str, Any]:
    return {"hub_id": HUB_ID, "user_id": number_of(grant.person)}


def _refused(refusal: RefusalError) -> Response:
    status = _STATUS.get(refusal.error, "BAD_AUTH_CODE" if refusal.reason in _BAD_CODE else "BAD_REFRESH_TOKEN")
    said = {"error": refusal.error, "error_description": refusal.description}
    return JSONResponse({"status": status, "message": refusal.description, "correlationId": _uuid(), **said}, 400)


def _introspection(server: AuthorizationServer, value: str) -> Response:
    access, refresh = server.grants.find_access(value), server.grants.find_live_refresh(value)
    if access is not None and server.grants.is_live(access):
        return JSONResponse(_about_access(server, value, access))
    if refresh is not None:
        return JSONResponse(_about(value, refresh.grant, refresh.grant.scopes, "refresh_token"))
    return JSONResponse({"active": False})


def _about(value: str, grant: Grant, scopes: frozenset[str], use: str) -> dict[str, Any]:
    return {
        "active": True,
        "token": value,
        "token_type": "bearer",
        "token_use": use,
        "app_id": APP_ID,
        "client_id": grant.client_id,
        **_account(grant),
        "hub_domain": "twin.hubspot.example",
        "user": grant.person.email,
        "scopes": sorted(scopes),
    }


def _about_access(server: AuthorizationServer, value: str, token: AccessToken) -> dict[str, Any]:
    left = token.expires_at - server.clock.now()
    signed = {
        "appId": APP_ID,
        "appInstallId": "twin",
        "audience": "api.hubapi.com",
        "expiresAt": int(token.expires_at.timestamp() * 1000),
        "hubId": HUB_ID,
        "hublet": "na1",
        "installingUserId": number_of(token.grant.person),
        "isPrivateDistribution": False,
        "isServiceAccount": False,
        "isUserLevel": False,
        "newSignature": "twin",
        "scopeToScopeGroupPks": "",
        "scopes": "",
        "signature": "twin",
        "trialScopeToScopeGroupPks": "",
        "trialScopes": "",
        "userId": number_of(token.grant.person),
    }
    more = {"expires_in": int(left.total_seconds()), "is_private_distribution": False, "signed_access_token": signed}
    return _about(value, token.grant, token.scopes, "access_token") | more


def _revoke(server: AuthorizationServer, client_id: str | None, value: str) -> Response:
    """Refresh tokens only: the access tokens live on for their half hour, and the app stays installed."""
    found = server.grants.find_live_refresh(value)
    if found is not None and found.grant.client_id == client_id:
        server.grants.revoke_refresh(found.grant)
    return Response(status_code=200)


def _rate_limited(_what: str) -> Response:
    body = {
        "status": "error",
        "message": "You have reached your ten_secondly_rolling limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": _uuid(),
        "policyName": "TEN_SECONDLY_ROLLING",
    }
    return JSONResponse(body, 429, headers={"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"})


def _serve_api(server: AuthorizationServer) -> None:
    Crm(server, server.clock)


def _uuid() -> str:
    return str(uuid.uuid4())


VENDOR = Vendor(
    "hubspot",
    Manners(
        name="HubSpot",
        paths=_PATHS,
        behaviour=_behaviour,
        token_answer=_token_answer,
        refused=_refused,
        introspection=_introspection,
        revoke=_revoke,
        names_issuer=False,
        rate_limited=_rate_limited,
        serve_api=_serve_api,
    ),
    lambda origin: moved(shipped("hubspot"), origin),
    ("crm.objects.contacts.read", "crm.objects.companies.write"),
)
