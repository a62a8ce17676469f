"""Endpoints from an issuer, and what a false document cannot do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.errors import ProviderMisconfiguredError, ProviderUnavailableError
from gateway.oauth.discovery import Discovery
from gateway.oauth.http import ProviderTransport
from gateway.providers.provider import Provider
from gateway.testing.serving import serving


class Publisher:
    """Serves whatever metadata it is told to, at one path."""

    def __init__(self, path: str = "/.well-known/openid-configuration") -> None:
        self.document: object = {}
        self.status = 200
        self.read = 0
        self.app = Starlette(routes=[Route(path, self.answer)])

    async def answer(self, request) -> JSONResponse:
        self.read += 1
        return JSONResponse(self.document, self.status)


def document(url: str, **changes: object) -> dict[str, object]:
    return {"issuer": url, "authorization_endpoint": f"{url}/a", "token_endpoint": f"{url}/t"} | changes


@pytest.fixture
async def discovery(clock):
    transport = ProviderTransport()
    yield Discovery(transport, clock)
    await transport.close()


@pytest.fixture
async def published():
    publisher = Publisher()
    async with serving(publisher.app) as url:
        publisher.document = document(url)
        yield publisher, url


def acme(issuer: str, **more: object) -> Provider:
    return Provider("acme", "Acme", issuer=issuer, **more)


async def test_a_provider_is_completed_from_its_issuer(discovery, published):
    publisher, url = published
    publisher.document = document(
        url,
        jwks_uri=f"{url}/k",
        revocation_endpoint=f"{url}/r",
        userinfo_endpoint=f"{url}/u",
        scopes_supported=["openid", "offline_access", "email", "calendar"],
        token_endpoint_auth_methods_supported=["client_secret_basic"],
        authorization_response_iss_parameter_supported=True,
    )
    found = await discovery.complete(acme(url))
    assert (found.authorization_url, found.token_url, found.jwks_url) == (f"{url}/a", f"{url}/t", f"{url}/k")
    assert found.revocation.url == f"{url}/r"
    assert found.scopes.default == ("openid", "email", "offline_access")
    assert found.token_auth_method == "client_secret_basic"
    assert found.iss_parameter
    assert found.identity.source == "id_token"


async def test_what_is_written_down_wins(discovery, published):
    _, url = published
    found = await discovery.complete(acme(url, token_url="https://token.example.com/t"))
    assert (found.token_url, found.authorization_url) == ("https://token.example.com/t", f"{url}/a")


async def test_rfc_8414_metadata_is_found_between_host_and_path(discovery):
    publisher = Publisher("/.well-known/oauth-authorization-server/tenant/one")
    async with serving(publisher.app) as url:
        issuer = f"{url}/tenant/one"
        publisher.document = document(issuer)
        assert (await discovery.complete(acme(issuer))).token_url == f"{issuer}/t"


@pytest.mark.parametrize("suffix", ["/", "/x", "?"])
async def test_another_issuer_than_was_asked_for_is_refused_to_the_last_slash(discovery, published, suffix):
    publisher, url = published
    publisher.document = document(url) | {"issuer": url + suffix}
    with pytest.raises(ProviderMisconfiguredError, match="to the last slash"):
        await discovery.complete(acme(url))


@pytest.mark.parametrize("key", ["authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint"])
@pytest.mark.parametrize(
    "address",
    ["http://evil.example.com/t", "javascript:alert(1)", "file:///etc/passwd", "--flag", "https://a b", 7, ""],
)
async def test_an_unsafe_address_is_not_used(discovery, published, key, address):
    publisher, url = published
    publisher.document = document(url, **{key: address})
    with pytest.raises(ProviderMisconfiguredError):
        await discovery.complete(acme(url))


@pytest.mark.parametrize(
    "key", ["token_endpoint", "jwks_uri", "userinfo_endpoint", "revocation_endpoint", "introspection_endpoint"]
)
async def test_an_endpoint_at_another_site_than_the_issuers_is_not_trusted(discovery, published, key):
    """A poisoned document: the real sign-in page, and an attacker's token endpoint behind it."""
    publisher, url = published
    publisher.document = document(url, **{key: "https://evil.example.com/t"})
    with pytest.raises(ProviderMisconfiguredError, match="is not used"):
        await discovery.complete(acme(url))


async def test_an_endpoint_that_the_operator_names_may_be_anywhere(discovery, published):
    publisher, url = published
    publisher.document = document(url, jwks_uri="https://keys.example.net/k")
    found = await discovery.complete(acme(url, jwks_url="https://keys.example.net/k"))
    assert found.jwks_url == "https://keys.example.net/k"


@pytest.mark.parametrize("body", [{}, [], "text", None])
async def test_a_document_without_endpoints_is_an_error_that_says_what_to_do(discovery, published, body):
    publisher, url = published
    publisher.document = body
    with pytest.raises((ProviderUnavailableError, ProviderMisconfiguredError), match="issuer"):
        await discovery.complete(acme(url))


async def test_metadata_is_read_once_an_hour(discovery, published, clock):
    publisher, url = published
    for _ in range(3):
        await discovery.complete(acme(url))
    assert publisher.read == 1
    clock.advance(timedelta(hours=1))
    await discovery.complete(acme(url))
    assert publisher.read == 2


async def test_an_issuer_that_is_down_is_remembered_for_a_day(discovery, published, clock):
    publisher, url = published
    await discovery.complete(acme(url))
    publisher.status = 503
    clock.advance(timedelta(hours=23))
    assert (await discovery.complete(acme(url))).token_url == f"{url}/t"
    clock.advance(timedelta(hours=2))
    with pytest.raises(ProviderUnavailableError):
        await discovery.complete(acme(url))
