"""Clients that prove themselves by a signature (RFC 7523 section 3), wherever their keys are from."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from gateway.authorization.client_assertion import LONGEST_LIFE, TYPE
from gateway.authorization.client_keys import FRESH_FOR, LARGEST_SET, PAUSE, USABLE_FOR
from gateway.authorization.roster import Roster
from gateway.authorization_types import KEY, RegisteredClient
from gateway.errors import AuthorizationError
from gateway.outward.guarded import Answer
from tests.authorization.house import ALICE, CALLBACK, ISSUER, SECRET, House, error_of, parameters

CHATGPT = "https://chatgpt.com/oauth/IbUR3zxyNQ16/client.json"
KEYS_AT = "https://chatgpt.com/oauth/jwks.json"
DESCRIPTION = {
    "client_id": CHATGPT,
    "client_uri": "https://chatgpt.com/",
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_method": "private_key_jwt",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "client_name": "ChatGPT",
    "token_endpoint_auth_signing_alg": "RS256",
    "jwks_uri": KEYS_AT,
}
"""As it is published (cloudflare/workers-oauth-provider issue 293), but for the redirect URI."""

RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
EC = ECKey.generate_key("P-256")
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})


def key_set(*keys: Key) -> dict[str, Any]:
    return KeySet(list(keys)).as_dict(private=False)


def published(*keys: Key) -> Answer:
    return Answer(200, {}, json.dumps(key_set(*keys)).encode())


def assertion(house: House, client_id: str, key: Key = RSA, alg: str = "RS256", **changes: Any) -> str:
    now = house.clock.now()
    claims = {
        "iss": client_id, "sub": client_id, "aud": ISSUER, "jti": secrets.token_hex(8),
        "iat": int(now.timestamp()), "exp": int((now + timedelta(minutes=5)).timestamp()),
    }  # fmt: skip
    header = {"alg": alg, "typ": "JWT"} | ({"kid": key.kid} if key.kid else {})
    header |= changes.pop("header", {})
    said = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode({n: v for n, v in header.items() if v is not None}, said, key, algorithms=[alg])


async def proved(house: House, text: str, **more: str | None) -> RegisteredClient:
    shown = parameters(client_assertion=text, client_assertion_type=TYPE, **more)
    return await house.server.proof.client(None, shown)


@pytest.fixture
def chatgpt(light: House, documents: Any) -> House:
    documents.answers |= {CHATGPT: Answer(200, {}, json.dumps(DESCRIPTION).encode()), KEYS_AT: published(RSA)}
    return light


async def test_chatgpt_is_let_in_by_its_document_and_its_key_and_refreshes(chatgpt: House) -> None:
    code, verifier = await chatgpt.code(CHATGPT)
    client = await proved(chatgpt, assertion(chatgpt, CHATGPT), client_id=CHATGPT)
    tokens = await chatgpt.exchange(client, code, verifier)
    again = await proved(chatgpt, assertion(chatgpt, CHATGPT))
    fresh = await chatgpt.refresh(again, tokens["refresh_token"])
    lost = await chatgpt.refresh(again, tokens["refresh_token"])

    assert client.auth_method == KEY
    assert client.name == "ChatGPT"
    assert fresh["refresh_token"] == lost["refresh_token"] != tokens["refresh_token"]


async def test_whoever_has_its_code_or_tokens_and_not_its_key_gets_nothing(chatgpt: House) -> None:
    code, verifier = await chatgpt.code(CHATGPT)
    unproven = await chatgpt.server.proof.client(None, parameters(client_id=CHATGPT))
    assert await error_of(chatgpt.exchange(unproven, code, verifier)) == "invalid_client"
    client = await proved(chatgpt, assertion(chatgpt, CHATGPT))
    tokens = await chatgpt.exchange(client, code, verifier)

    assert await error_of(chatgpt.refresh(unproven, tokens["refresh_token"])) == "invalid_client"
    assert await error_of(chatgpt.server.grants.revoke_token(unproven, tokens["refresh_token"])) == "invalid_client"
    assert await chatgpt.refresh(client, tokens["refresh_token"])


@pytest.mark.parametrize("by_key", [True, False])
async def test_a_client_that_offers_both_ways_stays_with_the_one_that_it_chose(
    chatgpt: House, documents: Any, by_key: bool
) -> None:
    both = DESCRIPTION | {"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}
    documents.answers[CHATGPT] = Answer(200, {}, json.dumps(both).encode())
    unproven = await chatgpt.server.proof.client(None, parameters(client_id=CHATGPT))
    client = await proved(chatgpt, assertion(chatgpt, CHATGPT)) if by_key else unproven

    tokens = await chatgpt.exchange(client, *await chatgpt.code(CHATGPT))

    if by_key:
        assert await error_of(chatgpt.refresh(unproven, tokens["refresh_token"])) == "invalid_client"
    assert await chatgpt.refresh(client, tokens["refresh_token"])


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"sub": "https://evil.example/client.json"},
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"aud": [f"{ISSUER}/mcp"]},
        {"aud": 7},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": -1},
        {"exp": 1_000_000},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
        {"header": {"kid": "two"}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": "oauth-id-jag+jwt"}},
        {"header": {"crit": ["kid"]}},
        {"header": {"jku": "https://evil.example/keys"}},
        pytest.param({"header": {"jwk": OTHER.as_dict(private=False)}}, id="a key in its header"),
        {"header": {"x5u": "https://evil.example/cert"}},
        pytest.param({"key": OTHER}, id="another's key"),
        pytest.param({"key": EC, "alg": "ES256", "header": {"kid": "one"}}, id="a key of another kind"),
    ],
    ids=str,
)
async def test_no_other_assertion_proves_it(chatgpt: House, changes: dict[str, Any]) -> None:
    with pytest.raises(AuthorizationError) as raised:
        await proved(chatgpt, assertion(chatgpt, CHATGPT, **changes))

    assert (raised.value.error, raised.value.status) in (("invalid_client", 401), ("invalid_client", 400))


async def test_an_assertion_may_not_live_for_long(chatgpt: House) -> None:
    ends = chatgpt.clock.now() + LONGEST_LIFE
    assert await proved(chatgpt, assertion(chatgpt, CHATGPT, exp=int(ends.timestamp())))

    too_late = int((ends + timedelta(minutes=2)).timestamp())
    assert await error_of(proved(chatgpt, assertion(chatgpt, CHATGPT, exp=too_late))) == "invalid_client"


@pytest.mark.parametrize("forged", ["none", "HS256 with the public key", "cut", "one letter", "no JWT", "", "a.b.c"])
async def test_a_forged_assertion_proves_nothing(chatgpt: House, forged: str) -> None:
    good = assertion(chatgpt, CHATGPT)
    head, body, signature = good.split(".")
    secret = OctKey.import_key(json.dumps(RSA.as_dict(private=False)))
    by_hmac = assertion(chatgpt, CHATGPT, secret, "HS256", header={"kid": "one"})
    text = {
        "none": f"eyJhbGciOiJub25lIn0.{body}.",
        "HS256 with the public key": by_hmac,
        "cut": f"{head}.{body}",
        "one letter": f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
    }.get(forged, forged)

    assert await error_of(proved(chatgpt, text)) == "invalid_client"


async def test_an_assertion_is_good_once_at_any_process(house: House, documents: Any) -> None:
    documents.answers |= {CHATGPT: Answer(200, {}, json.dumps(DESCRIPTION).encode()), KEYS_AT: published(RSA)}
    text = assertion(house, CHATGPT)
    shown = parameters(client_assertion=text, client_assertion_type=TYPE)

    assert await house.server.proof.client(None, shown)

    for server in (house.server, house.elsewhere):
        with pytest.raises(AuthorizationError, match="used before"):
            await server.proof.client(None, shown)


@pytest.mark.parametrize(
    ("header", "more", "error"),
    [
        ("Basic eDp5", {}, "invalid_request"),
        (None, {"client_secret": SECRET}, "invalid_request"),
        (None, {"client_assertion_type": "urn:something:else"}, "invalid_request"),
        (None, {"client_assertion_type": None}, "invalid_request"),
        (None, {"client_id": "intranet"}, "invalid_client"),
    ],
)
async def test_a_client_proves_itself_in_one_way(
    chatgpt: House, header: str | None, more: dict[str, str | None], error: str
) -> None:
    given = {"client_assertion": assertion(chatgpt, CHATGPT), "client_assertion_type": TYPE} | more

    assert await error_of(chatgpt.server.proof.client(header, parameters(**given))) == error


async def test_a_client_without_keys_cannot_prove_itself_by_one(chatgpt: House) -> None:
    public = await chatgpt.client()

    for client_id in ("intranet", "unknown", public.id):
        assert await error_of(proved(chatgpt, assertion(chatgpt, client_id))) == "invalid_client"


async def test_a_client_registers_with_its_keys_and_gets_no_secret(light: House) -> None:
    told = await light.register(token_endpoint_auth_method=KEY, jwks=key_set(EC))
    assert "client_secret" not in told
    assert told["jwks"] == key_set(EC)
    assert told["token_endpoint_auth_method"] == KEY

    client = await proved(light, assertion(light, told["client_id"], EC, "ES256"))

    assert await light.tokens(client)
    assert await error_of(light.server.proof.client(None, parameters(client_id=client.id))) == "invalid_client"


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"jwks": {}},
        {"jwks": {"keys": []}},
        {"jwks": {"keys": [EC.as_dict(private=True)]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"jwks": "https://app.example/keys"},
        {"jwks": {"keys": [EC.as_dict(private=False)], "x": "x" * LARGEST_SET}},
        {"jwks_uri": "ftp://app.example/keys"},
        {"jwks_uri": ["https://app.example/keys"]},
        {"jwks_uri": "https://app.example/" + "x" * 1000},
    ],
    ids=lambda keys: str(keys)[:40],
)
async def test_a_client_without_keys_that_can_be_used_does_not_register(light: House, keys: dict[str, Any]) -> None:
    assert await error_of(light.register(token_endpoint_auth_method=KEY, **keys)) == "invalid_client_metadata"


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES256"), (ED, "Ed25519"), (RSA, "PS256")])
async def test_a_program_of_the_operators_gets_tokens_in_its_own_name_by_its_key(
    light: House, key: Key, alg: str
) -> None:
    roster = Roster((), light.store.roster, light.audit, light.clock)
    _, secret = await roster.add("nightly", "Nightly report", [], keys=json.dumps(key_set(key)), by=ALICE)
    client = await proved(light, assertion(light, "nightly", key, alg))

    answer = (await light.server.grants.issue_to_client(client, parameters())).told()

    assert secret is None
    assert answer["token_type"] == "Bearer"


async def test_new_keys_are_found_and_withdrawn_ones_are_forgotten(chatgpt: House, documents: Any) -> None:
    timer = chatgpt.timer
    chatgpt.server.proof._assertions._keys._timer = timer
    timer.seconds = 1000
    assert await proved(chatgpt, assertion(chatgpt, CHATGPT))

    documents.answers[KEYS_AT] = published(ED)
    assert await error_of(proved(chatgpt, assertion(chatgpt, CHATGPT, ED, "Ed25519"))) == "invalid_client"
    timer.seconds += PAUSE
    assert await proved(chatgpt, assertion(chatgpt, CHATGPT, ED, "Ed25519"))
    assert await error_of(proved(chatgpt, assertion(chatgpt, CHATGPT))) == "invalid_client"


async def test_keys_that_are_read_no_more_work_for_a_day(chatgpt: House, documents: Any) -> None:
    timer = chatgpt.timer
    chatgpt.server.proof._assertions._keys._timer = timer
    assert await proved(chatgpt, assertion(chatgpt, CHATGPT))

    documents.answers[KEYS_AT] = None
    timer.seconds += FRESH_FOR
    assert await proved(chatgpt, assertion(chatgpt, CHATGPT))
    timer.seconds += USABLE_FOR
    assert await error_of(proved(chatgpt, assertion(chatgpt, CHATGPT))) == "temporarily_unavailable"


async def test_whatever_is_sent_the_keys_are_not_read_more_often_than_every_few_seconds(
    chatgpt: House, documents: Any
) -> None:
    for number in range(20):
        forged = assertion(chatgpt, CHATGPT, OTHER, header={"kid": f"k{number}"})
        assert await error_of(proved(chatgpt, forged)) == "invalid_client"

    assert documents.asked.count(KEYS_AT) == 1


@pytest.mark.parametrize(
    "answer",
    [None, Answer(404, {}, b"{}"), Answer(200, {}, b"x" * (LARGEST_SET + 1)), Answer(200, {}, b"[1]"),
     Answer(200, {}, b"{"), Answer(200, {}, b"[" * 9000)],
    ids=lambda answer: str(answer)[:40],
)  # fmt: skip
async def test_keys_that_cannot_be_read_are_said_to_be_so(
    chatgpt: House, documents: Any, answer: Answer | None
) -> None:
    documents.answers[KEYS_AT] = answer

    with pytest.raises(AuthorizationError, match="jwks_uri") as raised:
        await proved(chatgpt, assertion(chatgpt, CHATGPT))
    assert raised.value.status == 503
