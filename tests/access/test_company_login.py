"""What the company's identity provider has to say, and where it may have us ask, before anybody is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import Key

from gateway.access.company_login import CompanyLogin, Registration, checked
from gateway.access.id_tokens import LEEWAY, read_id_token
from gateway.access.issuer import Issuer
from gateway.access.tickets import Tickets
from gateway.clock import MovableClock
from gateway.errors import IssuerUnavailableError, SignInError
from gateway.secret import Secret
from tests.access.issuing import ISSUER, JWKS, Login, key

OURS = "atp-gateway"
NONCE = "the nonce of this sign-in"
GOOD = {"aud": OURS, "nonce": NONCE, "client_id": None, "scope": None, "jti": None}
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://login.example.com/authorize?realm=acme",
    "token_endpoint": "https://login.example.com/token",
    "userinfo_endpoint": "https://login.example.com/userinfo",
    "jwks_uri": JWKS,
}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def login(clock: MovableClock) -> Login:
    return Login(clock.now(), metadata=dict(METADATA))


@pytest.fixture
def issuer(login: Login) -> Issuer:
    return Issuer(ISSUER, login.fetch, check=checked)


async def read(token: object, issuer: Issuer, clock: MovableClock) -> Mapping[str, Any]:
    return await read_id_token(token, issuer, client_id=OURS, nonce=NONCE, now=clock.now())


@pytest.mark.parametrize("signer", [key("RSA", "one"), key("EC", "two"), key("Ed25519", "three")])
@pytest.mark.parametrize("audience", [OURS, [OURS], [OURS, "another"]])
async def test_a_good_id_token_says_who_it_is(
    login: Login, issuer: Issuer, clock: MovableClock, signer: Key, audience: object
) -> None:
    login.keys = [signer]
    token = login.token({"typ": "JWT"}, GOOD | {"aud": audience, "azp": OURS})

    assert (await read(token, issuer, clock))["sub"] == "4711"


def long_ago(seconds: int) -> dict[str, Any]:
    now = int(MovableClock().now().timestamp())
    return {"iat": now - seconds - 600, "exp": now - seconds}


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": OURS.upper()},
        {"aud": None},
        {"aud": [OURS, "another"], "azp": "another"},
        {"azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ""},
        {"sub": None},
        {"sub": ""},
        {"sub": 4711},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"exp": None},
        {"exp": "4102444800"},
        {"exp": True},
        {"iat": None},
        {"iat": 4102444800},
        long_ago(1),
    ],
)
async def test_an_id_token_that_is_wrong_in_one_claim_signs_nobody_in(
    login: Login, issuer: Issuer, clock: MovableClock, changed: dict[str, Any]
) -> None:
    with pytest.raises(SignInError):
        await read(login.token(None, GOOD | changed), issuer, clock)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS384"},
        {"alg": None},
        {"kid": None},
        {"kid": "another"},
        {"kid": 1},
        {"kid": "../../dev/null"},
        {"crit": ["x"], "x": 1},
        {"jwk": key("EC", "mine").as_dict(private=False)},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/certificate"},
    ],
)
async def test_an_id_token_that_chooses_how_it_is_checked_signs_nobody_in(
    login: Login, issuer: Issuer, clock: MovableClock, header: dict[str, Any]
) -> None:
    with pytest.raises(SignInError):
        await read(login.token(header, GOOD), issuer, clock)


async def test_an_id_token_of_another_key_signs_nobody_in(login: Login, issuer: Issuer, clock: MovableClock) -> None:
    public = login.keys[0].as_pem(private=False)
    forged = login.token({"kid": "one"}, GOOD, by=key("RSA", "forged"))
    for token in (
        forged,
        login.signed_by_hand({"alg": "HS256", "kid": "one"}, public),
        login.unsigned({"alg": "none"}),
        login.unsigned({"alg": "RS256", "kid": "one"}),
        "",
        "a.b",
        "a.b.c",
        None,
        7,
        "x" * 20_000,
    ):
        with pytest.raises(SignInError):
            await read(token, issuer, clock)


async def test_the_providers_clock_may_be_a_little_ahead(login: Login, issuer: Issuer, clock: MovableClock) -> None:
    login.now = clock.now() + LEEWAY - timedelta(seconds=1)

    assert await read(login.token(None, GOOD), issuer, clock)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("issuer", "https://login.example.com/realms/other"),
        ("issuer", f"{ISSUER}/"),
        ("jwks_uri", "https://evil.test/keys"),
        ("token_endpoint", "https://evil.test/token"),
        ("token_endpoint", "http://login.example.com/token"),
        ("token_endpoint", "http://127.0.0.1/token"),
        ("authorization_endpoint", "https://evil.test/authorize"),
        ("userinfo_endpoint", "https://evil.test/userinfo"),
        ("token_endpoint", None),
        ("authorization_endpoint", "javascript:alert(1)"),
    ],
)
async def test_metadata_that_leads_elsewhere_is_not_used(login: Login, issuer: Issuer, name: str, url: object) -> None:
    login.metadata[name] = url

    with pytest.raises(IssuerUnavailableError):
        await issuer.metadata()


async def test_googles_endpoints_are_where_google_documents_them() -> None:
    google = "https://accounts.google.com"
    theirs = {
        "issuer": google,
        "authorization_endpoint": f"{google}/o/oauth2/v2/auth",
        "token_endpoint": "https://oauth2.googleapis.com/token",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
    }

    assert checked(google, theirs) == theirs
    with pytest.raises(IssuerUnavailableError):
        checked(google, theirs | {"token_endpoint": "https://googleapis.com.evil.test/token"})


class Company:
    """A provider by hand: what it answers to a code and to a token is what a test wants."""

    def __init__(self, login: Login, clock: MovableClock, **ours: Any) -> None:
        self.login, self.clock = login, clock
        self.claims: dict[str, Any] = {}
        self.userinfo: Mapping[str, Any] | None = {"sub": "4711", "email": "ada@acme.example", "name": "Ada"}
        self.posted: list[tuple[Mapping[str, str], Mapping[str, str]]] = []
        self.status = 200
        registration = Registration(OURS, Secret("a secret"), "https://gateway.example/login/callback", **ours)
        issuer = Issuer(ISSUER, login.fetch, check=checked)
        tickets = Tickets(b"key", clock)
        self.site = CompanyLogin(issuer, registration, self._post, self._ask, tickets=tickets, clock=clock)
        self._nonce = ""

    async def _post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]] | None:
        assert url == METADATA["token_endpoint"]
        self.posted.append((form, headers))
        token = self.login.token(None, GOOD | {"nonce": self._nonce, "groups": None} | self.claims)
        return self.status, {"access_token": "opaque", "id_token": token}

    async def _ask(self, url: str, token: Secret) -> Mapping[str, Any] | None:
        assert (url, token.reveal()) == (METADATA["userinfo_endpoint"], "opaque")
        return self.userinfo

    async def sign_in(self, *, again: bool = False) -> Any:
        begun = await self.site.begin("/connections", again=again)
        query = {name: values[0] for name, values in parse_qs(urlsplit(begun.url).query).items()}
        self._nonce = query["nonce"]
        return await self.site.finish({"code": "c", "state": query["state"]}, begun.ticket)


async def test_who_somebody_is_comes_from_the_id_token_and_the_rest_from_userinfo_too(
    login: Login, clock: MovableClock
) -> None:
    company = Company(login, clock)
    company.userinfo = {"sub": "4711", "email": "ada@acme.example", "name": "Ada", "groups": ["sales"], "iss": "x"}

    arrival, path = await company.sign_in()

    assert (arrival.principal.issuer, arrival.principal.subject, path) == (ISSUER, "4711", "/connections")
    assert (arrival.name, arrival.email, arrival.principal.groups) == ("Ada", "ada@acme.example", {"sales"})
    form, headers = company.posted[0]
    assert "client_secret" not in form
    assert headers["Authorization"].startswith("Basic ")
    assert len(form["code_verifier"]) == 43


async def test_userinfo_about_somebody_else_signs_nobody_in(login: Login, clock: MovableClock) -> None:
    company = Company(login, clock)
    company.userinfo = {"sub": "4712", "groups": ["administrators"]}

    with pytest.raises(SignInError, match="somebody else"):
        await company.sign_in()


async def test_without_userinfo_groups_could_be_missing_so_nobody_is_signed_in(
    login: Login, clock: MovableClock
) -> None:
    company = Company(login, clock)
    company.userinfo = None

    with pytest.raises(IssuerUnavailableError):
        await company.sign_in()


@pytest.mark.parametrize(
    ("claims", "gets_in"),
    [
        ({"email": "ada@acme.example", "email_verified": True}, True),
        ({"email": "ada@ACME.example", "email_verified": True}, True),
        ({"email": "ada@acme.example"}, False),
        ({"email": "ada@acme.example", "email_verified": "true"}, False),
        ({"email": "ada@acme.example", "email_verified": False}, False),
        ({"email": "ada@evil.example", "email_verified": True}, False),
        ({"email": "ada@acme.example.evil.example", "email_verified": True}, False),
        ({"email": "acme.example", "email_verified": True}, False),
        ({"email_verified": True}, False),
    ],
)
async def test_only_verified_addresses_of_the_companys_domains_get_in(
    login: Login, clock: MovableClock, claims: dict[str, Any], gets_in: bool
) -> None:
    company = Company(login, clock, domains=frozenset({"acme.example"}))
    company.userinfo = {"sub": "4711"}
    company.claims = claims

    if gets_in:
        assert await company.sign_in()
    else:
        with pytest.raises(SignInError, match="of this company"):
            await company.sign_in()


async def test_a_person_without_the_tenants_claim_is_nobodys(login: Login, clock: MovableClock) -> None:
    company = Company(login, clock, tenant_claim="org")
    with pytest.raises(SignInError, match="tenant"):
        await company.sign_in()

    company.claims = {"org": "acme"}

    assert (await company.sign_in())[0].principal.tenant == "acme"


@pytest.mark.parametrize(("status", "kind"), [(400, SignInError), (401, SignInError), (503, IssuerUnavailableError)])
async def test_a_code_that_is_not_exchanged_signs_nobody_in(
    login: Login, clock: MovableClock, status: int, kind: type[Exception]
) -> None:
    company = Company(login, clock)
    company.status = status

    with pytest.raises(kind):
        await company.sign_in()


@pytest.mark.parametrize(
    ("proved", "gets_in"),
    [(0, True), (-60, True), (-61, False), (-86_400, False), (None, True), ("now", False), (True, False)],
)
async def test_who_was_to_be_asked_anew_and_was_not_is_not_signed_in(
    login: Login, clock: MovableClock, proved: object, gets_in: bool
) -> None:
    """A provider that says nothing of it is believed."""
    company = Company(login, clock)
    moment = int(clock.now().timestamp())
    company.claims = {"auth_time": moment + proved if type(proved) is int else proved}

    assert await company.sign_in()
    if gets_in:
        assert await company.sign_in(again=True)
    else:
        with pytest.raises(SignInError, match="asking you anew"):
            await company.sign_in(again=True)


async def test_a_path_that_is_too_long_for_a_cookie_is_left_behind(login: Login, clock: MovableClock) -> None:
    begun = await Company(login, clock).site.begin("/authorize?" + "x" * 5_000)

    assert len(begun.cookie) + len(begun.ticket) < 3_800
    assert Company(login, clock).site.wanted(begun.ticket) == "/"
