"""What a client may ask at /authorize, and who is told where it may not."""

from __future__ import annotations

import pytest

from gateway.authorization.parameters import Parameters
from gateway.authorization.requests import Addressee, answer_url
from gateway.authorization_types import ClientSource, RegisteredClient
from tests.authorization.house import CALLBACK, ISSUER, House, error_of, parameters, query_of

CLIENT = RegisteredClient("c", ClientSource.SETTINGS, "App", (CALLBACK,), frozenset({"authorization_code"}))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge": "ü" * 43}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://app.example/request"}, "request_uri_not_supported"),
        ({"state": "s" * 9000}, "invalid_request"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_said_in_the_words_of_the_rfc(
    light: House, change: dict[str, str | None], error: str
) -> None:
    client = await light.client()

    assert await error_of(light.ask(client.id, **change)) == error


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, {"tools"}),
        ("", {"tools"}),
        ("tools", {"tools"}),
        ("tools openid profile email", {"tools"}),
        ("offline_access", {"tools", "offline_access"}),
        ("offline_access tools", {"tools", "offline_access"}),
        ("tools tools", {"tools"}),
    ],
)
async def test_scopes_have_a_default_and_unknown_ones_are_left_out(
    light: House, scope: str | None, granted: set[str]
) -> None:
    request, _ = await light.ask((await light.client()).id, scope=scope)

    assert request.scopes == granted


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": None},
        {"client_id": "unknown"},
        {"client_id": "https://app.example/nothing-there"},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": "https://evil.example/"},
    ],
    ids=str,
)
async def test_a_client_or_redirect_uri_that_is_not_known_is_told_to_nobody_but_the_person(
    light: House, change: dict[str, str | None]
) -> None:
    client = await light.client()
    asked = {"client_id": client.id, "redirect_uri": CALLBACK} | change
    assert await error_of(light.server.requests.addressee(parameters(**asked))) in ("invalid_client", "invalid_request")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_a_client_that_names_itself_or_its_address_twice_is_none(light: House, name: str) -> None:
    client = await light.client()
    values = {"client_id": client.id, "redirect_uri": CALLBACK}
    twice = Parameters(f"client_id={client.id}&redirect_uri={CALLBACK}&{name}={values[name]}")

    assert await error_of(light.server.requests.addressee(twice)) == "invalid_request"


@pytest.mark.parametrize("name", ["scope", "state", "code_challenge", "resource", "nobody-knows-this"])
async def test_any_other_parameter_twice_is_an_error_that_the_client_is_told(light: House, name: str) -> None:
    client = await light.client()
    twice = Parameters(f"client_id={client.id}&redirect_uri={CALLBACK}&response_type=code&{name}=a&{name}=a")

    addressee = await light.server.requests.addressee(twice)
    with pytest.raises(Exception, match="twice") as raised:
        light.server.requests.read(twice, addressee)
    assert getattr(raised.value, "error", None) == "invalid_request"


async def test_without_a_redirect_uri_there_has_to_be_exactly_one(light: House) -> None:
    one, several = await light.client(), await light.client(redirect_uris=[CALLBACK, CALLBACK + "2"])

    request, _ = await light.ask(one.id, redirect_uri=None)
    assert (request.addressee.redirect_uri, request.addressee.redirect_uri_sent) == (CALLBACK, False)
    assert await error_of(light.ask(several.id, redirect_uri=None)) == "invalid_request"


async def test_a_program_without_people_asks_none(light: House) -> None:
    assert await error_of(light.ask("robot", redirect_uri=None)) == "invalid_request"


@pytest.mark.parametrize(
    ("uri", "begins"),
    [
        (CALLBACK, f"{CALLBACK}?code="),
        ("https://app.example/cb?tenant=a%20b", "https://app.example/cb?tenant=a%20b&code="),
        ("https://app.example/cb?", "https://app.example/cb?code="),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback?code="),
    ],
)
def test_an_answer_keeps_the_redirect_uris_own_query_and_says_who_gives_it(uri: str, begins: str) -> None:
    url = answer_url(Addressee(CLIENT, uri, True, "a&b=c #ü"), ISSUER, {"code": "c+/="})

    assert url.startswith(begins)
    assert {"code": "c+/=", "state": "a&b=c #ü", "iss": ISSUER}.items() <= query_of(url).items()


async def test_what_is_not_offered_is_ignored(light: House) -> None:
    client = await light.client()
    plain, _ = await light.ask(client.id)

    asked, _ = await light.ask(client.id, max_age="0", nonce="n", claims="{}", acr_values="high", x="y")

    assert (asked.scopes, asked.resource, asked.prompts) == (plain.scopes, plain.resource, plain.prompts)
    assert "id_token" not in await light.tokens(client, max_age="0", nonce="n", scope="openid tools")
