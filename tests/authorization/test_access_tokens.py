"""Which texts are access tokens of ours, and how few are (RFC 8725; CVE-2026-28802, CVE-2026-27962, CVE-2026-32597)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.authorization.access_tokens import LIFE
from gateway.authorization.signing_keys import SIGNS_FOR
from tests.authorization.house import House


def encoded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


class Forge:
    """A good token's parts, and keys of somebody else's."""

    def __init__(self, token: str, public: dict[str, Any], own: ECKey) -> None:
        self.head, self.body, self.signature = token.split(".")
        self.header, self.claims, self.public, self.own = decoded(self.head), decoded(self.body), public, own
        self.stranger = ECKey.generate_key("P-256", {"kid": "stranger"})

    def signed(self, key: Any, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
        made = {**self.header, **(header or {})}
        return jwt.encode(made, {**self.claims, **(claims or {})}, key, algorithms=[made["alg"]])

    def unsigned(self, header: dict[str, Any]) -> str:
        return f"{encoded({**self.header, **header})}.{self.body}."

    def by_hmac(self, key: bytes) -> str:
        text = f"{encoded({**self.header, 'alg': 'HS256'})}.{self.body}"
        return f"{text}.{encoded(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def truly(forge: Forge, header: dict[str, Any], claims: dict[str, Any] | None = None) -> str:
    """Signed by our very key: only the header, or a claim, is out of order."""
    made = {name: value for name, value in {**forge.header, **header}.items() if value is not None}
    text = f"{encoded(made)}.{encoded({**forge.claims, **(claims or {})})}"
    return f"{text}.{encoded(jws.JWSRegistry.algorithms['ES256'].sign(text.encode(), forge.own))}"


FORGERIES: dict[str, Callable[[Forge], str]] = {
    "alg none": lambda f: f.unsigned({"alg": "none"}),
    "alg None": lambda f: f.unsigned({"alg": "None"}),
    "no alg": lambda f: f"{encoded({'typ': 'at+jwt', 'kid': f.header['kid']})}.{f.body}.{f.signature}",
    "empty signature": lambda f: f"{f.head}.{f.body}.",
    "no signature": lambda f: f"{f.head}.{f.body}",
    "signature cut short": lambda f: f"{f.head}.{f.body}.{f.signature[:-4]}",
    "signature of zeros": lambda f: f"{f.head}.{f.body}.{encoded(bytes(64))}",
    "HS256 with our public key's PEM": lambda f: f.by_hmac(ECKey.import_key(f.public).as_pem(private=False)),
    "HS256 with our public JWK": lambda f: f.by_hmac(json.dumps(f.public).encode()),
    "HS256 with nothing": lambda f: f.by_hmac(b""),
    "HS256 with the kid": lambda f: f.by_hmac(f.header["kid"].encode()),
    "a stranger's key": lambda f: f.signed(f.stranger),
    "a stranger's key under its own kid": lambda f: f.signed(f.stranger, {"kid": "stranger"}),
    "a stranger's key, embedded": lambda f: f.signed(f.stranger, {"jwk": f.stranger.as_dict(private=False)}),
    "RS256": lambda f: f.signed(RSAKey.generate_key(2048), {"alg": "RS256"}),
    "HS256 by a key of its own": lambda f: f.signed(OctKey.generate_key(256), {"alg": "HS256"}),
    "jku": lambda f: truly(f, {"jku": "https://evil.example/jwks.json"}),
    "x5u": lambda f: truly(f, {"x5u": "https://evil.example/cert.pem"}),
    "jwk of ours": lambda f: truly(f, {"jwk": f.public}),
    "crit": lambda f: truly(f, {"crit": ["exp"], "exp": 1}),
    "unencoded payload": lambda f: truly(f, {"b64": False}),
    "kid of a file": lambda f: truly(f, {"kid": "../../dev/null"}),
    "kid of a query": lambda f: truly(f, {"kid": "' OR 1=1 --"}),
    "kid that is no text": lambda f: truly(f, {"kid": 7}),
    "no kid": lambda f: truly(f, {"kid": None}),
    "typ JWT": lambda f: truly(f, {"typ": "JWT"}),
    "no typ": lambda f: truly(f, {"typ": None}),
    "another issuer": lambda f: truly(f, {}, {"iss": "https://evil.example"}),
    "our issuer with a slash": lambda f: truly(f, {}, {"iss": f.claims["iss"] + "/"}),
    "another audience": lambda f: truly(f, {}, {"aud": "https://elsewhere.example/mcp"}),
    "our audience with a slash": lambda f: truly(f, {}, {"aud": f.claims["aud"] + "/"}),
    "our audience, deeper": lambda f: truly(f, {}, {"aud": f.claims["aud"] + "/x"}),
    "two audiences": lambda f: truly(f, {}, {"aud": [f.claims["aud"], "https://elsewhere.example"]}),
    "no audience": lambda f: truly(f, {}, {"aud": None}),
    "expired": lambda f: truly(f, {}, {"exp": f.claims["iat"] - 1}),
    "never expires": lambda f: truly(f, {}, {"exp": None}),
    "expires in words": lambda f: truly(f, {}, {"exp": "tomorrow"}),
    "expires at infinity": lambda f: truly(f, {}, {"exp": 1 << 70}),
    "lives for a year": lambda f: truly(f, {}, {"exp": f.claims["exp"] + 31_536_000}),
    "issued tomorrow": lambda f: truly(f, {}, {"iat": f.claims["iat"] + 86400, "exp": f.claims["exp"] + 86400}),
    "another client": lambda f: truly(f, {}, {"client_id": "another"}),
    "no grant": lambda f: truly(f, {}, {"grant_id": None}),
    "an unknown grant": lambda f: truly(f, {}, {"grant_id": "0" * 32}),
    "a grant that is no text": lambda f: truly(f, {}, {"grant_id": ["x"]}),
    "a body that was changed": lambda f: f"{f.head}.{encoded({**f.claims, 'scope': 'tools x'})}.{f.signature}",
    "a body that is no JSON": lambda f: f"{f.head}.{encoded(b'nothing')}.{f.signature}",
    "a head that is no JSON": lambda f: f"{encoded(b'nothing')}.{f.body}.{f.signature}",
    "a head that is a list": lambda f: f"{encoded([1])}.{f.body}.{f.signature}",
    "a deep head": lambda f: f"{encoded(b'[' * 900)}.{f.body}.{f.signature}",
    "five parts": lambda f: f"{f.head}.{f.body}.{f.signature}.x.y",
    "blanks about it": lambda f: f" {f.head}.{f.body}.{f.signature} ",
    "too long": lambda f: f"{f.head}.{f.body}.{f.signature}" + "A" * 5000,
    "beyond ASCII": lambda f: f"{f.head}.{f.body}.{f.signature}ü",
    "nothing": lambda f: "",
    "dots": lambda f: "..",
}


@pytest.fixture
async def forge(light: House) -> Forge:
    tokens = await light.tokens(await light.client())
    public = (await light.server.keys.published())["keys"][0]
    return Forge(tokens["access_token"], public, await light.server.keys.signing())


async def test_the_token_itself_is_one(light: House, forge: Forge) -> None:
    assert await light.server.tokens.find(f"{forge.head}.{forge.body}.{forge.signature}") is not None
    assert await light.server.tokens.find(truly(forge, {})) is not None
    assert forge.header == {"typ": "at+jwt", "alg": "ES256", "kid": forge.public["kid"]}


@pytest.mark.parametrize("name", FORGERIES)
async def test_nothing_else_is(light: House, forge: Forge, name: str) -> None:
    assert await light.server.tokens.find(FORGERIES[name](forge)) is None


async def test_no_other_token_of_ours_is_an_access_token(light: House) -> None:
    client = await light.client()
    code, verifier = await light.code(client.id)
    tokens = await light.exchange(client, code, verifier)

    assert await light.server.tokens.find(tokens["refresh_token"]) is None
    assert await light.server.tokens.find(code) is None


async def test_a_scope_that_was_never_granted_is_not_in_force(light: House, forge: Forge) -> None:
    access = await light.server.tokens.find(truly(forge, {}, {"scope": "tools tools:destructive"}))

    assert access is not None
    assert access.scopes == {"tools"}


async def test_a_token_ends_on_time_though_it_has_just_been_looked_up(light: House, forge: Forge) -> None:
    token = f"{forge.head}.{forge.body}.{forge.signature}"
    light.clock.advance(LIFE - timedelta(seconds=1))
    assert await light.server.tokens.find(token) is not None

    light.clock.advance(timedelta(seconds=1))
    assert await light.server.tokens.find(token) is None


async def test_a_former_keys_token_is_good_until_it_ends_and_the_next_key_was_published_before(
    light: House,
) -> None:
    tokens = await light.tokens(await light.client())
    before = {key["kid"] for key in (await light.server.keys.published())["keys"]}
    assert len(before) == 1

    light.clock.advance(SIGNS_FOR - timedelta(hours=1))
    last = await light.refresh(await _client_of(light, tokens), tokens["refresh_token"])
    published = {key["kid"] for key in (await light.server.keys.published())["keys"]}
    assert len(published) == 2
    assert decoded(last["access_token"].split(".")[0])["kid"] in before

    light.clock.advance(timedelta(hours=24))
    fresh = await light.refresh(await _client_of(light, tokens), last["refresh_token"])
    assert decoded(fresh["access_token"].split(".")[0])["kid"] in published - before
    assert await light.elsewhere.tokens.find(fresh["access_token"]) is not None

    light.clock.advance(timedelta(days=2))
    light.timer.seconds += 61
    assert {key["kid"] for key in (await light.server.keys.published())["keys"]} == published - before
    assert await light.elsewhere.keys.find("unheard of") is None


async def _client_of(house: House, tokens: dict[str, Any]) -> Any:
    claims = decoded(tokens["access_token"].split(".")[1])
    return await house.server.clients.find(claims["client_id"])


async def test_two_processes_that_begin_at_once_have_one_key(house: House) -> None:
    one, other = await asyncio.gather(house.server.keys.published(), house.elsewhere.keys.published())

    assert one == other
    assert [set(key) for key in one["keys"]] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}]
