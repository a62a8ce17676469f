"""The connect page: who asks, for what, in whose name; then off to the provider, and back.

    GET  /connect/{flow}              shows it; changes nothing, so link previews are harmless
    POST /connect/{flow}              to the provider, with a cookie that ties the answer to this browser; or a key or
                                      password that is typed in. Before either, what only the person knows: a subdomain
    POST /connect/{flow}/decline      no
    GET  /oauth/callback/{provider}   the provider's answer; leads on at once to an address without the code
    GET  /connect/{flow}/done         how it ended

Who has not signed in, does so first, and comes back; where nobody can sign in, there is no such link.

Below: `Flows`. Source: RFC 6749 section 4.1, RFC 9700; MCP 2026-07-28 elicitation, "Phishing".
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import FieldError, FlowError, FlowNotFoundError, NobodyThereError, ProviderError
from gateway.secret import Secret
from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.browser.form_guard import FIELD, FORM_EXPIRED, FormGuard
from gateway.surfaces.browser.pages import Pages, person_name, visitor_of
from gateway.surfaces.web.problems import explained
from gateway.surfaces.web.return_url import return_location
from gateway.types import CredentialKind, Flow, FlowStatus, Principal
from gateway.wire import wire

LONGEST_KEY = 16384
MOST_FIELDS = 16
_VARIABLE = "variable-"
"""What the names of the fields begin with that are parts of the provider's addresses."""
_SECRETS = {"api_key", "password"}


class Field(Protocol):
    """A part of the provider's addresses that the person fills in."""

    @property
    def name(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def value(self) -> str: ...


class FlowView(Protocol):
    """What the page shows of a flow."""

    @property
    def provider_name(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def tool(self) -> str | None: ...
    @property
    def scopes(self) -> Sequence[str]: ...
    @property
    def kind(self) -> CredentialKind: ...
    @property
    def status(self) -> FlowStatus: ...
    @property
    def failure(self) -> str | None: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def fields(self) -> Sequence[Field]: ...
    @property
    def account(self) -> str | None: ...
    @property
    def connected(self) -> str | None: ...
    @property
    def withheld(self) -> Sequence[str]: ...
    @property
    def another(self) -> bool: ...
    @property
    def is_own_wish(self) -> bool: ...
    @property
    def is_mistaken(self) -> bool: ...
    @property
    def app_user(self) -> str | None: ...


class Started(Protocol):
    """Where the browser goes, and what it must bring back. `max_age` in seconds."""

    @property
    def authorization_url(self) -> str: ...
    @property
    def browser_token(self) -> Secret: ...
    @property
    def max_age(self) -> int: ...


class Flows(Protocol):
    """Consents in progress. Each raises FlowNotFoundError for an unknown, expired or foreign flow alike."""

    async def admit(self, flow_id: str, visitor: Principal | None, browser_token: str | None) -> Principal: ...
    async def describe(self, flow_id: str, principal: Principal) -> FlowView: ...
    async def start(
        self,
        flow_id: str,
        principal: Principal,
        variables: Mapping[str, str] | None = None,
        *,
        browser_token: str | None = None,
    ) -> Started: ...
    async def complete(
        self, provider_id: str, query: Mapping[str, str], browser_token: str | None, visitor: Principal | None
    ) -> Flow: ...
    async def submit_key(
        self,
        flow_id: str,
        principal: Principal,
        api_key: Secret,
        *,
        username: str | None = None,
        variables: Mapping[str, str] | None = None,
        browser_token: str | None = None,
    ) -> Flow: ...
    async def decline(self, flow_id: str, principal: Principal, *, browser_token: str | None = None) -> Flow: ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the page is shown again. `field` is the one to fill in anew, None where it is none of them."""

    field: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser that may go on with a flow, in a person's name."""

    flow_id: str
    person: Principal
    browser_token: str | None
    view: FlowView


class ConnectPages:
    """`sign_in` is the path where one signs in; None where nobody can."""

    def __init__(
        self, pages: Pages, flows: Flows, cookies: Cookies, guard: FormGuard, *, sign_in: str | None = None
    ) -> None:
        self._pages = pages
        self._flows = flows
        self._cookies = cookies
        self._guard = guard
        self._sign_in = sign_in

    def routes(self) -> list[Route]:
        return [
            Route("/connect/{flow}", explained(self._by_link(self._show_or_connect)), methods=["GET", "POST"]),
            Route("/connect/{flow}/decline", explained(self._by_link(self._decline)), methods=["POST"]),
            Route("/connect/{flow}/done", explained(self._by_link(self._done)), methods=["GET"]),
            Route("/oauth/callback/{provider}", explained(self._callback), methods=["GET"]),
        ]

    def _by_link(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """The handler of a link's page: whoever might be the person signs in first, and comes back to the page."""

        async def page(request: Request) -> Response:
            try:
                return await handle(request)
            except NobodyThereError:
                if self._sign_in is None:
                    raise
            link = {"next": f"/connect/{quote(request.path_params['flow'])}"}
            return _redirect(f"{request.scope.get('root_path', '')}{self._sign_in}?{urlencode(link)}")

        return page

    async def _show_or_connect(self, request: Request) -> Response:
        return await (self._connect(request) if request.method == "POST" else self._show(request))

    async def _show(self, request: Request) -> Response:
        visit = await self._visit(request)
        if visit.view.status is not FlowStatus.PENDING:
            return self._ended(request, visit)
        return self._ask(request, visit)

    async def _connect(self, request: Request) -> Response:
        visit = await self._visit(request)
        async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
            if not self._guard.is_ours(request, visit.person, form.get(FIELD)):
                return FORM_EXPIRED.answer(request)
            if visit.view.status is not FlowStatus.PENDING:
                return _redirect(_done_path(request, visit.flow_id))
            typed = {name: value for name, value in form.items() if isinstance(value, str)}
        try:
            if visit.view.kind is CredentialKind.OAUTH2:
                return await self._leave_for_provider(visit, _variables(visit.view, typed))
            return await self._submit(request, visit, typed)
        except FieldError as error:
            return self._ask_again(request, visit, typed, error)

    async def _submit(self, request: Request, visit: Visit, typed: Mapping[str, str]) -> Response:
        view = visit.view
        is_key = view.kind is CredentialKind.API_KEY
        secret, name = typed.get("api_key" if is_key else "password", ""), "api_key" if is_key else "password"
        if not secret.strip():
            raise FieldError(name, "Fill this in first, then press Connect.")
        if len(secret) > LONGEST_KEY or not secret.strip().isprintable():
            raise FieldError(name, "That does not look right. Copy it once more and paste it here.")
        try:
            flow = await self._flows.submit_key(
                visit.flow_id,
                visit.person,
                Secret(secret.strip() if is_key else secret),
                username=None if is_key else typed.get("username", ""),
                variables=_variables(view, typed),
                browser_token=visit.browser_token,
            )
            response = self._onward(request, flow)
        except (FlowNotFoundError, FieldError):
            raise
        except (FlowError, ProviderError) as error:
            response = self._ask(request, visit, Trouble(name, error.message), wire(error).http)
        self._end_page(response)
        return response

    def _ask_again(self, request: Request, visit: Visit, typed: Mapping[str, str], error: FieldError) -> Response:
        """The page with what was typed, but for secrets, and the sentence at its field."""
        kept = {name: value for name, value in typed.items() if name not in _SECRETS}
        response = self._ask(request, visit, Trouble(error.field, error.message), wire(error).http, kept)
        if _SECRETS & typed.keys():
            self._end_page(response)
        return response

    def _end_page(self, response: Response) -> None:
        """Keep the back button from bringing the page back with the key in its field, where no script empties it.

        Chromium keeps even `no-store` pages alive for a while, and lets go of them when a cookie of the site changes.
        """
        self._cookies.put(response, "typed", secrets.token_urlsafe(8), 1)

    async def _leave_for_provider(self, visit: Visit, variables: Mapping[str, str]) -> Response:
        started = await self._flows.start(visit.flow_id, visit.person, variables, browser_token=visit.browser_token)
        response = _redirect(started.authorization_url)
        state = parse_qs(urlsplit(started.authorization_url).query).get("state", [""])[0]
        self._cookies.put(response, _cookie_name(state), started.browser_token.reveal(), started.max_age)
        return response

    async def _decline(self, request: Request) -> Response:
        visit = await self._visit(request)
        async with request.form(max_files=0, max_fields=8) as form:
            if not self._guard.is_ours(request, visit.person, form.get(FIELD)):
                return FORM_EXPIRED.answer(request)
        flow = await self._flows.decline(visit.flow_id, visit.person, browser_token=visit.browser_token)
        return self._onward(request, flow)

    async def _callback(self, request: Request) -> Response:
        query = dict(request.query_params)
        if len(query) != len(request.query_params.multi_items()):
            raise FlowError(
                "The provider's answer says the same thing twice and cannot be trusted. Please start again."
            )
        name = _cookie_name(query.get("state", ""))
        token = self._cookies.find(request, name)
        provider = request.path_params["provider"]
        flow = await self._flows.complete(provider, query, token, visitor_of(request))
        response = self._onward(request, flow)
        self._cookies.drop(response, name)
        return response

    async def _done(self, request: Request) -> Response:
        visit = await self._visit(request)
        if visit.view.status is FlowStatus.PENDING:
            return _redirect(f"{request.scope.get('root_path', '')}/connect/{visit.flow_id}")
        return self._ended(request, visit)

    async def _visit(self, request: Request) -> Visit:
        flow_id, browser_token = request.path_params["flow"], self._guard.browser_token(request)
        person = await self._flows.admit(flow_id, visitor_of(request), browser_token)
        return Visit(flow_id, person, browser_token, await self._flows.describe(flow_id, person))

    def _ask(
        self,
        request: Request,
        visit: Visit,
        trouble: Trouble | None = None,
        status: int = 200,
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        cookie, token = self._guard.token(request, visit.person)
        values: dict[str, Any] = {"flow": visit.view, "flow_id": visit.flow_id, "form_token": token, "trouble": trouble}
        values |= {"typed": typed or {}, "prefix": _VARIABLE, "person": _signed_in(request, visit)}
        leaves = visit.view.kind is CredentialKind.OAUTH2
        response = self._pages.form(request, "connect.html", status, leaves=leaves, **values)
        self._guard.remember(response, cookie)
        return response

    def _ended(self, request: Request, visit: Visit) -> Response:
        return self._pages.page(request, "done.html", flow=visit.view, person=_signed_in(request, visit))

    def _onward(self, request: Request, flow: Flow) -> Response:
        back = return_location(flow.return_url, flow.status, flow.connection_id)
        return _redirect(back or _done_path(request, flow.id))


def _signed_in(request: Request, visit: Visit) -> str | None:
    """Whom the page names as being signed in; an app's user is not."""
    return None if visit.person.app else person_name(request)


def _variables(view: FlowView, typed: Mapping[str, str]) -> dict[str, str]:
    return {field.name: typed.get(_VARIABLE + field.name, "") for field in view.fields}


def _cookie_name(state: str) -> str:
    """One cookie for each consent, so that several can be under way in one browser."""
    return f"connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def _done_path(request: Request, flow_id: str) -> str:
    return f"{request.scope.get('root_path', '')}/connect/{flow_id}/done"


def _redirect(location: str) -> RedirectResponse:
    return RedirectResponse(location, 303, {"cache-control": "no-store"})
