"""Microsoft: refresh tokens that rotate and never die of it, errors with AADSTS numbers, no way to revoke.

- Each refresh answers with a new refresh token; the old one stays valid for its 90 days.
- `scope` on a refresh picks the API; scopes of two APIs are refused, and so is a `resource` that is not theirs
  (AADSTS9010010).
- The answer names the scopes of Graph and not `offline_access`; `ext_expires_in` stands beside `expires_in`.
- The id_token's issuer is the person's own directory (`tid`), whatever tenant was in the address.

Sources: learn.microsoft.com, "Authorization code flow", "Refresh tokens", "Authentication and authorization error
codes". The API is `microsoft_api`. Below: `twin`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.behaviour import FOR_EVER, Behaviour
from gateway.testing.grants import AccessToken, AuthorizationRequest, Grant, Issued, Person, RefusalError
from gateway.testing.manners import Manners, Paths
from gateway.testing.twins import microsoft_api
from gateway.testing.twins.description import moved, shipped
from gateway.testing.twins.people import uuid_of
from gateway.testing.twins.twin import Vendor

TENANT = "72f988bf-0000-4000-8000-000000000062"
GRAPH = "https://graph.microsoft.com/"

_START = "/{tenant}/oauth2/v2.0"
_PATHS = Paths(
    authorize=f"{_START}/authorize",
    token=f"{_START}/token",
    userinfo="/oidc/userinfo",
    revoke=None,
    introspect=None,
    jwks="/{tenant}/discovery/v2.0/keys",
    metadata=("/{tenant}/v2.0/.well-known/openid-configuration",),
)
_OF_OPENID = frozenset({"openid", "email", "profile", "offline_access"})
_PERMISSIONS = ("User.Read", "Mail.Read", "Mail.ReadWrite", "Mail.Send", "Calendars.Read", "Calendars.ReadWrite")
_SPELT = {name.lower(): name for name in _PERMISSIONS}
_WORDS = {
    "unknown": (9002313, "Invalid request. Request is malformed or invalid."),
    "expired": (700082, "The refresh token has expired due to inactivity."),
    "revoked": (50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed."),
    "unknown_code": (9002313, "Invalid request. Request is malformed or invalid."),
    "used_code": (54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code."),
    "expired_code": (70008, "The provided authorization code or refresh token has expired due to inactivity."),
    "verifier": (501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request."),
    "redirect_uri": (50011, "The redirect URI specified in the request does not match."),
    "unknown_client": (700016, "Application with identifier was not found in the directory."),
    "wrong_secret": (7000215, "Invalid client secret provided."),
    "invalid_scope": (70011, "The provided value for the input parameter 'scope' is not valid."),
    "resource": (9010010, "The resource parameter provided in the request doesn't match with the requested scopes."),
    "two_resources": (28000, "Provided value for the input parameter scope contains more than one resource."),
}


def _behaviour() -> Behaviour:
    return Behaviour(
        access_lifetime=timedelta(seconds=3599),
        rotates=True,
        reuse_window=FOR_EVER,
        refresh_idle=timedelta(days=90),
        needs_pkce=False,
    )


def _plain(scopes: frozenset[str]) -> frozenset[str]:
    """As Microsoft spells them: a bare name means Graph, and capitals do not matter."""
    bare = (scope.removeprefix(GRAPH) for scope in scopes)
    return frozenset(_SPELT.get(scope.lower(), scope) for scope in bare)


def _grant(asked: AuthorizationRequest, person: Person, agreed: frozenset[str], _former: Sequence[Grant]) -> Grant:
    return Grant(asked.client.id, person, _plain(agreed), offline="offline_access" in agreed)


def _wanted(form: Mapping[str, str]) -> frozenset[str]:
    return _plain(frozenset(form.get("scope", "").split()))


def _resource_of(scope: str) -> str:
    return scope.rsplit("/", 1)[0] if scope.startswith("https://") else GRAPH.rstrip("/")


def _check(form: Mapping[str, str]) -> None:
    """One token is for one API."""
    resources = {_resource_of(scope) for scope in form.get("scope", "").split() if scope not in _OF_OPENID}
    if len(resources) > 1:
        raise RefusalError("invalid_request", "", "two_resources")
    if "resource" in form and resources and resources != {form["resource"].rstrip("/")}:
        raise RefusalError("invalid_target", "", "resource")


def _token_answer(server: AuthorizationServer, issued: Issued, url: str) -> dict[str, Any]:
    life = int(server.behaviour.access_lifetime.total_seconds())
    answer = {
        "token_type": "Bearer",
        "scope": " ".join(sorted(issued.scopes - {"offline_access"})),
        "expires_in": life,
        "ext_expires_in": life,
        "access_token": issued.access_token,
    }
    if issued.refresh_token is not None:
        answer["refresh_token"] = issued.refresh_token
    if "openid" in issued.grant.scopes:
        answer["id_token"] = server.id_token(issued, url)
    return answer


def _refused(refusal: RefusalError) -> Response:
    code, text = _WORDS.get(refusal.reason, (900144, refusal.description))
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    body: dict[str, Any] = {
        "error": refusal.error,
        "error_description": f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}",
        "error_codes": [code],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }
    if refusal.reason == "revoked":
        body["suberror"] = "bad_token"
    return JSONResponse(body, 401 if refusal.error == "invalid_client" else 400, headers={"Cache-Control": "no-store"})


def _claims(person: Person) -> dict[str, Any]:
    return {
        "sub": person.subject,
        "oid": uuid_of(person),
        "tid": TENANT,
        "name": person.full_name,
        "preferred_username": person.email,
        "email": person.email,
        "ver": "2.0",
    }


def _userinfo(_server: AuthorizationServer, token: AccessToken | None, _url: str) -> Response:
    if token is None:
        return microsoft_api.invalid_token("CompactToken validation failed with reason code: 80049228.")
    return JSONResponse({name: value for name, value in _claims(token.grant.person).items() if name in _OF_USERINFO})


_OF_USERINFO = {"sub", "name", "email"}


VENDOR = Vendor(
    "microsoft",
    Manners(
        name="Microsoft",
        paths=_PATHS,
        behaviour=_behaviour,
        token_answer=_token_answer,
        refused=_refused,
        claims=_claims,
        userinfo=_userinfo,
        check_token_request=_check,
        wanted=_wanted,
        grant=_grant,
        issuer=lambda url: f"{url}/{TENANT}/v2.0",
        signs_with="RS256",
        names_issuer=False,
        rate_limited=microsoft_api.rate_limited,
        serve_api=microsoft_api.serve,
    ),
    lambda origin: moved(shipped("microsoft"), origin),
    ("Mail.Read",),
)
