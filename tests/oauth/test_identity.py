"""Whose account was connected; what is not known loses nothing, and what is wrong is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from gateway.errors import FlowError
from gateway.oauth.identity import Accounts, expected_issuer
from gateway.oauth.token_answer import TokenAnswer
from gateway.secret import Secret
from gateway.types import Credential, FlowStatus
from tests.oauth.conftest import ALICE, http


@pytest.fixture
async def app(house):
    return await house.apps.get("acme")


@pytest.fixture
def accounts(house):
    return Accounts(house.client, house.transport, house.clock)


@pytest.fixture
def signed(server, issuer, clock):
    """An id_token as acme signs it, with changes."""

    def sign(key=server._key, header=None, **changes: object) -> TokenAnswer:
        now = int(clock.now().timestamp())
        claims = {
            "iss": issuer, "aud": "our id", "sub": "user-1", "nonce": "our nonce", "iat": now, "exp": now + 600,
            "email": "alice@example.com",
        }  # fmt: skip
        claims = {name: value for name, value in (claims | changes).items() if value is not ...}
        header = header or {"alg": "ES256", "kid": "signing"}
        return answer(jwt.encode(header, claims, key, algorithms=["ES256", "HS256"]))

    return sign


def answer(id_token: str | None) -> TokenAnswer:
    return TokenAnswer(Secret("access"), None, Secret(id_token) if id_token else None, None, None, {}, {})


async def test_the_account_is_what_the_id_token_says(accounts, app, signed):
    account = await accounts.identify(app, signed(), "our nonce")
    assert (account.id, account.label) == ("user-1", "alice@example.com")


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another consent's"},
        {"nonce": ...},
        {"iss": "https://evil.example.com"},
        {"iss": ...},
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"aud": ...},
        {"sub": ...},
        {"exp": ...},
    ],
    ids=str,
)
async def test_an_id_token_for_another_consent_is_refused(accounts, app, signed, changes):
    """OpenID Connect Core 1.0 section 3.1.3.7."""
    with pytest.raises(FlowError, match="does not belong to this consent"):
        await accounts.identify(app, signed(**changes), "our nonce")


async def test_a_signature_of_somebody_else_is_refused(accounts, app, signed):
    stranger = ECKey.generate_key("P-256", {"kid": "signing"})
    with pytest.raises(FlowError):
        await accounts.identify(app, signed(stranger), "our nonce")
    with pytest.raises(FlowError):
        await accounts.identify(app, signed(stranger, {"alg": "ES256", "kid": "unknown"}), "our nonce")


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_no_signature_and_one_keyed_with_our_own_secret_are_refused(accounts, app, signed):
    def part(table: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(table).encode()).decode().rstrip("=")

    unsigned = f"{part({'alg': 'none'})}.{part({'iss': app.provider.issuer, 'sub': 'x'})}."
    with pytest.raises(FlowError):
        await accounts.identify(app, answer(unsigned), "our nonce")
    with pytest.raises(FlowError):
        await accounts.identify(app, signed(OctKey.import_key("our secret"), {"alg": "HS256"}), "our nonce")


@pytest.mark.parametrize("text", ["garbage", "a.b.c", "....", "e30.e30.e30"])
async def test_what_is_no_id_token_at_all_is_refused(accounts, app, text):
    with pytest.raises(FlowError):
        await accounts.identify(app, answer(text), "our nonce")


async def test_a_clock_that_is_wrong_costs_the_label_and_not_the_grant(accounts, app, signed, clock):
    late = signed()
    clock.advance(timedelta(hours=1))
    assert (await accounts.identify(app, late, "our nonce")).label is None


async def test_a_missing_id_token_costs_the_label_and_not_the_grant(accounts, app):
    assert (await accounts.identify(app, answer(None), "our nonce")).id == "unnamed"


async def test_keys_that_cannot_be_read_cost_the_label_and_not_the_grant(house, server):
    flow = await house.begin()
    back = await house.come_back(flow)
    server.fail_next(endpoint="jwks")
    ended = await house.flows.complete("acme", back.query, back.browser, ALICE)
    assert ended.status is FlowStatus.CONNECTED
    credential = await house.credential()
    assert isinstance(credential, Credential)
    assert credential.account is None
    house.clock.advance(timedelta(seconds=1))
    await house.connect()
    labels = {connection.account_label for connection in await house.connections.list(ALICE)}
    assert labels == {None, "alice@example.com"}, "it cannot be told that both are one account, so neither is lost"
    assert (await house.credential()).account == "alice@example.com", "but the one with a name is the one to use"


async def test_userinfo_that_is_no_object_supplies_no_name(accounts, app, endpoint, signed):
    scripted, url = endpoint
    scripted.reply = http("200 OK", [{"sub": "user-1", "email": "evil@example.com"}])
    elsewhere = replace(app, provider=replace(app.provider, userinfo_url=url))
    account = await accounts.identify(elsewhere, signed(email=...), "our nonce")
    assert (account.id, account.label) == ("user-1", None)
    assert len(scripted.requests) == 1


async def test_userinfo_supplies_a_name_that_the_id_token_leaves_out_if_it_is_the_same_person(
    house, server, accounts, app, signed
):
    flow = await house.connect()
    token = (await house.grants.open(await house.row())).access_token
    assert flow.status is FlowStatus.CONNECTED
    subject = server.people["alice"].subject
    nameless = signed(email=..., sub=subject)
    mine = TokenAnswer(token, None, nameless.id_token, None, None, {}, {})
    assert (await accounts.identify(app, mine, "our nonce")).label == "alice@example.com"
    theirs = TokenAnswer(token, None, signed(email=..., sub="somebody else").id_token, None, None, {}, {})
    assert (await accounts.identify(app, theirs, "our nonce")).label is None


@pytest.mark.parametrize(
    ("source", "reply", "expected"),
    [
        ("userinfo", {"org": {"id": 7}, "user": "u1", "mail": " a@b.example\n"}, ("7:u1", "a@b.example")),
        ("userinfo", {"org": {"id": 7}}, ("unnamed", None)),
        ("userinfo", [1], ("unnamed", None)),
        ("introspection", {"active": True, "org": {"id": 7}, "user": "u1"}, ("7:u1", None)),
        ("introspection", {"active": False, "org": {"id": 7}, "user": "u1"}, ("unnamed", None)),
    ],
)
async def test_an_account_is_named_by_what_its_provider_offers(house_of, endpoint, source, reply, expected):
    scripted, url = endpoint
    scripted.reply = http("200 OK", reply)
    table = {
        "authorization_url": f"{url}/a", "token_url": f"{url}/t", "userinfo_url": f"{url}/u",
        "introspection": {"url": f"{url}/i"},
        "identity": {"source": source, "account_id": ["org.id", "user"], "label": ["nick", "mail"]},
    }  # fmt: skip
    async with house_of(table) as house:
        accounts = Accounts(house.client, house.transport, house.clock)
        account = await accounts.identify(await house.apps.get("acme"), answer(None), "nonce")
    assert (account.id, account.label) == expected
    assert b"access" in scripted.requests[0]
    assert b"access" not in scripted.requests[0].split(b"\r\n")[0], "a token is never part of a URL"


async def test_without_an_identity_there_is_one_unnamed_account(house_of, issuer, server):
    table = {"authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token"}
    async with house_of(table) as house:
        await house.connect("read")
        await house.connect("read")
        [connection] = await house.connections.list(ALICE)
        assert (connection.account_id, connection.account_label, connection.version) == ("unnamed", None, 2)
        assert server.count("userinfo", None) == 0


def test_microsofts_issuer_holds_the_persons_own_directory():
    template = "https://login.microsoftonline.com/{tid}/v2.0"
    assert expected_issuer(template, {"tid": "abc"}) == "https://login.microsoftonline.com/abc/v2.0"
    assert expected_issuer(None, {}) is None
