"""Beginning, or beginning anew, with an account that this gateway keeps: a password, and perhaps a second factor.

    GET, POST /invitation/{code}       GET shows whom it is for; POST sets the password, uses it up, signs in
    GET, POST /login/second-factor     a QR code for the phone; POST with a code of it turns the second factor on

An invitation's GET changes nothing: mail programs look at links before people do.

Below: `gateway.access.sign_in`, sign_in (the pages' Entrance).
"""

from __future__ import annotations

import segno
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.access.local_accounts import LocalAccounts
from gateway.access.totp import new_totp_secret, otpauth_uri
from gateway.errors import FieldError, InvitationError, SignInError, TooManySignInsError
from gateway.people_types import LocalAccount
from gateway.secret import Secret
from gateway.surfaces.browser.form_guard import FORM_EXPIRED
from gateway.surfaces.browser.pages import visitor_of
from gateway.surfaces.refusal import Refusal
from gateway.surfaces.web.sign_in import LONGEST_PASSWORD, Entrance, redirect
from gateway.wire import wire

_SECOND_FACTOR = "/login/second-factor"


class InvitationPages:
    """`host` is what the gateway is called here, and in the app on the phone."""

    def __init__(self, entrance: Entrance, local: LocalAccounts, host: str) -> None:
        self._entrance = entrance
        self._local = local
        self._host = host

    def routes(self) -> list[Route]:
        return [
            Route("/invitation/{code}", self._invitation, methods=["GET", "POST"]),
            Route(_SECOND_FACTOR, self._second_factor, methods=["GET", "POST"]),
        ]

    async def _invitation(self, request: Request) -> Response:
        code = request.path_params["code"]
        try:
            account = await self._local.invited(code)
            if request.method == "GET":
                return self._ask_password(request, code, account)
            async with request.form(max_files=0, max_fields=8) as form:
                if not self._entrance.is_ours(request, form, f"invitation {code}"):
                    return FORM_EXPIRED.answer(request)
                return await self._accept(request, code, account, Secret(_text(form, "password")[:LONGEST_PASSWORD]))
        except InvitationError as error:
            return Refusal(wire(error).http, error.code, "No invitation (any more)", error.message).answer(request)
        except SignInError as error:
            return Refusal(wire(error).http, error.code, "You cannot sign in", error.message).answer(request)

    async def _accept(self, request: Request, code: str, account: LocalAccount, password: Secret) -> Response:
        try:
            accepted = await self._local.accept(code, password)
        except (FieldError, TooManySignInsError) as error:
            return self._ask_password(request, code, account, error.message, wire(error).http)
        arrival, former = self._local.arrival(accepted), self._entrance.former(request)
        session = await self._entrance.sign_in.arrive_anew(arrival, former)
        return self._entrance.signed_in(request, session, _SECOND_FACTOR)

    def _ask_password(
        self, request: Request, code: str, account: LocalAccount, trouble: str | None = None, status: int = 200
    ) -> Response:
        values = {"account": account, "host": self._host, "code": code, "trouble": trouble, "person": None}
        return self._entrance.form(request, "invitation.html", f"invitation {code}", status, **values)

    async def _second_factor(self, request: Request) -> Response:
        person = visitor_of(request)
        account = await self._local.account_of(person) if person else None
        if account is None:
            return redirect(request, "/")
        if account.sealed is not None:
            return self._entrance.pages.page(request, "second_factor_on.html")
        if request.method == "GET":
            return self._offer(request, account, new_totp_secret())
        async with request.form(max_files=0, max_fields=8) as form:
            secret = _text(form, "secret")
            if not self._entrance.is_ours(request, form, f"second factor {secret}"):
                return FORM_EXPIRED.answer(request)
            return await self._turn_on(request, account, secret, _text(form, "code")[:16])

    async def _turn_on(self, request: Request, account: LocalAccount, secret: str, code: str) -> Response:
        try:
            await self._local.add_totp(account, secret, code)
        except FieldError as error:
            return self._offer(request, account, secret, error.message, wire(error).http)
        return redirect(request, _SECOND_FACTOR)

    def _offer(
        self, request: Request, account: LocalAccount, secret: str, trouble: str | None = None, status: int = 200
    ) -> Response:
        picture = segno.make(otpauth_uri(secret, account.email, self._host), error="m", micro=False)
        return self._entrance.form(
            request,
            "second_factor.html",
            f"second factor {secret}",
            status,
            qr=Markup(picture.svg_inline(border=2, dark="#000", light="#fff", omitsize=True)),  # noqa: S704 - drawn here
            secret=secret,
            trouble=trouble,
        )


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""
