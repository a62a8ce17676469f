"""Google: a refresh token for the asking, boxes that people untick, scopes that come back under other names.

- A refresh token comes with `access_type=offline` only, and then with the first consent only unless `prompt=consent`;
  a refresh answers without one.
- People may untick scopes; `email` and `profile` come back as addresses; `include_granted_scopes` adds to what was
  granted before.
- Revoking any token ends the person's whole grant to the client. The 101st live refresh token ends the oldest.
- For an app in testing mode set `behaviour.refresh_life` to `TESTING_LIFE`.
- `iss` stands on redirects (RFC 9207); id_tokens are signed with RS256.

Sources: developers.google.com, "Using OAuth 2.0 for Web Server Applications", "OpenID Connect", "Granular permissions".
The API is `google_api`. Below: `twin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.behaviour import Behaviour
from gateway.testing.grants import AccessToken, AuthorizationRequest, Grant, Issued, Person, RefusalError
from gateway.testing.manners import Manners, Paths
from gateway.testing.twins import google_api
from gateway.testing.twins.description import moved, shipped
from gateway.testing.twins.people import names_of, number_of
from gateway.testing.twins.twin import Vendor

TESTING_LIFE = timedelta(days=7)

_PATHS = Paths(
    authorize="/o/oauth2/v2/auth",
    userinfo="/v1/userinfo",
    introspect="/tokeninfo",
    introspect_method="GET",
    jwks="/oauth2/v3/certs",
    metadata=("/.well-known/openid-configuration",),
)
_USERINFO = "https://www.googleapis.com/auth/userinfo."
_SPELT = {"email": f"{_USERINFO}email", "profile": f"{_USERINFO}profile"}
_WORDS = {
    "unknown_code": ("invalid_grant", "Malformed auth code."),
    "used_code": ("invalid_grant", "Bad Request"),
    "expired_code": ("invalid_grant", "Bad Request"),
    "verifier": ("invalid_grant", "Invalid code verifier."),
    "redirect_uri": ("redirect_uri_mismatch", "Bad Request"),
    "unknown_client": ("invalid_client", "The OAuth client was not found."),
    "wrong_secret": ("invalid_client", "The provided client secret is invalid."),
}


def _behaviour() -> Behaviour:
    return Behaviour(
        access_lifetime=timedelta(seconds=3599),
        refresh_idle=timedelta(days=180),
        most_grants=100,
        granular=True,
        needs_pkce=False,
        auth_methods=("client_secret_post", "client_secret_basic"),
    )


def _grant(asked: AuthorizationRequest, person: Person, agreed: frozenset[str], former: Sequence[Grant]) -> Grant:
    scopes = agreed
    if asked.params.get("include_granted_scopes") == "true":
        scopes = scopes.union(*(grant.scopes for grant in former))
    offline = asked.params.get("access_type") == "offline" and (not former or "consent" in asked.prompt)
    return Grant(asked.client.id, person, scopes, offline)


def _asks(asked: AuthorizationRequest, former: Sequence[Grant]) -> bool:
    return "consent" in asked.prompt or not any(asked.scopes <= grant.scopes for grant in former)


def _token_answer(server: AuthorizationServer, issued: Issued, url: str) -> dict[str, Any]:
    answer = {
        "access_token": issued.access_token,
        "expires_in": int(server.behaviour.access_lifetime.total_seconds()),
        "scope": _spelt(issued.scopes),
        "token_type": "Bearer",
    }
    if issued.refresh_token is not None:
        answer["refresh_token"] = issued.refresh_token
        if server.behaviour.refresh_life is not None:
            answer["refresh_token_expires_in"] = int(server.behaviour.refresh_life.total_seconds())
    if "openid" in issued.scopes:
        answer["id_token"] = server.id_token(issued, url)
    return answer


def _spelt(scopes: frozenset[str]) -> str:
    return " ".join(sorted(_SPELT.get(scope, scope) for scope in scopes))


def _refused(refusal: RefusalError) -> Response:
    dead = ("invalid_grant", "Token has been expired or revoked.")
    plain = dead if refusal.error == "invalid_grant" else (refusal.error, refusal.description)
    error, description = _WORDS.get(refusal.reason, plain)
    body = {"error": error, "error_description": description}
    return JSONResponse(body, 401 if error == "invalid_client" else 400, headers={"Cache-Control": "no-store"})


def _claims(person: Person) -> dict[str, Any]:
    first, last = names_of(person)
    return {
        "sub": f"1{number_of(person)}0000000000",
        "name": person.full_name,
        "given_name": first,
        "family_name": last,
        "picture": "https://lh3.googleusercontent.com/a/twin",
        "email": person.email,
        "email_verified": True,
    }


def _userinfo(_server: AuthorizationServer, token: AccessToken | None, _url: str) -> Response:
    if token is None:
        return JSONResponse({"error": "invalid_request", "error_description": "Invalid Credentials"}, 401)
    return JSONResponse(_claims(token.grant.person))


def _tokeninfo(server: AuthorizationServer, value: str) -> Response:
    """Numbers and truth values as text, as Google has them."""
    token = server.grants.find_access(value)
    if token is None or not server.grants.is_live(token):
        return JSONResponse({"error": "invalid_token", "error_description": "Invalid Value"}, 400)
    return JSONResponse(
        {
            "azp": token.grant.client_id,
            "aud": token.grant.client_id,
            "sub": _claims(token.grant.person)["sub"],
            "scope": _spelt(token.scopes),
            "exp": str(int(token.expires_at.timestamp())),
            "expires_in": str(int((token.expires_at - server.clock.now()).total_seconds())),
            "email": token.grant.person.email,
            "email_verified": "true",
            "access_type": "offline" if token.grant.offline else "online",
        }
    )


def _revoke(server: AuthorizationServer, _client_id: str | None, value: str) -> Response:
    grant = server.grants.find_grant(value)
    if grant is None or grant.revoked:
        return JSONResponse({"error": "invalid_token", "error_description": "Token expired or revoked"}, 400)
    for each in server.grants.of(grant.client_id, grant.person):
        each.revoked = True
    return JSONResponse({})


VENDOR = Vendor(
    "google",
    Manners(
        name="Google",
        paths=_PATHS,
        behaviour=_behaviour,
        token_answer=_token_answer,
        refused=_refused,
        claims=_claims,
        userinfo=_userinfo,
        introspection=_tokeninfo,
        revoke=_revoke,
        grant=_grant,
        asks=_asks,
        signs_with="RS256",
        anonymous=frozenset({"revoke", "introspect"}),
        rate_limited=google_api.rate_limited,
        serve_api=google_api.serve,
    ),
    lambda origin: moved(shipped("google"), origin),
    ("https://www.googleapis.com/auth/gmail.readonly", "https://www.googleapis.com/auth/calendar.events"),
)
