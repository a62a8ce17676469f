"""A small but honest OAuth 2.1 and OpenID Connect authorization server, with faults to order.

    server = AuthorizationServer(RegisteredClient("gateway", "a secret", ("http://127.0.0.1:8000/oauth/callback/x",)))
    async with serving(server) as issuer:
        …
        assert server.count("refresh") == 1

It is an ASGI app; its issuer is the URL it is reached at. It refuses what a good server refuses, remembers what it was
asked in `log`, and misbehaves as `behaviour` and `script` say. With a vendor's `Manners` it speaks as that vendor does.
Its people sign in by typing their name, so it is for tests and demonstrations only.

Sources: OAuth 2.1; RFC 7009 (revoke), 7636 (PKCE), 7662 (introspect), 8414 (metadata), 9207 (`iss`); OpenID Connect
Core and Discovery. Below: `grants` (codes and tokens), `sign_in` (the pages), `manners`, `fault_layer`. Above:
`serving`, or any ASGI transport.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import anyio
from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, RSAKey
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from gateway.clock import Clock, SystemClock
from gateway.testing.exchange import SEEN, Exchange, Seen
from gateway.testing.fault_layer import FaultLayer
from gateway.testing.faults import FAULTS, Fault
from gateway.testing.gate import Gate
from gateway.testing.grants import AccessToken, Grant, Grants, Issued, Person, RefusalError, RegisteredClient
from gateway.testing.log import Log
from gateway.testing.manners import Endpoint, Manners
from gateway.testing.script import TOKEN, Script, Step
from gateway.testing.sign_in import SignIn, issuer_of, read_once

PEOPLE = (Person("alice", "Alice Archer"), Person("bob", "Bob Baker"), Person("carol", "Carol Chen"))

_NO_STORE = {"Cache-Control": "no-store"}
_GRANT_TYPES = {"authorization_code": "code", "refresh_token": "refresh"}


class AuthorizationServer:
    """One server with its people and clients. `register` and `behaviour` may change it while it runs."""

    def __init__(
        self,
        *clients: RegisteredClient,
        people: Iterable[Person] = PEOPLE,
        clock: Clock | None = None,
        manners: Manners | None = None,
    ) -> None:
        self.people = {person.name: person for person in people}
        self.clients = {client.id: client for client in clients}
        self.manners = manners or Manners()
        self.behaviour = self.manners.behaviour()
        self.clock = clock or SystemClock()
        self.log = Log()
        self.gate = Gate()
        self.script = Script()
        self.grants = Grants(self.behaviour, self.clock)
        self._key = _new_key(self.manners.signs_with)
        self._routes = self._make_routes()
        own = {"rate_limited": Fault("Too many requests, in the vendor's own words.", self._rate_limited)}
        self.faults = FAULTS | own
        self._app = Starlette(routes=list(self._routes.values()))
        self._front = FaultLayer(
            self._app,
            self.script,
            faults=self.faults,
            see=self._see,
            clock=self.clock,
            note=self._note_fault,
            hold=self._hold,
        )
        self.manners.serve_api(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._front(scope, receive, send)

    def serve_also(self, routes: Iterable[BaseRoute]) -> None:
        """Add an API beside the endpoints; its requests go through the script and into the log as well."""
        self._app.router.routes.extend(routes)

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
        return self.log.count(what, outcome)

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

        `endpoint` is `token`, `userinfo`, `introspect`, `revoke`, `jwks` or `metadata`. For all that can go wrong
        beside this, see `script`.
        """
        said = {"error": "temporarily_unavailable"} if body is None else body
        params = {"status": status, "body": said, "headers": dict(headers or {})}
        self.script.add(Step(endpoint, "error", times, params=params))

    def note(
        self, request: Request, client_id: str | None, person: Person | None, outcome: str, *, gave: int | None = None
    ) -> None:
        """Write the request into the log."""
        seen: Seen = request.scope[SEEN]
        more = {"shown": seen.token, "gave": gave, "at_once": seen.at_once, "fault": seen.fault}
        name = person.name if person else None
        self.log.note(self.clock.now(), seen.what, client_id, name, outcome, **more)

    def find_bearer(self, request: Request) -> AccessToken | None:
        """The access token of a request to a resource server beside us; None when it is missing or not ours."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        return self.grants.find_access(value.strip()) if scheme.lower() == "bearer" else None

    def id_token(self, issued: Issued, url: str) -> str:
        """OpenID Connect Core section 2, in the vendor's claims."""
        now = int((self.clock.now() + self.behaviour.skew).timestamp())
        claims = self.manners.claims(issued.grant.person) | {
            "iss": self.manners.issuer(url),
            "aud": issued.grant.client_id,
            "iat": now,
            "exp": now + 600,
        }
        if issued.nonce is not None:
            claims["nonce"] = issued.nonce
        signs_with = self.manners.signs_with
        return jwt.encode({"alg": signs_with, "kid": "signing"}, claims, self._key, algorithms=[signs_with])

    def _make_routes(self) -> dict[str, Route]:
        """The endpoints, each under the word that the log has for it."""
        paths = self.manners.paths
        pages = SignIn(self.grants, self.behaviour, self.clients, self.people, manners=self.manners, note=self.note)
        served: dict[str, tuple[str | None, Endpoint, list[str]]] = {
            "jwks": (paths.jwks, self._jwks, ["GET"]),
            "token": (paths.token, self._token, ["POST"]),
            "userinfo": (paths.userinfo, self._userinfo, ["GET", "POST"]),
            "revoke": (paths.revoke, self._revoke, ["POST"]),
            "introspect": (paths.introspect, self._introspect, [paths.introspect_method]),
            **{f"metadata {at}": (path, self._metadata, ["GET"]) for at, path in enumerate(paths.metadata)},
        }
        return {
            **{name: Route(path, self._refusing(do), methods=how) for name, (path, do, how) in served.items() if path},
            **pages.routes(paths.authorize),
        }

    def _see(self, scope: Scope, body: bytes) -> Seen:
        """What a request is and whose token it presents, from what is on its outside."""
        matched = (name for name, route in self._routes.items() if route.matches(scope)[0] is Match.FULL)
        what = next(matched, "api").partition(" ")[0]
        headers = Headers(scope=scope)
        form = dict(parse_qsl(body.decode("latin-1"))) if "form" in headers.get("content-type", "") else {}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if what == "token":
            what = _GRANT_TYPES.get(form.get("grant_type", ""), "token")
        bearer = headers.get("authorization", "").partition(" ")[2].strip()
        names = ("refresh_token", "token", "code", "access_token")
        value = next((found[name] for found in (form, query) for name in names if name in found), bearer)
        grant = self.grants.find_grant(value)
        person = grant.person.name if grant else None
        client_id = form.get("client_id") or (grant.client_id if grant else None)
        return Seen(what, client_id, person, self.grants.shown(value))

    def _note_fault(self, seen: Seen, outcome: str) -> None:
        more = {"shown": seen.token, "at_once": seen.at_once}
        self.log.note(self.clock.now(), seen.what, seen.client_id, seen.person, outcome, **more)

    async def _hold(self, seen: Seen) -> None:
        if seen.what in TOKEN:
            await self.gate.pass_through()
            await anyio.sleep(self.behaviour.delay)

    async def _rate_limited(self, exchange: Exchange) -> None:
        answer = self.manners.rate_limited(exchange.what)
        await exchange.give(answer.status_code, answer.raw_headers, bytes(answer.body))

    def _refusing(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, its refusals as the vendor words them."""

        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except RefusalError as refusal:
                seen: Seen = request.scope[SEEN]
                self.note(request, seen.client_id, self.people.get(seen.person or ""), refusal.error)
                return self.manners.refused(refusal)

        return answer

    async def _metadata(self, request: Request) -> Response:
        url = issuer_of(request)
        paths = self.manners.paths
        endpoints = {
            "authorization_endpoint": paths.authorize,
            "token_endpoint": paths.token,
            "userinfo_endpoint": paths.userinfo,
            "revocation_endpoint": paths.revoke,
            "introspection_endpoint": paths.introspect,
            "jwks_uri": paths.jwks,
        }
        document: dict[str, Any] = {
            "issuer": self.manners.issuer(url),
            **{name: f"{url}{path.format_map(request.path_params)}" for name, path in endpoints.items() if path},
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": list(self.behaviour.auth_methods),
            "id_token_signing_alg_values_supported": [self.manners.signs_with],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        }
        if self.manners.names_issuer:
            document["authorization_response_iss_parameter_supported"] = True
        return JSONResponse(document)

    async def _jwks(self, request: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})

    async def _token(self, request: Request) -> Response:
        form = read_once(await request.form())
        client = self._authenticate(request, form)
        self.manners.check_token_request(form)
        match form.get("grant_type"):
            case "authorization_code":
                code, redirect_uri, verifier = (form.get(n, "") for n in ("code", "redirect_uri", "code_verifier"))
                issued = self.grants.redeem(client.id, code, redirect_uri, verifier)
            case "refresh_token":
                wanted = self.manners.wanted(form)
                issued = self.grants.refresh(client.id, form.get("refresh_token", ""), wanted)
            case other:
                raise RefusalError("unsupported_grant_type", f"{other!r} is not a grant type of this server.")
        self.note(request, client.id, issued.grant.person, "ok", gave=issued.generation)
        answer = self.manners.token_answer(self, issued, issuer_of(request)) | dict(self.behaviour.token_extras)
        return JSONResponse(answer, headers=_NO_STORE)

    async def _userinfo(self, request: Request) -> Response:
        token = self.find_bearer(request)
        if token is None or not self.grants.is_live(token):
            self.note(request, None, token.grant.person if token else None, "invalid_token")
            return self.manners.userinfo(self, None, issuer_of(request))
        self.grants.touch(token)
        self.note(request, token.grant.client_id, token.grant.person, "ok")
        return self.manners.userinfo(self, token, issuer_of(request))

    async def _revoke(self, request: Request) -> Response:
        form = read_once(await request.form())
        client = None if "revoke" in self.manners.anonymous else self._authenticate(request, form)
        value = form.get("token", "")
        grant = self.grants.find_grant(value)
        answer = self.manners.revoke(self, client.id if client else None, value)
        client_id = client.id if client else grant.client_id if grant else None
        outcome = "ok" if answer.status_code < 300 else "invalid_token"
        self.note(request, client_id, grant.person if grant else None, outcome)
        return answer

    async def _introspect(self, request: Request) -> Response:
        form = read_once(await request.form() if request.method == "POST" else request.query_params)
        client = None if "introspect" in self.manners.anonymous else self._authenticate(request, form)
        self.note(request, client.id if client else None, None, "ok")
        return self.manners.introspection(self, form.get("token") or form.get("access_token", ""))

    def _authenticate(self, request: Request, form: Mapping[str, str]) -> RegisteredClient:
        """The client that asks: RFC 6749 section 2.3.1. It proves itself in one way, not two."""
        basic = _basic_credentials(request)
        if basic and "client_secret" in form:
            raise RefusalError("invalid_request", "Send the client's secret once: in the header or in the body.")
        client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
        method = "client_secret_basic" if basic else "client_secret_post" if secret is not None else "none"
        client = self.clients.get(client_id)
        if client is None or method not in self.behaviour.auth_methods:
            unknown = "The client is unknown, or may not prove itself this way."
            raise RefusalError("invalid_client", unknown, "unknown_client")
        if not hmac.compare_digest((secret or "").encode(), (client.secret or "").encode()):
            raise RefusalError("invalid_client", "The client's secret is wrong.", "wrong_secret")
        return client


def _new_key(algorithm: str) -> ECKey | RSAKey:
    about: KeyParameters = {"kid": "signing", "use": "sig", "alg": algorithm}
    return _rsa_key() if algorithm == "RS256" else ECKey.generate_key("P-256", about)


@cache
def _rsa_key() -> RSAKey:
    """The same for all servers of a process: making one takes a tenth of a second."""
    return RSAKey.generate_key(2048, {"kid": "signing", "use": "sig", "alg": "RS256"})


def _basic_credentials(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise RefusalError("invalid_client", "The Authorization header cannot be read.") from None
    return unquote_plus(client_id), unquote_plus(secret)
