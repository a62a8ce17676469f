"""Which client sends a request for tokens (RFC 6749 section 2.3)."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, quote_plus

import pytest

from gateway.errors import AuthorizationError
from tests.authorization.house import SECRET, House, parameters


def basic(client_id: str, secret: str) -> str:
    return "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (basic("intranet", quote_plus(SECRET)), {}),
        (basic("intranet", quote(SECRET, safe="")), {}),
        (basic("intranet", SECRET), {}),
        (basic("intranet", quote_plus(SECRET)).replace("Basic", "basic"), {"client_id": "intranet"}),
        (None, {"client_id": "intranet", "client_secret": SECRET}),
    ],
)
async def test_a_client_with_a_secret_shows_it_in_the_header_or_in_the_body(
    light: House, header: str | None, body: dict[str, str]
) -> None:
    assert (await light.server.proof.client(header, parameters(**body))).id == "intranet"


async def test_a_client_without_one_says_who_it_is(light: House) -> None:
    client = await light.client()

    assert await light.server.proof.client(None, parameters(client_id=client.id)) == client
    assert await light.server.proof.client(basic(client.id, ""), parameters()) == client


@pytest.mark.parametrize(
    ("header", "body", "status"),
    [
        (None, {}, 401),
        (None, {"client_id": "unknown"}, 401),
        (None, {"client_id": "intranet"}, 401),
        (None, {"client_id": "intranet", "client_secret": SECRET + "x"}, 401),
        (None, {"client_id": "intranet", "client_secret": "\udcff"}, 401),
        (basic("intranet", "wrong"), {}, 401),
        (basic("intranet", ""), {}, 401),
        (basic("unknown", SECRET), {}, 401),
        (basic("intranet", quote_plus(SECRET)), {"client_id": "robot"}, 401),
        (basic("intranet", quote_plus(SECRET)), {"client_secret": SECRET}, 400),
        ("Basic !!!", {}, 401),
        ("Basic " + b64encode(b"no-colon").decode(), {}, 401),
        ("Basic " + b64encode(b"\xff:x").decode(), {}, 401),
        ("Basic", {}, 401),
        ("Bearer x", {"client_id": "intranet", "client_secret": SECRET}, 400),
        ("Bearer x", {"client_id": "intranet"}, 401),
        (None, {"client_id": "https://127.0.0.1/client.json#x"}, 400),
    ],
)
async def test_nobody_else_is_that_client(light: House, header: str | None, body: dict[str, str], status: int) -> None:
    body = {name: value.encode("utf-8", "replace").decode() for name, value in body.items()}
    with pytest.raises(AuthorizationError) as raised:
        await light.server.proof.client(header, parameters(**body))

    assert raised.value.status == status


async def test_a_client_without_a_secret_cannot_have_shown_one(light: House) -> None:
    client = await light.client()

    with pytest.raises(AuthorizationError):
        await light.server.proof.client(None, parameters(client_id=client.id, client_secret="x"))
