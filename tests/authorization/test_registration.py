"""Clients that register themselves: the real ones all get in, and nobody fills our tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.authorization.registration import EACH, TooManyError
from gateway.authorization_types import ClientSource
from tests.authorization.house import CALLBACK, House, error_of, parameters, pkce
from tests.authorization.real_clients import REAL_CLIENTS, RealClient


@pytest.mark.parametrize("client", REAL_CLIENTS, ids=lambda client: client.name)
async def test_a_real_client_registers_and_may_use_every_redirect_uri_that_it_sends(
    light: House, client: RealClient
) -> None:
    assert light.server.registration
    answer = await light.server.registration.register(client.body, "192.0.2.1")

    assert answer["redirect_uris"] == [uri for uri in client.body["redirect_uris"] if uri not in client.dropped]
    assert ("client_secret" in answer) == client.has_secret
    assert answer["client_secret_expires_at"] == 0 if client.has_secret else "client_secret_expires_at" not in answer
    assert set(answer["grant_types"]) == {"authorization_code", "refresh_token"}
    assert answer["application_type"] == client.body.get("application_type", "web")
    for uri in client.sends:
        _, challenge = pkce()
        asked = parameters(
            client_id=answer["client_id"],
            redirect_uri=uri,
            response_type="code",
            code_challenge=challenge,
            code_challenge_method="S256",
        )
        addressee = await light.server.requests.addressee(asked)
        assert light.server.requests.read(asked, addressee).addressee.redirect_uri == uri


async def test_a_client_comes_back_as_it_registered_and_its_secret_is_kept_nowhere(house: House) -> None:
    answer = await house.register(token_endpoint_auth_method="client_secret_post", application_type="native")

    found = await house.elsewhere.clients.find(answer["client_id"])

    assert found is not None
    assert (found.name, found.redirect_uris, found.source) == ("App", (CALLBACK,), ClientSource.REGISTRATION)
    assert (found.auth_method, found.application_type) == ("client_secret_post", "native")
    assert answer["client_secret"].encode() not in repr(found).encode()
    assert found.secret_digest not in (None, answer["client_secret"].encode())
    assert await house.actions() == ["client.registered"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"redirect_uris": CALLBACK}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK] * 51}, "invalid_redirect_uri"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"response_types": "code"}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": ["none"]}, "invalid_client_metadata"),
        ({"client_name": {"en": "App"}}, "invalid_client_metadata"),
    ],
)
async def test_what_cannot_be_registered_is_refused_in_the_words_of_rfc_7591(
    light: House, body: dict[str, Any], error: str
) -> None:
    assert await error_of(light.register(**body)) == error


async def test_one_address_may_not_register_without_end_and_keeps_nobody_else_from_it(light: House) -> None:
    assert light.server.registration
    light.server.registration._allowance._timer = light.timer
    for _ in range(EACH):
        await light.register()

    with pytest.raises(TooManyError) as raised:
        await light.register()
    assert 0 < raised.value.seconds <= 61
    await light.server.registration.register({"redirect_uris": [CALLBACK]}, "192.0.2.2")

    light.timer.seconds += 61
    await light.register()


async def test_a_client_that_nobody_let_in_is_gone_after_a_day_and_one_that_was_stays(house: House) -> None:
    unused, used = await house.client(), await house.client()
    request, _ = await house.ask(used.id)
    await house.server.clients.note_use(request.client, house.clock.now())
    assert await house.store.clients.count_unused() == 1

    house.clock.advance(timedelta(hours=23))
    await house.server.prune()
    assert await house.server.clients.find(unused.id) is not None

    house.clock.advance(timedelta(hours=2))
    await house.server.prune()
    assert await house.server.clients.find(unused.id) is None
    assert await house.server.clients.find(used.id) is not None
