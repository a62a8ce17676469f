"""The fake authorization server's front: the pages on which a person signs in and says yes or no.

GET /authorize checks the request and leads to /sign-in or, for someone signed in, to /consent. An error that concerns
the client or its redirect URI is shown and never redirected (RFC 6749 section 4.1.2.1); every other goes back to the
client with `state` and `iss` (RFC 9207).

Below: `grants`. Above: `gateway.testing.authorization_server`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.testing.behaviour import Behaviour
from gateway.testing.grants import Grant, Grants, Person, RefusalError, RegisteredClient

_COOKIE = "testing_sign_in"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
_templates = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """One line of the server's log: what was asked, by which client, for whom, and `ok` or the error."""

    what: str
    client_id: str | None
    person: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request that passed the checks and waits for a person."""

    client: RegisteredClient
    redirect_uri: str
    scopes: frozenset[str]
    challenge: str
    state: str | None
    nonce: str | None


class SignIn:
    """The pages, and who is signed in."""

    def __init__(
        self,
        grants: Grants,
        behaviour: Behaviour,
        clients: Mapping[str, RegisteredClient],
        people: Mapping[str, Person],
        log: list[Asked],
    ) -> None:
        self._grants = grants
        self._behaviour = behaviour
        self._clients = clients
        self._people = people
        self._log = log
        self._waiting: dict[str, AuthorizationRequest] = {}
        self._signed_in: dict[str, Person] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/authorize", self._authorize),
            Route("/sign-in", self._ask_name),
            Route("/sign-in", self._take_name, methods=["POST"]),
            Route("/consent", self._ask_consent),
            Route("/consent", self._take_consent, methods=["POST"]),
        ]

    async def _authorize(self, request: Request) -> Response:
        params = request.query_params
        client = self._clients.get(params.get("client_id", ""))
        redirect_uri = params.get("redirect_uri", "")
        if client is None or not client.may_redirect_to(redirect_uri):
            self._note("authorize", params.get("client_id"), None, "invalid_client")
            return _page("refused.html", 400, reason="This client or redirect URI is not registered here.")
        try:
            asked = _read_request(params, client, redirect_uri)
        except RefusalError as refusal:
            self._note("authorize", client.id, None, refusal.error)
            error = {"error": refusal.error, "error_description": refusal.description, "state": params.get("state")}
            return self._back(request, redirect_uri, error)
        self._note("authorize", client.id, None, "ok")
        key = secrets.token_urlsafe(16)
        self._waiting[key] = asked
        known = self._person(request) is not None and params.get("prompt") != "login"
        return RedirectResponse(f"{'/consent' if known else '/sign-in'}?request={key}", 303)

    async def _ask_name(self, request: Request) -> Response:
        key = request.query_params.get("request", "")
        return self._sign_in_page(key) if key in self._waiting else _expired()

    async def _take_name(self, request: Request) -> Response:
        form = await request.form()
        key, name = str(form.get("request", "")), str(form.get("username", "")).strip().lower()
        if key not in self._waiting:
            return _expired()
        if name not in self._people:
            return self._sign_in_page(key, unknown=name)
        cookie = secrets.token_urlsafe(16)
        self._signed_in[cookie] = self._people[name]
        onward = RedirectResponse(f"/consent?request={key}", 303)
        onward.set_cookie(_COOKIE, cookie, httponly=True, samesite="lax")
        return onward

    async def _ask_consent(self, request: Request) -> Response:
        key = request.query_params.get("request", "")
        asked, person = self._waiting.get(key), self._person(request)
        if asked is None:
            return _expired()
        if person is None:
            return RedirectResponse(f"/sign-in?request={key}", 303)
        return _page("consent.html", key=key, person=person, client=asked.client.id, scopes=sorted(asked.scopes))

    async def _take_consent(self, request: Request) -> Response:
        form = await request.form()
        person = self._person(request)
        asked = self._waiting.pop(str(form.get("request", "")), None) if person else None
        if person is None or asked is None:
            return _expired()
        if form.get("decision") != "approve":
            self._note("consent", asked.client.id, person, "access_denied")
            return self._back(request, asked.redirect_uri, {"error": "access_denied", "state": asked.state})
        self._note("consent", asked.client.id, person, "ok")
        grant = Grant(asked.client.id, person, asked.scopes - self._behaviour.denied_scopes)
        code = self._grants.put_code(grant, asked.redirect_uri, asked.challenge, asked.nonce)
        return self._back(request, asked.redirect_uri, {"code": code, "state": asked.state})

    def _back(self, request: Request, redirect_uri: str, answer: Mapping[str, str | None]) -> Response:
        """Send the browser back to the client, with `iss` (RFC 9207)."""
        issuer = self._behaviour.redirect_issuer or issuer_of(request)
        query = urlencode({key: value for key, value in {**answer, "iss": issuer}.items() if value is not None})
        joint = "&" if urlsplit(redirect_uri).query else "?"
        return RedirectResponse(f"{redirect_uri}{joint}{query}", 303, headers={"Referrer-Policy": "no-referrer"})

    def _sign_in_page(self, key: str, unknown: str | None = None) -> Response:
        client = self._waiting[key].client.id
        return _page("sign_in.html", 200, key=key, client=client, people=self._people.values(), unknown=unknown)

    def _person(self, request: Request) -> Person | None:
        return self._signed_in.get(request.cookies.get(_COOKIE, ""))

    def _note(self, what: str, client_id: str | None, person: Person | None, outcome: str) -> None:
        self._log.append(Asked(what, client_id, person.name if person else None, outcome))


def issuer_of(request: Request) -> str:
    """The URL that the server is reached at, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def read_once(params: FormData | QueryParams) -> dict[str, str]:
    """The parameters; RFC 6749 section 3.1 forbids one to come twice."""
    pairs = params.multi_items()
    if len(dict(pairs)) != len(pairs):
        raise RefusalError("invalid_request", "A parameter was sent more than once.")
    return {key: str(value) for key, value in pairs}


def _read_request(params: QueryParams, client: RegisteredClient, redirect_uri: str) -> AuthorizationRequest:
    asked = read_once(params)
    if asked.get("response_type") != "code":
        raise RefusalError("unsupported_response_type", "The only response type is code.")
    if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
        raise RefusalError("invalid_request", "Send a code_challenge with code_challenge_method S256.")
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        scopes=frozenset(asked.get("scope", "").split()),
        challenge=asked["code_challenge"],
        state=asked.get("state"),
        nonce=asked.get("nonce"),
    )


def _page(template: str, status: int = 200, **values: Any) -> Response:
    return HTMLResponse(_templates.get_template(template).render(**values), status, headers=_HEADERS)


def _expired() -> Response:
    return _page("refused.html", 400, reason="This page is out of date. Go back to the app and start again.")
