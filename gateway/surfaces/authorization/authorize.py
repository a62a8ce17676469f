"""The page where a person lets a program in, or does not.

    GET  /authorize?…     who is nobody yet signs in first; then the page; changes nothing unless the person has said
                          yes to just this before, and came here by themselves
    POST /authorize       yes or no; the answer goes to the client by way of the browser

The form holds the request as it came, and a token that is good for this request, this person and this browser alone. So
a yes given elsewhere, or to something else, is none. What is wrong with client or redirect URI is told to the person;
whatever else is wrong, to the client.

Below: `gateway.authorization`, `gateway.surfaces.browser`. Above: routes.
Source: RFC 6749 section 4.1, RFC 9700 section 4; MCP 2026-07-28, Security Best Practices.
"""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.audit import AuditLog
from gateway.authorization.parameters import Parameters
from gateway.authorization.requests import Addressee, AuthorizationRequest, answer_url
from gateway.authorization.server import AuthorizationServer
from gateway.clock import Clock
from gateway.errors import AuthorizationError
from gateway.surfaces.authorization.asking import asking, form_targets
from gateway.surfaces.browser.form_guard import FIELD, FORM_EXPIRED, FormGuard
from gateway.surfaces.browser.pages import Pages
from gateway.surfaces.refusal import Refusal
from gateway.types import Access, AuditEvent, Principal

LONGEST_QUERY = 16 << 10  # characters
LOGIN = "/login"
Browser = Callable[[Mapping[str, str]], Awaitable[Access | None]]

_TITLES = {503: "One moment", 400: "That request cannot be answered"}


class AuthorizePage:
    """`browser` says who sits there."""

    def __init__(
        self,
        server: AuthorizationServer,
        browser: Browser,
        *,
        pages: Pages,
        guard: FormGuard,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._server = server
        self._browser = browser
        self._pages = pages
        self._guard = guard
        self._audit = audit
        self._clock = clock

    def route(self) -> Route:
        return Route("/authorize", self._answer, methods=["GET", "POST"])

    async def _answer(self, request: Request) -> Response:
        try:
            return await (self._decide(request) if request.method == "POST" else self._ask(request))
        except AuthorizationError as error:
            title = _TITLES.get(error.status, _TITLES[400])
            return Refusal(error.status, error.error, title, error.message).answer(request)

    async def _ask(self, request: Request) -> Response:
        query = _readable(request.scope["query_string"])
        parameters = Parameters(query)
        needs_document = self._server.requests.needs_document(parameters)
        addressee = None if needs_document else await self._server.requests.addressee(parameters)
        access = await self._browser(request.headers)
        if access is None and addressee is None:
            return _to_login(request, query)  # strangers do not have us ask other machines
        addressee = addressee or await self._server.requests.addressee(parameters)
        try:
            asked = self._server.requests.read(parameters, addressee)
            if access is None or "login" in asked.prompts:
                return self._sign_in(request, asked, query)
            return await self._show(request, asked, query, access)
        except AuthorizationError as error:
            return self._refuse(addressee, error)

    async def _show(self, request: Request, asked: AuthorizationRequest, query: str, access: Access) -> Response:
        person = access.principal
        last = await self._server.consents.last_given(asked, person)
        if last and self._server.consents.may_be_skipped(asked, request.headers.get("sec-fetch-site")):
            return await self._allow(asked, person, "remembered")
        if "none" in asked.prompts:
            raise AuthorizationError("consent_required", "The person has to be asked.")
        request.scope.setdefault("state", {}).update(principal=person, access=access)
        cookie, token = self._guard.token(request, person, query)
        page = self._pages.form(
            request,
            "authorize.html",
            leaves=True,
            also_to=form_targets(asked),
            asking=asking(asked),
            last_given=last,
            form_token=token,
            # It goes back as it came: as a value of the form it is neither shown nor cut to what a person can read.
            query=Markup(html.escape(query)),  # noqa: S704 - escaped right here
        )
        self._guard.remember(page, cookie)
        return page

    async def _decide(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=8) as form:
            query, field, decision = (form.get(name) for name in ("request", FIELD, "decision"))
        if not isinstance(query, str) or len(query) > LONGEST_QUERY:
            return FORM_EXPIRED.answer(request)
        access = await self._browser(request.headers)
        if access is None:
            return _to_login(request, query)
        if not self._guard.is_ours(request, access.principal, field, query):
            return FORM_EXPIRED.answer(request)
        parameters = Parameters(query)
        addressee = await self._server.requests.addressee(parameters)
        try:
            asked = self._server.requests.read(parameters, addressee)
        except AuthorizationError as error:
            return self._refuse(addressee, error)
        if decision != "allow":
            self._audit.note(self._event("consent.denied", asked, access.principal, "done"))
            return self._refuse(addressee, AuthorizationError("access_denied", "The person said no."))
        kept = self._event("consent.remembered", asked, access.principal, "done")
        await self._server.consents.remember(asked, access.principal, kept)
        return await self._allow(asked, access.principal, "done")

    async def _allow(self, asked: AuthorizationRequest, person: Principal, how: str) -> Response:
        code = await self._server.grants.issue_code(asked, person, self._event("consent.given", asked, person, how))
        await self._server.clients.note_use(asked.client, self._clock.now())
        return self._back(asked.addressee, {"code": code.reveal()})

    def _sign_in(self, request: Request, asked: AuthorizationRequest, query: str) -> Response:
        if "none" in asked.prompts:
            raise AuthorizationError("login_required", "Nobody has signed in.")
        return _to_login(request, _without_login(query), again="login" in asked.prompts)

    def _refuse(self, addressee: Addressee, error: AuthorizationError) -> Response:
        return self._back(addressee, {"error": error.error, "error_description": error.message})

    def _back(self, addressee: Addressee, answer: Mapping[str, str]) -> Response:
        return _redirect(answer_url(addressee, self._server.offer.issuer, answer))

    def _event(self, action: str, asked: AuthorizationRequest, person: Principal, outcome: str) -> AuditEvent:
        client = asked.client
        return self._audit.event(person, action, outcome, client=client.name or client.id, reference=client.id)


def _readable(query: bytes) -> str:
    if len(query) > LONGEST_QUERY or not query.isascii():
        raise AuthorizationError("invalid_request", "The program's request cannot be read.")
    return query.decode("ascii")


def _without_login(query: str) -> str:
    """The query without the wish to have the person sign in again, which is about to be fulfilled."""
    parameters = Parameters(query)
    kept = {**parameters, "prompt": " ".join(p for p in parameters.get("prompt", "").split() if p != "login")}
    return urlencode({name: value for name, value in kept.items() if value}) if "prompt" in parameters else query


def _to_login(request: Request, query: str, *, again: bool = False) -> Response:
    root = request.scope.get("root_path", "")
    wanted = {"next": f"/authorize?{query}", **({"prompt": "login"} if again else {})}
    return _redirect(f"{root}{LOGIN}?{urlencode(wanted)}")


def _redirect(location: str) -> Response:
    response = RedirectResponse("", 303, {"cache-control": "no-store"})
    response.headers["location"] = location  # as it is: RedirectResponse would quote it anew
    return response
