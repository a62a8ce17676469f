"""The connect page: who asks, for what, in whose name; then off to the provider, and back.

    GET  /connect/{flow}              shows it; changes nothing, so link previews are harmless
    POST /connect/{flow}              to the provider, with a cookie that ties the answer to this browser; or an API key
    POST /connect/{flow}/decline      no
    GET  /oauth/callback/{provider}   the provider's answer; leads on at once to an address without the code
    GET  /connect/{flow}/done         how it ended

Below: `Flows`. Source: RFC 6749 section 4.1, RFC 9700; MCP 2026-07-28 elicitation, "Phishing".
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import FlowError, FlowNotFoundError, ProviderError, wire
from gateway.secret import Secret
from gateway.surfaces.web.cookies import Cookies
from gateway.surfaces.web.form_guard import FIELD, FormGuard
from gateway.surfaces.web.pages import Pages, principal_of
from gateway.surfaces.web.problems import FORM_EXPIRED, explained
from gateway.surfaces.web.return_url import return_location
from gateway.types import CredentialKind, Flow, FlowStatus, Principal

LONGEST_KEY = 16384


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

    async def describe(self, flow_id: str, principal: Principal) -> FlowView: ...
    async def start(self, flow_id: str, principal: Principal) -> Started: ...
    async def complete(
        self, provider_id: str, query: Mapping[str, str], browser_token: str | None, principal: Principal
    ) -> Flow: ...
    async def submit_key(self, flow_id: str, principal: Principal, api_key: Secret) -> Flow: ...
    async def decline(self, flow_id: str, principal: Principal) -> Flow: ...


class ConnectPages:
    def __init__(self, pages: Pages, flows: Flows, cookies: Cookies, guard: FormGuard) -> None:
        self._pages = pages
        self._flows = flows
        self._cookies = cookies
        self._guard = guard

    def routes(self) -> list[Route]:
        return [
            Route("/connect/{flow}", explained(self._show_or_connect), methods=["GET", "POST"]),
            Route("/connect/{flow}/decline", explained(self._decline), methods=["POST"]),
            Route("/connect/{flow}/done", explained(self._done), methods=["GET"]),
            Route("/oauth/callback/{provider}", explained(self._callback), methods=["GET"]),
        ]

    async def _show_or_connect(self, request: Request) -> Response:
        return await (self._connect(request) if request.method == "POST" else self._show(request))

    async def _show(self, request: Request) -> Response:
        view = await self._describe(request)
        if view.status is not FlowStatus.PENDING:
            return self._ended(request, view)
        return self._ask(request, view)

    async def _connect(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=8) as form:
            if not self._guard.is_ours(request, form.get(FIELD)):
                return FORM_EXPIRED.answer(request)
            view = await self._describe(request)
            if view.status is not FlowStatus.PENDING:
                return _redirect(_done_path(request, request.path_params["flow"]))
            if view.kind is CredentialKind.API_KEY:
                response = await self._submit_key(request, view, form.get("api_key"))
                self._end_page(response)
                return response
        return await self._leave_for_provider(request)

    async def _submit_key(self, request: Request, view: FlowView, field: object) -> Response:
        key = field.strip() if isinstance(field, str) else ""
        if not key:
            return self._ask(request, view, "Paste the key first, then press Connect.", 422)
        if len(key) > LONGEST_KEY or not key.isprintable():
            return self._ask(request, view, "That does not look like a key. Copy it once more and paste it here.", 422)
        try:
            flow = await self._flows.submit_key(request.path_params["flow"], principal_of(request), Secret(key))
        except FlowNotFoundError:
            raise
        except (FlowError, ProviderError) as error:
            return self._ask(request, view, error.message, wire(error).http)
        return self._onward(request, flow)

    def _end_page(self, response: Response) -> None:
        """Keep the back button from bringing the page back with the key in its field, where no script empties it.

        Chromium keeps even `no-store` pages alive for a while, and lets go of them when a cookie of the site changes.
        """
        self._cookies.put(response, "typed", secrets.token_urlsafe(8), 1)

    async def _leave_for_provider(self, request: Request) -> Response:
        started = await self._flows.start(request.path_params["flow"], principal_of(request))
        response = _redirect(started.authorization_url)
        state = parse_qs(urlsplit(started.authorization_url).query).get("state", [""])[0]
        self._cookies.put(response, _cookie_name(state), started.browser_token.reveal(), started.max_age)
        return response

    async def _decline(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=8) as form:
            if not self._guard.is_ours(request, form.get(FIELD)):
                return FORM_EXPIRED.answer(request)
        return self._onward(request, await self._flows.decline(request.path_params["flow"], principal_of(request)))

    async def _callback(self, request: Request) -> Response:
        query = dict(request.query_params)
        if len(query) != len(request.query_params.multi_items()):
            raise FlowError(
                "The provider's answer says the same thing twice and cannot be trusted. Please start again."
            )
        name = _cookie_name(query.get("state", ""))
        token = self._cookies.find(request, name)
        provider = request.path_params["provider"]
        flow = await self._flows.complete(provider, query, token, principal_of(request))
        response = self._onward(request, flow)
        self._cookies.drop(response, name)
        return response

    async def _done(self, request: Request) -> Response:
        view = await self._describe(request)
        if view.status is FlowStatus.PENDING:
            return _redirect(f"{request.scope.get('root_path', '')}/connect/{request.path_params['flow']}")
        return self._ended(request, view)

    async def _describe(self, request: Request) -> FlowView:
        return await self._flows.describe(request.path_params["flow"], principal_of(request))

    def _ask(self, request: Request, view: FlowView, error: str | None = None, status: int = 200) -> Response:
        cookie, token = self._guard.token(request)
        values = {"flow": view, "flow_id": request.path_params["flow"], "form_token": token, "error": error}
        leaves = view.kind is CredentialKind.OAUTH2
        response = self._pages.form(request, "connect.html", status, leaves=leaves, **values)
        self._guard.remember(response, cookie)
        return response

    def _ended(self, request: Request, view: FlowView) -> Response:
        return self._pages.page(request, "done.html", flow=view)

    def _onward(self, request: Request, flow: Flow) -> Response:
        return _redirect(return_location(flow.return_url, flow.status) or _done_path(request, flow.id))


def _cookie_name(state: str) -> str:
    """One cookie for each consent, so that several can be under way in one browser."""
    return f"connect-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def _done_path(request: Request, flow_id: str) -> str:
    return f"{request.scope.get('root_path', '')}/connect/{flow_id}/done"


def _redirect(location: str) -> RedirectResponse:
    return RedirectResponse(location, 303, {"cache-control": "no-store"})
