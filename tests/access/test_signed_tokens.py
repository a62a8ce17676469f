"""Signed access tokens: one that is good, and every way in which one is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.access.authenticator import Refused
from gateway.access.claims import LEEWAY, Expected
from gateway.access.issuer import Issuer
from gateway.access.presets import PRESETS
from gateway.access.signed_tokens import KEPT_FOR, SignedTokens
from gateway.clock import MovableClock
from gateway.errors import IssuerUnavailableError
from gateway.types import Access, AccessKind, Principal
from tests.access.issuing import ISSUER, RESOURCE, Login, encoded, key


class Timer:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class House:
    """A gateway that believes one issuer."""

    def __init__(self, preset: str = "rfc9068", **expected: Any) -> None:
        self.clock, self.timer = MovableClock(), Timer()
        self.login = Login(self.clock.now())
        wanted = {"audiences": frozenset({RESOURCE}), **expected}
        issuer = Issuer(ISSUER, self.login.fetch, timer=self.timer)
        self.way = SignedTokens(
            issuer, Expected(ISSUER, preset=PRESETS[preset], **wanted), self.clock, timer=self.timer
        )

    async def access(self, token: str) -> Access:
        found = await self.way.find(token)
        assert isinstance(found, Access), found
        return found

    async def refused(self, token: str) -> str:
        found = await self.way.find(token)
        assert isinstance(found, Refused), found
        assert found.error == "invalid_token"
        return found.description

    def pass_by(self, seconds: float) -> None:
        self.timer.seconds += seconds
        self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def house() -> House:
    return House()


async def test_a_good_token_says_who_it_is_at_whose_request_and_for_what(house: House) -> None:
    access = await house.access(house.login.token())

    assert access.principal == Principal(ISSUER, "4711", "default", frozenset({"sales", "emea"}))
    assert (access.client, access.kind, access.scopes) == ("inspector", AccessKind.TOKEN, {"tools", "offline_access"})
    assert access.expires_at == house.clock.now().replace(microsecond=0) + timedelta(seconds=600)


@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed25519"])
async def test_every_usual_kind_of_key_will_do(house: House, kind: str) -> None:
    house.login.keys = [key(kind, "one")]
    await house.access(house.login.token())


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_type_may_be_spelled_as_media_types_may(house: House, typ: str) -> None:
    await house.access(house.login.token({"typ": typ}))


# --- for whom it is (A1) ---


@pytest.mark.parametrize(
    "audience",
    [
        "https://other.example.com/mcp",
        "https://gateway.example.com",
        "https://gateway.example.com/",
        "https://gateway.example.com/mcp/",
        "https://gateway.example.com/mcp2",
        "https://gateway.example.com/mcp?x=1",
        "https://gateway.example.com/mcp#x",
        "https://gateway.example.com:443/mcp",
        "https://GATEWAY.example.com/mcp",
        "https://gateway.example.com/MCP",
        "https://gateway.example.com/%6dcp",
        "http://gateway.example.com/mcp",
        "https://gateway.example.com.evil.example/mcp",
        " https://gateway.example.com/mcp",
        "inspector",
        "",
        [],
        ["https://other.example.com/mcp", "https://gateway.example.com/mcp/"],
        [["https://gateway.example.com/mcp"]],
        {"https://gateway.example.com/mcp": True},
        1,
        True,
        None,
    ],
)
async def test_a_token_for_another_resource_is_refused(house: House, audience: Any) -> None:
    assert "another audience" in await house.refused(house.login.token(claims={"aud": audience}))


async def test_of_several_audiences_one_has_to_be_us(house: House) -> None:
    await house.access(house.login.token(claims={"aud": ["https://other.example.com", RESOURCE]}))


@pytest.mark.parametrize(
    "issuer", ["https://login.example.com/realms/acme/", "https://login.example.com/realms/other", "", 1, None]
)
async def test_a_token_of_another_issuer_is_refused(house: House, issuer: Any) -> None:
    assert "another issuer" in await house.refused(house.login.token(claims={"iss": issuer}))


async def test_an_id_token_is_refused(house: House) -> None:
    own = {"aud": "inspector", "nonce": "n", "at_hash": "h", "scope": None}
    assert "no access token" in await house.refused(house.login.token({"typ": "JWT"}, own))
    assert "no access token" in await house.refused(house.login.token({"typ": None}, own))
    # even where somebody has made its audience ours
    assert "no access token" in await house.refused(house.login.token(claims={**own, "aud": RESOURCE}))


@pytest.mark.parametrize(
    "typ", ["JWT", "", "rt+jwt", "logout+jwt", "dpop+jwt", "oauth-id-jag+jwt", ["at+jwt"], 1, None]
)
async def test_a_signed_token_of_another_sort_is_refused(house: House, typ: Any) -> None:
    await house.refused(house.login.token({"typ": typ}))


@pytest.mark.parametrize("text", ["refresh-token", "a.b.c", "..", "a..", ".a.", "x" * 5000, "1.2.3.4.5", "é.é.é"])
async def test_what_is_no_signed_token_at_all_is_refused(house: House, text: str) -> None:
    await house.refused(text)
    assert house.login.asked == []


# --- by whom it is (A3) ---

HEAD = {"typ": "at+jwt", "alg": "RS256", "kid": "one"}
MINE = key("RSA", "attacker")


def _public_pem() -> bytes:
    return key("RSA", "one").as_pem(private=False)


FORGERIES: dict[str, Callable[[Login], str]] = {
    "alg none": lambda login: login.unsigned({**HEAD, "alg": "none"}),
    "alg None": lambda login: login.unsigned({**HEAD, "alg": "None"}),
    "alg nOnE with a signature": lambda login: login.unsigned({**HEAD, "alg": "nOnE"}, b"x" * 256),
    "no alg": lambda login: login.unsigned({"typ": "at+jwt", "kid": "one"}),
    "alg is a list": lambda login: login.unsigned({**HEAD, "alg": ["RS256"]}),
    "HS256 with the public key": lambda login: login.signed_by_hand({**HEAD, "alg": "HS256"}, _public_pem()),
    "HS256 with an empty key": lambda login: login.signed_by_hand({**HEAD, "alg": "HS256"}, b""),
    "an empty signature": lambda login: login.unsigned(HEAD),
    "a signature of zeros": lambda login: login.unsigned(HEAD, bytes(256)),
    "another's signature": lambda login: login.token({"kid": "one"}, by=MINE),
    "another's key in the token": lambda login: login.token(
        {"jwk": MINE.as_dict(private=False), "kid": "one"}, by=MINE
    ),
    "another's key alone in the token": lambda login: login.token(
        {"jwk": MINE.as_dict(private=False), "kid": None}, by=MINE
    ),
    "a jku": lambda login: login.token({"jku": "https://evil.example/keys", "kid": "attacker"}, by=MINE),
    "a jku that is right": lambda login: login.token({"jku": "https://login.example.com/keys"}),
    "an x5u": lambda login: login.token({"x5u": "https://evil.example/cert", "kid": "one"}, by=MINE),
    "a certificate of its own": lambda login: login.token({"x5c": ["MIIB"], "kid": "one"}, by=MINE),
    "an unknown crit": lambda login: login.token({"crit": ["exp"], "exp": 1}),
    "a crit of b64": lambda login: login.token({"crit": ["b64"], "b64": True}),
    "an empty crit": lambda login: login.token({"crit": []}),
    "a kid that climbs": lambda login: login.token({"kid": "../../dev/null"}, by=MINE),
    "a kid that asks": lambda login: login.token({"kid": "one' OR '1'='1"}, by=MINE),
    "a kid nobody has": lambda login: login.token(by=MINE),
    "a kid that is a number": lambda login: login.token({"kid": 1}),
    "no kid": lambda login: login.token({"kid": None}),
    "another algorithm than was signed": lambda login: login.token({"alg": "PS256"}),
    "an algorithm of another kind of key": lambda login: login.token({"alg": "ES256"}),
    "claims that were exchanged": lambda login: _with_other_claims(login, sub="0815"),
    "a header that says alg twice": lambda login: login.token(
        b'{"typ":"at+jwt","kid":"one","alg":"none","alg":"RS256"}'
    ),
    "a header that is no object": lambda login: login.token(b"[]"),
    "a header that is no JSON": lambda login: login.token(b"{"),
    "a header nested for ever": lambda login: login.token(b"[" * 9000),
    "two signatures": lambda login: login.token() + "." + encoded(bytes(256)),
}


def _with_other_claims(login: Login, **changes: Any) -> str:
    head, _, signature = login.token().split(".")
    return f"{head}.{encoded(login.claims(**changes))}.{signature}"


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_token_is_refused(house: House, forgery: str) -> None:
    await house.access(house.login.token())
    await house.refused(FORGERIES[forgery](house.login))
    assert {url for url in house.login.asked if "evil" in url} == set()


@pytest.mark.parametrize(
    "published",
    [
        {"kty": "oct", "kid": "attacker", "k": encoded(b"x" * 64)},
        key("RSA", "attacker").as_dict(private=True),
        {**key("RSA", "attacker").as_dict(private=False), "use": "enc"},
        {**key("RSA", "attacker").as_dict(private=False), "alg": "RS512"},
        key("small RSA", "attacker").as_dict(private=False),
        {"kty": "RSA", "kid": "attacker", "n": "!", "e": "AQAB"},
        {"kty": "what", "kid": "attacker"},
        {"kid": "attacker"},
        "attacker",
    ],
    ids=["secret", "private", "for ciphers", "for RS512", "short", "broken", "unknown kind", "no kind", "no object"],
)
async def test_a_key_that_is_not_for_this_verifies_nothing_and_spoils_no_other(
    house: House, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = house.login
    login.key_set = lambda: {"keys": [published, login.keys[0].as_dict(private=False)]}  # type: ignore[method-assign]
    signer = key(
        "small RSA" if isinstance(published, dict) and len(str(published.get("n"))) < 200 else "RSA", "attacker"
    )

    await house.refused(login.token(by=signer))

    await house.access(login.token())


# --- from when to when ---


async def test_a_token_that_has_ended_or_not_begun_is_refused(house: House) -> None:
    """The issuer's clock may be half a minute ahead."""
    now = int(house.clock.now().timestamp())
    edge = int(LEEWAY.total_seconds())
    await house.access(house.login.token(claims={"exp": now + 1}))
    assert "has ended" in await house.refused(house.login.token(claims={"exp": now}))
    await house.access(house.login.token(claims={"nbf": now + edge}))
    assert "not good yet" in await house.refused(house.login.token(claims={"nbf": now + edge + 2}))


@pytest.mark.parametrize("end", ["tomorrow", True, -1, 1e30, [], {}, float("inf"), None])
async def test_a_token_without_a_sensible_end_is_refused(house: House, end: Any) -> None:
    await house.refused(house.login.token(claims={"exp": end}))


# --- who it is, and for what ---


@pytest.mark.parametrize("subject", ["", " \x00", "a\nb", "x" * 256, 1, ["4711"], None])
async def test_a_token_that_does_not_say_for_whom_it_acts_is_refused(house: House, subject: Any) -> None:
    """Two people of one client would be one to us (A9)."""
    assert "whom it acts for" in await house.refused(house.login.token(claims={"sub": subject}))


async def test_a_token_without_client_or_scope_is_refused(house: House) -> None:
    assert "which client" in await house.refused(house.login.token(claims={"client_id": None}))
    assert "no scope" in await house.refused(house.login.token(claims={"scope": None}))
    assert "no scope" in await house.refused(house.login.token(claims={"scope": 1}))
    assert (await house.access(house.login.token(claims={"scope": ""}))).scopes == frozenset()


@pytest.mark.parametrize(
    ("groups", "found"), [("sales", {"sales"}), (["a", 1, None, "b"], {"a", "b"}), ({"a": 1}, set()), (None, set())]
)
async def test_groups_are_what_is_plainly_a_list_of_names(house: House, groups: Any, found: set[str]) -> None:
    assert (await house.access(house.login.token(claims={"groups": groups}))).principal.groups == found


async def test_groups_and_tenant_may_come_from_other_claims() -> None:
    house = House(groups_claim="https://acme.example/groups", tenant_claim="org_id")
    claims = {"https://acme.example/groups": ["ops"], "org_id": "acme"}
    assert (await house.access(house.login.token(claims=claims))).principal == Principal(
        ISSUER, "4711", "acme", frozenset({"ops"})
    )
    assert "of which tenant" in await house.refused(house.login.token())


# --- presets ---

KEYCLOAK = {"typ": "Bearer", "azp": "inspector", "client_id": None}
ENTRA = {"scp": "tools", "azp": "inspector", "ver": "2.0", "aud": "5e3c", "scope": None, "client_id": None}
OKTA = {
    "scp": ["tools"],
    "cid": "inspector",
    "uid": "00u1",
    "sub": "ada@acme.example",
    "scope": None,
    "client_id": None,
}
AUTH0 = {"azp": "inspector", "aud": [RESOURCE, "https://acme.auth0.com/userinfo"], "client_id": None}


@pytest.mark.parametrize(
    ("preset", "typ", "claims", "subject"),
    [
        ("keycloak", "JWT", KEYCLOAK, "4711"),
        ("keycloak", "at+jwt", KEYCLOAK, "4711"),
        ("entra", "JWT", ENTRA, "4711"),
        ("okta", None, OKTA, "00u1"),
        ("okta", "application/okta-internal-at+jwt", OKTA, "00u1"),
        ("auth0", "JWT", AUTH0, "4711"),
        ("auth0", "at+jwt", {}, "4711"),
    ],
)
async def test_a_presets_tokens_are_read_as_its_server_writes_them(
    preset: str, typ: str | None, claims: dict[str, Any], subject: str
) -> None:
    house = House(preset, audiences=frozenset({"5e3c" if preset == "entra" else RESOURCE}))
    access = await house.access(house.login.token({"typ": typ}, claims))
    assert (access.principal.subject, access.client, "tools" in access.scopes) == (subject, "inspector", True)


@pytest.mark.parametrize(
    ("preset", "typ", "claims"),
    [
        ("keycloak", "JWT", {**KEYCLOAK, "typ": "ID"}),
        ("keycloak", "JWT", {**KEYCLOAK, "typ": "Refresh"}),
        ("keycloak", "JWT", {**KEYCLOAK, "typ": None}),
        ("keycloak", "JWT", {**KEYCLOAK, "typ": ["Bearer"]}),
        ("keycloak", "JWT", {**KEYCLOAK, "aud": "account"}),
        ("entra", "JWT", {**ENTRA, "scp": None}),  # an ID token, and what an app got for itself
        ("entra", "JWT", {**ENTRA, "ver": "1.0"}),
        ("entra", "JWT", {**ENTRA, "aud": "00000003-0000-0000-c000-000000000000"}),
        ("entra", "at+jwt", ENTRA),
        ("okta", None, {**OKTA, "aud": "0oa1"}),
        ("okta", None, {**OKTA, "scp": None}),
        ("okta", None, {**OKTA, "uid": None}),
        ("auth0", "JWT", {**AUTH0, "aud": "inspector"}),
        ("auth0", "JWT", {**AUTH0, "nonce": "n"}),
    ],
)
async def test_a_presets_other_tokens_are_refused(preset: str, typ: str | None, claims: dict[str, Any]) -> None:
    house = House(preset, audiences=frozenset({"5e3c" if preset == "entra" else RESOURCE}))
    await house.refused(house.login.token({"typ": typ}, claims))


# --- whatever stands there ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["iss", "sub", "aud", "exp", "nbf", "typ", "ver", "scope", "scp", "azp", "cid", "uid", "groups"]
)


@given(changes=st.dictionaries(NAMES, JSON, max_size=5), preset=st.sampled_from(list(PRESETS)))
@settings(max_examples=200, deadline=None)
def test_any_claims_at_all_are_an_answer_and_never_a_crash(changes: dict[str, Any], preset: str) -> None:
    login = Login(MovableClock().now())
    expected = Expected(ISSUER, frozenset({RESOURCE}), PRESETS[preset], tenant_claim="azp")
    assert isinstance(expected.access({**login.claims(), **changes}, login.now), Access | Refused)


@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "b64", "x5c"]), JSON, max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_header_at_all_is_an_answer_and_never_a_crash(header: dict[str, Any]) -> None:
    async def show() -> Access | Refused:
        house = House()
        return await house.way.find(house.login.token({"kid": "one", **header}))

    assert isinstance(anyio.run(show), Access | Refused)


# --- remembering ---


async def test_a_good_token_is_not_verified_again_for_a_few_seconds_nor_after_its_end(house: House) -> None:
    now = int(house.clock.now().timestamp())
    token = house.login.token(claims={"exp": now + 3})
    await house.access(token)
    house.login.keys = []
    house.login.is_down = True
    house.pass_by(1)
    await house.access(token)
    house.pass_by(3)
    assert "has ended" in await house.refused(token)
    assert KEPT_FOR <= 5


async def test_without_keys_nothing_can_be_told(house: House) -> None:
    house.login.is_down = True
    with pytest.raises(IssuerUnavailableError):
        await house.way.find(house.login.token())
