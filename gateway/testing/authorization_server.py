"""A small but honest OAuth 2.1 and OpenID Connect authorization server, with faults to order.

    server = AuthorizationServer(RegisteredClient("gateway", "a secret", ("http://127.0.0.1:8000/oauth/callback/x",)))
    async with serving(server) as issuer:
        …
        assert server.count("refresh") == 1

It is an ASGI app; its issuer is the URL it is reached at. It refuses what a good server refuses, remembers what it was
asked in `log`, and misbehaves as `behaviour` and `fail_next` say. Its people sign in by typing their name, so it is for
tests and demonstrations only.

Sources: OAuth 2.1; RFC 7009 (revoke), 7636 (PKCE), 7662 (introspect), 8414 (metadata), 9207 (`iss`); OpenID Connect
Core and Discovery. Below: `grants` (codes and tokens), `sign_in` (the pages). Above: `serving`, or any ASGI transport.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

import anyio
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.clock import Clock, SystemClock
from gateway.testing.behaviour import Behaviour
from gateway.testing.gate import Gate
from gateway.testing.grants import AccessToken, Grant, Grants, Issued, Person, RefusalError, RegisteredClient
from gateway.testing.sign_in import Asked, SignIn, issuer_of, read_once

PEOPLE = (Person("alice", "Alice Archer"), Person("bob", "Bob Baker"), Person("carol", "Carol Chen"))

_NO_STORE = {"Cache-Control": "no-store"}
_METADATA_PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")

Endpoint = Callable[[Request], Awaitable[Response]]


class AuthorizationServer:
    """One server with its people and clients. `register` and `behaviour` may change it while it runs."""

    def __init__(
        self, *clients: RegisteredClient, people: Iterable[Person] = PEOPLE, clock: Clock | None = None
    ) -> None:
        self.people = {person.name: person for person in people}
        self.clients = {client.id: client for client in clients}
        self.behaviour = Behaviour()
        self.log: list[Asked] = []
        self.gate = Gate()
        self._clock = clock or SystemClock()
        self.grants = Grants(self.behaviour, self._clock)
        self._faults: defaultdict[str, deque[Response]] = defaultdict(deque)
        self._key = ECKey.generate_key("P-256", {"kid": "signing", "use": "sig", "alg": "ES256"})
        self._app = Starlette(routes=self._routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def register(self, client: RegisteredClient) -> None:
        """Add a client, or change the one of that id."""
        self.clients[client.id] = client

    def issue(self, name: str, scopes: Iterable[str] = (), *, client_id: str = "test") -> Issued:
        """Tokens of a person without any ceremony, for tests whose subject is something else."""
        return self.grants.issue(Grant(client_id, self.people[name], frozenset(scopes)))

    def count(self, what: str, outcome: str | None = "ok") -> int:
        """How often something was asked: `authorize`, `consent`, `code`, `refresh`, `userinfo`, `introspect`, `revoke`.

        `outcome` is `ok`, an OAuth error code, or the status of an ordered fault; None counts all.
        """
        return sum(asked.what == what and outcome in (None, asked.outcome) for asked in self.log)

    def fail_next(
        self,
        *,
        status: int = 503,
        body: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        endpoint: str = "token",
    ) -> None:
        """Answer the next requests with this instead: JSON for a mapping, text as it is for a string.

        `endpoint` is `token`, `userinfo`, `introspect`, `revoke`, `jwks` or `metadata`.
        """
        for _ in range(times):
            answer: Response = (
                Response(body, status, media_type="text/html")
                if isinstance(body, str)
                else JSONResponse(body or {"error": "temporarily_unavailable"}, status)
            )
            answer.headers.update(headers or {})
            self._faults[endpoint].append(answer)

    def _routes(self) -> list[Route]:
        pages = SignIn(self.grants, self.behaviour, self.clients, self.people, self.log)
        return [
            *(Route(path, self._faulty("metadata", self._metadata)) for path in _METADATA_PATHS),
            Route("/jwks", self._faulty("jwks", self._jwks)),
            *pages.routes(),
            Route("/token", self._faulty("token", self._token), methods=["POST"]),
            Route("/userinfo", self._faulty("userinfo", self._userinfo), methods=["GET", "POST"]),
            Route("/revoke", self._faulty("revoke", self._revoke), methods=["POST"]),
            Route("/introspect", self._faulty("introspect", self._introspect), methods=["POST"]),
        ]

    def _faulty(self, name: str, endpoint: Endpoint) -> Endpoint:
        """The endpoint, unless a fault was ordered for it; refusals become OAuth error answers."""

        async def answer(request: Request) -> Response:
            if name == "token":
                await self.gate.pass_through()
                await anyio.sleep(self.behaviour.delay)
            if self._faults[name]:
                fault = self._faults[name].popleft()
                self._note(await _asked_of(name, request), None, None, str(fault.status_code))
                return fault
            try:
                return await endpoint(request)
            except RefusalError as refusal:
                self._note(await _asked_of(name, request), None, None, refusal.error)
                return _refused(refusal)

        return answer

    async def _metadata(self, request: Request) -> Response:
        issuer = issuer_of(request)
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "revocation_endpoint": f"{issuer}/revoke",
                "introspection_endpoint": f"{issuer}/introspect",
                "jwks_uri": f"{issuer}/jwks",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": list(self.behaviour.auth_methods),
                "id_token_signing_alg_values_supported": ["ES256"],
                "subject_types_supported": ["public"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _jwks(self, request: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})

    async def _token(self, request: Request) -> Response:
        form = read_once(await request.form())
        client = self._authenticate(request, form)
        match form.get("grant_type"):
            case "authorization_code":
                code, redirect_uri, verifier = (form.get(n, "") for n in ("code", "redirect_uri", "code_verifier"))
                issued = self.grants.redeem(client.id, code, redirect_uri, verifier)
            case "refresh_token":
                wanted = frozenset(form.get("scope", "").split())
                issued = self.grants.refresh(client.id, form.get("refresh_token", ""), wanted)
            case other:
                raise RefusalError("unsupported_grant_type", f"{other!r} is not a grant type of this server.")
        self._note(await _asked_of("token", request), client.id, issued.grant.person, "ok")
        return JSONResponse(self._answer(issued, issuer_of(request)), headers=_NO_STORE)

    def _answer(self, issued: Issued, issuer: str) -> dict[str, Any]:
        """The body of a good token answer: RFC 6749 section 5.1."""
        answer: dict[str, Any] = {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "scope": " ".join(sorted(issued.scopes)),
        }
        if self.behaviour.names_lifetime:
            answer["expires_in"] = int(self.behaviour.access_lifetime.total_seconds())
        if issued.refresh_token is not None:
            answer["refresh_token"] = issued.refresh_token
        if "openid" in issued.scopes:
            answer["id_token"] = self._id_token(issued, issuer)
        return answer | dict(self.behaviour.token_extras)

    def _id_token(self, issued: Issued, issuer: str) -> str:
        now = int(self._clock.now().timestamp())
        claims = _about(issued.grant.person) | {
            "iss": issuer,
            "aud": issued.grant.client_id,
            "iat": now,
            "exp": now + 600,
        }
        if issued.nonce is not None:
            claims["nonce"] = issued.nonce
        return jwt.encode({"alg": "ES256", "kid": "signing"}, claims, self._key, algorithms=["ES256"])

    async def _userinfo(self, request: Request) -> Response:
        token = self.find_bearer(request)
        if token is None or not self.grants.is_live(token):
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return JSONResponse({"error": "invalid_token"}, 401, headers=challenge)
        self._note("userinfo", token.grant.client_id, token.grant.person, "ok")
        return JSONResponse(_about(token.grant.person))

    async def _revoke(self, request: Request) -> Response:
        """RFC 7009: an unknown token is as good as revoked. One token takes its whole grant with it."""
        form = read_once(await request.form())
        client = self._authenticate(request, form)
        grant = self.grants.find_grant(form.get("token", ""))
        if grant is not None and grant.client_id == client.id:
            grant.revoked = True
        self._note("revoke", client.id, grant.person if grant else None, "ok")
        return Response(status_code=200)

    async def _introspect(self, request: Request) -> Response:
        form = read_once(await request.form())
        client = self._authenticate(request, form)
        self._note("introspect", client.id, None, "ok")
        token = self.grants.find_access(form.get("token", ""))
        if token is not None and self.grants.is_live(token):
            times = {"iat": int(token.issued_at.timestamp()), "exp": int(token.expires_at.timestamp())}
            return JSONResponse(_introspected(token.grant.client_id, token.grant.person, token.scopes) | times)
        refresh = self.grants.find_live_refresh(form.get("token", ""))
        if refresh is not None:
            return JSONResponse(_introspected(refresh.grant.client_id, refresh.grant.person, refresh.grant.scopes))
        return JSONResponse({"active": False})

    def find_bearer(self, request: Request) -> AccessToken | None:
        """The access token of a request to a resource server beside us; None when it is missing or not ours."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        return self.grants.find_access(value.strip()) if scheme.lower() == "bearer" else None

    def _authenticate(self, request: Request, form: Mapping[str, str]) -> RegisteredClient:
        """The client that asks: RFC 6749 section 2.3.1. It proves itself in one way, not two."""
        basic = _basic_credentials(request)
        if basic and "client_secret" in form:
            raise RefusalError("invalid_request", "Send the client's secret once: in the header or in the body.")
        client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
        method = "client_secret_basic" if basic else "client_secret_post" if secret is not None else "none"
        client = self.clients.get(client_id)
        if client is None or method not in self.behaviour.auth_methods:
            raise RefusalError("invalid_client", "The client is unknown, or may not prove itself this way.")
        if not hmac.compare_digest((secret or "").encode(), (client.secret or "").encode()):
            raise RefusalError("invalid_client", "The client's secret is wrong.")
        return client

    def _note(self, what: str, client_id: str | None, person: Person | None, outcome: str) -> None:
        self.log.append(Asked(what, client_id, person.name if person else None, outcome))


async def _asked_of(endpoint: str, request: Request) -> str:
    """The word for the log: a token request is named for its grant."""
    if endpoint != "token":
        return endpoint
    grant_type = (await request.form()).get("grant_type")
    return {"authorization_code": "code", "refresh_token": "refresh"}.get(str(grant_type), "token")


def _basic_credentials(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise RefusalError("invalid_client", "The Basic header is malformed.") from None
    return unquote_plus(client_id), unquote_plus(secret)


def _refused(refusal: RefusalError) -> Response:
    body = {"error": refusal.error, "error_description": refusal.description}
    if refusal.error != "invalid_client":
        return JSONResponse(body, 400, headers=_NO_STORE)
    return JSONResponse(body, 401, headers={**_NO_STORE, "WWW-Authenticate": 'Basic realm="token"'})


def _about(person: Person) -> dict[str, Any]:
    """OpenID Connect's standard claims."""
    return {
        "sub": person.subject,
        "name": person.full_name,
        "preferred_username": person.name,
        "email": person.email,
        "email_verified": True,
    }


def _introspected(client_id: str, person: Person, scopes: frozenset[str]) -> dict[str, Any]:
    """RFC 7662 section 2.2."""
    return {
        "active": True,
        "client_id": client_id,
        "sub": person.subject,
        "username": person.name,
        "scope": " ".join(sorted(scopes)),
        "token_type": "Bearer",
    }
