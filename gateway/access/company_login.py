"""Signing in with the company's identity provider: an OpenID Connect relying party, by authorization code.

What ties the answer to the browser that asked is a ticket in a cookie. `state`, `nonce` and the PKCE verifier are made
from it with our key, so that they need be kept nowhere, and a code that was got with another browser's is no use. Who
somebody is comes from the ID token alone; name, address and groups may also come from userinfo, which has to be about
the same person.

Below: issuer, id_tokens, tickets, and two functions that reach the provider. Above: sign_in.
Source: OpenID Connect Core 1.0 section 3.1; RFC 7636, RFC 9207, RFC 9700.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from gateway.access.id_tokens import read_id_token
from gateway.access.introspection import Post
from gateway.access.issuer import Issuer
from gateway.access.people import Arrival
from gateway.access.tickets import Tickets
from gateway.clock import Clock
from gateway.errors import IssuerUnavailableError, SettingsError, SignInError
from gateway.providers.addresses import check_url, is_loopback, same_site
from gateway.secret import Secret
from gateway.types import Principal

log = logging.getLogger(__name__)

UNDER_WAY_FOR = timedelta(minutes=10)
_PURPOSE = "company login"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
_ELSEWHERE = {
    "https://accounts.google.com": ("googleapis.com",),
    "https://login.microsoftonline.com": ("microsoft.com",),
}
"""Issuers' sites whose endpoints are documented to be at another site, too."""
_NAMES = {
    "google.com": "Google",
    "microsoftonline.com": "Microsoft",
    "okta.com": "Okta",
    "auth0.com": "Auth0",
    "onelogin.com": "OneLogin",
    "gitlab.com": "GitLab",
}
_UNNAMED = "your company"
_MOST_GROUPS = 1_000
_LONGEST_PATH = 2_400  # characters: there is room for as much in a cookie

AskAs = Callable[[str, Secret], Awaitable[Mapping[str, Any] | None]]
"""The JSON object at a URL that a bearer token opens, or None where there is none to be had."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What we are at the company's identity provider, and what it says of people. `domains`: of e-mail addresses that
    may sign in; empty for all."""

    client_id: str
    client_secret: Secret
    redirect_uri: str
    groups_claim: str = "groups"
    tenant_claim: str | None = None
    domains: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and what it is to bring back in a cookie of this name."""

    url: str
    cookie: str
    ticket: str


class CompanyLogin:
    """`issuer` is the provider, with `checked` as its check."""

    def __init__(
        self, issuer: Issuer, ours: Registration, post: Post, ask_as: AskAs, *, tickets: Tickets, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._ours = ours
        self._post = post
        self._ask_as = ask_as
        self._tickets = tickets
        self._clock = clock

    @property
    def host(self) -> str:
        """Where people are sent."""
        return urlsplit(self._issuer.url).hostname or ""

    @property
    def name(self) -> str:
        """What a page calls the provider."""
        return next((name for site, name in _NAMES.items() if f".{self.host}".endswith(f".{site}")), _UNNAMED)

    async def close(self) -> None:
        """Stop reading what the provider says of itself."""
        await self._issuer.close()

    def wanted(self, ticket: str | None) -> str:
        """The path that somebody wanted, though it came to nothing."""
        return (self._tickets.read(_PURPOSE, ticket) or {"n": "/"})["n"]

    async def begin(self, next_path: str, *, again: bool = False) -> Begun:
        """Off to the provider. IssuerUnavailableError. `again`: the person is to prove anew who they are."""
        metadata = await self._issuer.metadata()
        says = {"r": secrets.token_urlsafe(32), "n": next_path if len(next_path) <= _LONGEST_PATH else "/"}
        since = {"a": str(int(self._clock.now().timestamp()))} if again else {}
        ticket = self._tickets.write(_PURPOSE, says | since, UNDER_WAY_FOR)
        verifier = self._tickets.code("verifier", ticket)
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        state = self._tickets.code("state", ticket)
        asked = {
            "response_type": "code",
            "client_id": self._ours.client_id,
            "redirect_uri": self._ours.redirect_uri,
            "scope": " ".join(self._scopes(metadata)),
            "state": state,
            "nonce": self._tickets.code("nonce", ticket),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if again else {}),
        }
        url = str(metadata["authorization_endpoint"])
        return Begun(f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}", cookie_for(state), ticket)

    async def finish(self, answer: Mapping[str, str], ticket: str | None) -> tuple[Arrival, str]:
        """Who it is, and the path they wanted. SignInError, IssuerUnavailableError."""
        says = self._tickets.read(_PURPOSE, ticket)
        state = self._tickets.code("state", ticket or "")
        if says is None or not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
            raise SignInError("This sign-in was begun in another browser, or too long ago. Please sign in again.")
        metadata = await self._issuer.metadata()
        self._check_issuer(answer, metadata)
        if "error" in answer or "code" not in answer:
            log.warning("the company's sign-in ended with %r", answer.get("error", "no code")[:100])
            raise SignInError("Your company's sign-in did not let you in. Try again, or ask whoever runs it.")
        tokens = await self._exchange(answer["code"], ticket or "", metadata)
        claims = await read_id_token(
            tokens.get("id_token"),
            self._issuer,
            client_id=self._ours.client_id,
            nonce=self._tickets.code("nonce", ticket or ""),
            now=self._clock.now(),
            since=datetime.fromtimestamp(int(says["a"]), UTC) if "a" in says else None,
        )
        return self._arrival(await self._completed(claims, tokens, metadata)), says["n"]

    def _scopes(self, metadata: Mapping[str, Any]) -> list[str]:
        offered = metadata.get("scopes_supported")
        more = [self._ours.groups_claim] if isinstance(offered, list) and self._ours.groups_claim in offered else []
        return ["openid", "email", "profile", *more]

    def _check_issuer(self, answer: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
        """RFC 9207: an answer of another server than the one that was asked is none."""
        says_so = metadata.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", self._issuer.url) != self._issuer.url or (says_so and "iss" not in answer):
            raise SignInError("The answer is from another server than the one that was asked. Please sign in again.")

    async def _exchange(self, code: str, ticket: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._ours.redirect_uri,
            "code_verifier": self._tickets.code("verifier", ticket),
        }
        who, secret = self._ours.client_id, self._ours.client_secret.reveal()
        headers = {}
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in methods:
            pair = f"{quote_plus(who)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": who, "client_secret": secret}
        status, found = await self._post(str(metadata["token_endpoint"]), form, headers) or (0, {})
        if status == 200:
            return found
        if 400 <= status < 500:
            log.error("%s does not exchange a code for us: HTTP %d %.60r", self._issuer.url, status, found.get("error"))
            raise SignInError("Your company's sign-in took its answer back. Please sign in again.")
        raise IssuerUnavailableError(f"{self._issuer.url} does not answer right now. Try again in a moment.")

    async def _completed(
        self, claims: Mapping[str, Any], tokens: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """With what userinfo says beside the ID token. Without its answer groups could be missing: nobody gets in."""
        wanted = {"email", "name", self._ours.groups_claim}
        token = tokens.get("access_token")
        if wanted <= claims.keys() or "userinfo_endpoint" not in metadata or not isinstance(token, str):
            return claims
        more = await self._ask_as(str(metadata["userinfo_endpoint"]), Secret(token))
        if more is None:
            raise IssuerUnavailableError(f"{self._issuer.url} says nothing about people right now. Try again soon.")
        if more.get("sub") != claims["sub"]:
            raise SignInError("Your company's sign-in told of somebody else. Please sign in again.")
        return {**more, **claims}

    def _arrival(self, claims: Mapping[str, Any]) -> Arrival:
        email = _text(claims.get("email"))
        if self._ours.domains:
            _, at, domain = (email or "").lower().rpartition("@")
            if claims.get("email_verified") is not True or not at or domain not in self._ours.domains:
                raise SignInError("Only people with an e-mail address of this company may sign in here.")
        tenant = _text(claims.get(self._ours.tenant_claim)) if self._ours.tenant_claim else "default"
        if tenant is None:
            raise SignInError("Your company's sign-in does not say which tenant you belong to. Ask whoever runs it.")
        groups = claims.get(self._ours.groups_claim)
        listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        told = frozenset(group for group in listed[:_MOST_GROUPS] if isinstance(group, str))
        person = Principal(self._issuer.url, str(claims["sub"]), tenant, told)
        return Arrival(person, _text(claims.get("name")), email, "company")


def checked(issuer: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata, if this provider may have written it. IssuerUnavailableError."""
    if found.get("issuer") != issuer:
        raise IssuerUnavailableError(
            f"[access] login_issuer is {issuer}, but the metadata there names another one. Set it to exactly what "
            "stands there, to the last slash."
        )
    for name in _ENDPOINTS:
        url = found.get(name)
        if url is None and name == "userinfo_endpoint":
            continue
        try:
            check_url(str(url or ""), f"{name} of {issuer}")
        except SettingsError as error:
            raise IssuerUnavailableError(f"{error} It is not used.") from None
        if not _is_theirs(str(url), issuer):
            raise IssuerUnavailableError(f"{name} of {issuer} is at another site, so it is not used.")
    return found


def cookie_for(state: str) -> str:
    """The name of the cookie that a sign-in's ticket is in: several may be under way in one browser."""
    return f"login-{hashlib.sha256(state.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _is_theirs(url: str, issuer: str) -> bool:
    here, there = urlsplit(url).hostname or "", urlsplit(issuer)
    if is_loopback(here) and not is_loopback(there.hostname or ""):
        return False
    documented = _ELSEWHERE.get(f"{there.scheme}://{there.netloc}", ())
    return same_site(url, issuer) or any(here.endswith(f".{site}") for site in documented)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable() else None
