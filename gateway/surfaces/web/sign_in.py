"""Signing in and out: the company's way, a password, the code of a second factor.

    GET, POST /login           which way; POST: e-mail address and password
    POST /login/company        to the company's identity provider, with a cookie that ties the answer to this browser
    GET  /login/callback       its answer; leads on at once to an address without the code
    GET, POST /login/code      the second step, where the account has one
    GET  /login/onward         on to where the person was going, as a step of its own
    GET, POST /logout          GET asks; POST ends the session

No page tells whether an account exists. GET changes nothing. The step in between is for `/authorize`: it may lead on
to any program's address, and browsers hold every hop after a form to the form's policy.

Below: `gateway.access.sign_in`, browser. Source: OWASP, Authentication; RFC 9700; W3C CSP 3 (form-action).
"""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.access.company_login import UNDER_WAY_FOR, cookie_for
from gateway.access.sessions import LONGEST
from gateway.access.sign_in import CODE_WITHIN, SignIn
from gateway.errors import GatewayError, IssuerUnavailableError, SignInError, TooManySignInsError
from gateway.secret import Secret
from gateway.surfaces.browser.cookies import Cookies
from gateway.surfaces.browser.form_guard import FIELD, FORM_EXPIRED, FormGuard
from gateway.surfaces.browser.next_path import FRONT, path_of_ours
from gateway.surfaces.browser.pages import Pages, visitor_of
from gateway.surfaces.refusal import NOT_FOUND
from gateway.types import Principal
from gateway.wire import wire

SESSION = "session"
NOBODY = Principal("", "")
"""In whose name forms are made for somebody whom we do not know yet."""
LONGEST_PASSWORD = 4096
_SECOND, _TROUBLE = "second-step", "sign-in-trouble"
_TOLD_WITHIN = timedelta(minutes=2)
_DO_NOT_FIT = (
    "That address and password do not fit together. Try once more, or ask whoever runs this gateway for an invitation."
)
_WRONG_CODE = "That is not the code of this moment. Type the one that the app shows now; each works once."


class Entrance:
    """What the pages share: cookies, forms, and how one leaves with a session."""

    def __init__(self, sign_in: SignIn, pages: Pages, cookies: Cookies, guard: FormGuard) -> None:
        self.sign_in = sign_in
        self.pages = pages
        self.cookies = cookies
        self.guard = guard

    def form(self, request: Request, template: str, about: str, status: int = 200, **values: Any) -> Response:
        """A page with a form about something, for whoever sits there."""
        cookie, token = self.guard.token(request, visitor_of(request) or NOBODY, about)
        page = self.pages.form(request, template, status, form_token=token, **values)
        self.guard.remember(page, cookie)
        return page

    def is_ours(self, request: Request, form: FormData, about: str) -> bool:
        return self.guard.is_ours(request, visitor_of(request) or NOBODY, form.get(FIELD), about)

    def former(self, request: Request) -> Secret | None:
        """The session that the browser has now, which a new one ends."""
        return self.sign_in.sessions.cookie_in(request.headers)

    def signed_in(self, request: Request, session: Secret, next_path: str) -> Response:
        """On, with the session."""
        if next_path.startswith("/authorize"):
            next_path = f"/login/onward?{urlencode({'next': next_path})}"
        response = redirect(request, next_path)
        self.cookies.put(response, SESSION, session.reveal(), int(LONGEST.total_seconds()))
        return response

    def drop(self, request: Request, response: Response, name: str) -> None:
        """Have the browser forget a cookie, if it has it."""
        if self.cookies.find(request, name) is not None:
            self.cookies.drop(response, name)


class SignInPages:
    """`host` is what the gateway is called here."""

    def __init__(self, entrance: Entrance, host: str) -> None:
        self._entrance = entrance
        self._sign_in = entrance.sign_in
        self._host = host

    def routes(self) -> list[Route]:
        return [
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/login/company", self._to_company, methods=["POST"]),
            Route("/login/callback", self._from_company, methods=["GET"]),
            Route("/login/code", self._code, methods=["GET", "POST"]),
            Route("/login/onward", self._onward, methods=["GET"]),
            Route("/logout", self._logout, methods=["GET", "POST"]),
        ]

    async def _login(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._with_form(request, "login", self._by_password)
        next_path, again = path_of_ours(request.query_params.get("next")), _is_again(request.query_params.get("prompt"))
        if visitor_of(request) is not None and not again:
            return redirect(request, next_path)
        told = self._sign_in.tickets.read(_TROUBLE, self._entrance.cookies.find(request, _TROUBLE))
        page = self._ask(request, next_path, again=again, trouble=told["t"] if told else None)
        self._entrance.drop(request, page, _TROUBLE)
        return page

    async def _by_password(self, request: Request, form: FormData) -> Response:
        local = self._sign_in.local
        if local is None:
            return NOT_FOUND.answer(request)
        next_path, email, password = path_of_ours(form.get("next")), _text(form, "email"), _text(form, "password")
        again = _is_again(form.get("prompt"))
        try:
            account = await local.by_password(email, Secret(password[:LONGEST_PASSWORD]), _address(request))
            if account is None:
                return self._ask(request, next_path, again=again, trouble=_DO_NOT_FIT, status=403, email=email)
            if account.sealed is None:
                session = await self._sign_in.arrive(local.arrival(account), self._entrance.former(request))
                return self._entrance.signed_in(request, session, next_path)
        except SignInError as error:
            page = self._ask(request, next_path, again=again, trouble=error.message, status=wire(error).http)
            return _later(error, page)
        response = redirect(request, f"/login/code?{urlencode({'next': next_path})}")
        ticket = self._sign_in.second_step(account)
        self._entrance.cookies.put(response, _SECOND, ticket, int(CODE_WITHIN.total_seconds()))
        return response

    async def _code(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._with_form(request, "code", self._by_code)
        next_path = path_of_ours(request.query_params.get("next"))
        if self._whose_code(request) is None:
            return _to_login(request, next_path)
        return self._ask_code(request, next_path)

    async def _by_code(self, request: Request, form: FormData) -> Response:
        next_path, account_id = path_of_ours(form.get("next")), self._whose_code(request)
        local = self._sign_in.local
        if account_id is None or local is None:
            return _to_login(request, next_path)
        try:
            account = await local.by_code(account_id, _text(form, "code")[:16], _address(request))
            if account is None:
                return self._ask_code(request, next_path, _WRONG_CODE, 403)
            session = await self._sign_in.arrive(local.arrival(account), self._entrance.former(request))
        except SignInError as error:
            return _later(error, self._ask_code(request, next_path, error.message, wire(error).http))
        response = self._entrance.signed_in(request, session, next_path)
        self._entrance.cookies.drop(response, _SECOND)
        return response

    def _whose_code(self, request: Request) -> str | None:
        return self._sign_in.whose_second_step(self._entrance.cookies.find(request, _SECOND))

    async def _to_company(self, request: Request) -> Response:
        return await self._with_form(request, "login", self._leave_for_company)

    async def _leave_for_company(self, request: Request, form: FormData) -> Response:
        company, next_path = self._sign_in.company, path_of_ours(form.get("next"))
        if company is None:
            return NOT_FOUND.answer(request)
        try:
            begun = await company.begin(next_path, again=_is_again(form.get("prompt")))
        except IssuerUnavailableError as error:
            return self._ask(request, next_path, trouble=error.message, status=wire(error).http)
        response = RedirectResponse(begun.url, 303, {"cache-control": "no-store"})
        self._entrance.cookies.put(response, begun.cookie, begun.ticket, int(UNDER_WAY_FOR.total_seconds()))
        return response

    async def _from_company(self, request: Request) -> Response:
        company = self._sign_in.company
        if company is None:
            return NOT_FOUND.answer(request)
        cookie = cookie_for(request.query_params.get("state", ""))
        ticket = self._entrance.cookies.find(request, cookie)
        try:
            arrival, next_path = await company.finish(_each_once(request), ticket)
            session = await self._sign_in.arrive(arrival, self._entrance.former(request))
        except (SignInError, IssuerUnavailableError) as error:
            response = self._back_to_login(request, company.wanted(ticket), error)
        else:
            response = self._entrance.signed_in(request, session, path_of_ours(next_path))
        self._entrance.drop(request, response, cookie)
        return response

    def _back_to_login(self, request: Request, next_path: str, error: GatewayError) -> Response:
        """To the page, which says what went wrong: at an address without what the provider sent."""
        response = _to_login(request, path_of_ours(next_path), again=True)
        told = self._sign_in.tickets.write(_TROUBLE, {"t": error.message}, _TOLD_WITHIN)
        self._entrance.cookies.put(response, _TROUBLE, told, int(_TOLD_WITHIN.total_seconds()))
        return response

    async def _onward(self, request: Request) -> Response:
        next_path = path_of_ours(request.query_params.get("next"))
        place = f"{request.scope.get('root_path', '')}{next_path}"
        return self._entrance.pages.page(request, "onward.html", place=_whole(place))

    async def _logout(self, request: Request) -> Response:
        if request.method == "GET":
            return self._entrance.form(request, "logout.html", "logout")
        return await self._with_form(request, "logout", self._end)

    async def _end(self, request: Request, form: FormData) -> Response:
        if (session := self._entrance.former(request)) is not None:
            await self._sign_in.sessions.end(session)
        response = redirect(request, "/logout")
        self._entrance.cookies.drop(response, SESSION)
        return response

    async def _with_form(
        self, request: Request, about: str, handle: Callable[[Request, FormData], Awaitable[Response]]
    ) -> Response:
        async with request.form(max_files=0, max_fields=8) as form:
            if not self._entrance.is_ours(request, form, about):
                return FORM_EXPIRED.answer(request)
            return await handle(request, form)

    def _ask(
        self,
        request: Request,
        next_path: str,
        *,
        again: bool = False,
        trouble: str | None = None,
        status: int = 200,
        email: str = "",
    ) -> Response:
        company = self._sign_in.company
        return self._entrance.form(
            request,
            "login.html",
            "login",
            status,
            leaves=company is not None,
            host=self._host,
            company=company,
            local=self._sign_in.local is not None,
            next=_whole(next_path),
            again=again,
            trouble=trouble,
            email=email[:256],
        )

    def _ask_code(self, request: Request, next_path: str, trouble: str | None = None, status: int = 200) -> Response:
        return self._entrance.form(request, "code.html", "code", status, next=_whole(next_path), trouble=trouble)


def redirect(request: Request, path: str) -> RedirectResponse:
    """To a path of ours."""
    response = RedirectResponse("", 303, {"cache-control": "no-store"})
    response.headers["location"] = f"{request.scope.get('root_path', '')}{path}"  # RedirectResponse would quote it anew
    return response


def _to_login(request: Request, next_path: str, *, again: bool = False) -> RedirectResponse:
    wanted = ({"next": next_path} if next_path != FRONT else {}) | ({"prompt": "login"} if again else {})
    return redirect(request, f"/login?{urlencode(wanted)}" if wanted else "/login")


def _later(error: SignInError, page: Response) -> Response:
    if isinstance(error, TooManySignInsError):
        page.headers["retry-after"] = str(error.seconds)
    return page


def _whole(text: str) -> Markup:
    """For an attribute that takes it as it is: what a person reads would be cut."""
    return Markup(html.escape(text))  # noqa: S704 - escaped right here


def _each_once(request: Request) -> dict[str, str]:
    """The query. SignInError where something stands in it twice."""
    query = dict(request.query_params)
    if len(query) != len(request.query_params.multi_items()):
        raise SignInError("The answer says the same thing twice and cannot be trusted. Please sign in again.")
    return query


def _is_again(prompt: object) -> bool:
    return prompt == "login"


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
