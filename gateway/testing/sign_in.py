"""The fake authorization server's front: the pages on which a person signs in and says yes or no.

GET /authorize checks the request and leads to /sign-in or, for someone signed in, to /consent. An error that concerns
the client or its redirect URI is shown and never redirected (RFC 6749 section 4.1.2.1); every other goes back to the
client with `state` and `iss` (RFC 9207).

Below: `grants`, `manners`. Above: `gateway.testing.authorization_server`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.testing.behaviour import Behaviour
from gateway.testing.grants import AuthorizationRequest, Grants, Person, RefusalError, RegisteredClient
from gateway.testing.manners import Manners

_COOKIE = "testing_sign_in"
_BOX = "scope:"
_SIGNING_IN = {"openid", "email", "profile", "offline_access"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
_templates = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


class SignIn:
    """The pages, and who is signed in."""

    def __init__(
        self,
        grants: Grants,
        behaviour: Behaviour,
        clients: Mapping[str, RegisteredClient],
        people: Mapping[str, Person],
        *,
        manners: Manners,
        note: Callable[[Request, str | None, Person | None, str], None],
    ) -> None:
        self._grants = grants
        self._behaviour = behaviour
        self._clients = clients
        self._people = people
        self._manners = manners
        self._note = note
        self._waiting: dict[str, AuthorizationRequest] = {}
        self._signed_in: dict[str, Person] = {}

    def routes(self, authorize: str) -> dict[str, Route]:
        """The pages, each under the word that the log has for it."""
        return {
            "authorize": Route(authorize, self._authorize),
            "page sign-in": Route("/sign-in", self._ask_name),
            "page name": Route("/sign-in", self._take_name, methods=["POST"]),
            "page consent": Route("/consent", self._ask_consent),
            "consent": Route("/consent", self._take_consent, methods=["POST"]),
        }

    async def _authorize(self, request: Request) -> Response:
        params = request.query_params
        client = self._clients.get(params.get("client_id", ""))
        redirect_uri = params.get("redirect_uri", "")
        if client is None or not client.may_redirect_to(redirect_uri):
            self._note(request, params.get("client_id"), None, "invalid_client")
            return self._page("refused.html", 400, reason="This client or redirect URI is not registered here.")
        try:
            asked = _read_request(params, client, redirect_uri, self._behaviour.needs_pkce)
        except RefusalError as refusal:
            self._note(request, client.id, None, refusal.error)
            error = {"error": refusal.error, "error_description": refusal.description, "state": params.get("state")}
            return self._back(request, redirect_uri, error)
        self._note(request, client.id, None, "ok")
        key = secrets.token_urlsafe(16)
        self._waiting[key] = asked
        person = self._person(request) if not {"login", "select_account"} & set(asked.prompt) else None
        if person is not None and not self._manners.asks(asked, self._grants.of(client.id, person)):
            return self._agree(request, self._waiting.pop(key), person, asked.scopes)
        return RedirectResponse(f"{'/consent' if person else '/sign-in'}?request={key}", 303)

    async def _ask_name(self, request: Request) -> Response:
        key = request.query_params.get("request", "")
        return self._sign_in_page(key) if key in self._waiting else self._expired()

    async def _take_name(self, request: Request) -> Response:
        form = await request.form()
        key, name = str(form.get("request", "")), str(form.get("username", "")).strip().lower()
        if key not in self._waiting:
            return self._expired()
        if name not in self._people:
            return self._sign_in_page(key, unknown=name)
        cookie = secrets.token_urlsafe(16)
        self._signed_in[cookie] = self._people[name]
        asked, person = self._waiting[key], self._people[name]
        if self._manners.asks(asked, self._grants.of(asked.client.id, person)):
            onward: Response = RedirectResponse(f"/consent?request={key}", 303)
        else:
            onward = self._agree(request, self._waiting.pop(key), person, asked.scopes)
        onward.set_cookie(_COOKIE, cookie, httponly=True, samesite="lax")
        return onward

    async def _ask_consent(self, request: Request) -> Response:
        key = request.query_params.get("request", "")
        asked, person = self._waiting.get(key), self._person(request)
        if asked is None:
            return self._expired()
        if person is None:
            return RedirectResponse(f"/sign-in?request={key}", 303)
        about: dict[str, Any] = {
            "client": asked.client.id,
            "scopes": sorted(asked.scopes),
            "boxes": self._boxes(asked),
        }
        return self._page("consent.html", key=key, person=person, **about)

    async def _take_consent(self, request: Request) -> Response:
        form = await request.form()
        person = self._person(request)
        asked = self._waiting.pop(str(form.get("request", "")), None) if person else None
        if person is None or asked is None:
            return self._expired()
        if form.get("decision") != "approve":
            self._note(request, asked.client.id, person, "access_denied")
            return self._back(request, asked.redirect_uri, {"error": "access_denied", "state": asked.state})
        self._note(request, asked.client.id, person, "ok")
        unticked = {scope for scope in self._boxes(asked) if f"{_BOX}{scope}" not in form}
        return self._agree(request, asked, person, asked.scopes - unticked)

    def _boxes(self, asked: AuthorizationRequest) -> frozenset[str]:
        """The scopes that stand with a box: where there are two or more beside those of signing in."""
        boxes = asked.scopes - _SIGNING_IN if self._behaviour.granular else frozenset()
        return boxes if len(boxes) > 1 else frozenset()

    def _agree(self, request: Request, asked: AuthorizationRequest, person: Person, agreed: frozenset[str]) -> Response:
        former = self._grants.of(asked.client.id, person)
        grant = self._manners.grant(asked, person, agreed - self._behaviour.denied_scopes, former)
        code = self._grants.put_code(grant, asked.redirect_uri, asked.challenge, asked.nonce)
        return self._back(request, asked.redirect_uri, {"code": code, "state": asked.state})

    def _back(self, request: Request, redirect_uri: str, answer: Mapping[str, str | None]) -> Response:
        """Send the browser back to the client, with `iss` (RFC 9207) where the vendor does so."""
        issuer = self._manners.issuer(issuer_of(request)) if self._manners.names_issuer else None
        named = {**answer, "iss": self._behaviour.redirect_issuer or issuer}
        query = urlencode({key: value for key, value in named.items() if value is not None})
        joint = "&" if urlsplit(redirect_uri).query else "?"
        return RedirectResponse(f"{redirect_uri}{joint}{query}", 303, headers={"Referrer-Policy": "no-referrer"})

    def _sign_in_page(self, key: str, unknown: str | None = None) -> Response:
        client = self._waiting[key].client.id
        return self._page("sign_in.html", 200, key=key, client=client, people=self._people.values(), unknown=unknown)

    def _person(self, request: Request) -> Person | None:
        return self._signed_in.get(request.cookies.get(_COOKIE, ""))

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        html = _templates.get_template(template).render(vendor=self._manners.name, **values)
        return HTMLResponse(html, status, headers=_HEADERS)

    def _expired(self) -> Response:
        return self._page("refused.html", 400, reason="This page is out of date. Go back to the app and start again.")


def issuer_of(request: Request) -> str:
    """The URL that the server is reached at, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def read_once(params: FormData | QueryParams) -> dict[str, str]:
    """The parameters; RFC 6749 section 3.1 forbids one to come twice."""
    pairs = params.multi_items()
    if len(dict(pairs)) != len(pairs):
        raise RefusalError("invalid_request", "A parameter was sent more than once.")
    return {key: str(value) for key, value in pairs}


def _read_request(
    params: QueryParams, client: RegisteredClient, redirect_uri: str, needs_pkce: bool
) -> AuthorizationRequest:
    asked = read_once(params)
    if asked.get("response_type") != "code":
        raise RefusalError("unsupported_response_type", "The only response type is code.")
    challenge = asked.get("code_challenge")
    if (needs_pkce or challenge) and (asked.get("code_challenge_method") != "S256" or len(challenge or "") != 43):
        raise RefusalError("invalid_request", "Send a code_challenge with code_challenge_method S256.")
    return AuthorizationRequest(client, redirect_uri, asked)
