"""What a redirect carries beside the code: kept where it fits, believed where it is signed."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import pytest
from oauth.conftest import ALICE, CALLBACK, http

from gateway.errors import FlowError
from gateway.oauth.apps import ProviderApp
from gateway.oauth.redirect import check_signature, redirect_extras, redirect_scopes, redirect_variables
from gateway.providers.catalogue import Catalogue
from gateway.secret import Secret
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.grants import RegisteredClient
from gateway.testing.serving import serving

CATALOGUE = Catalogue.load()
# Shopify's own example has these parameters.
QUERY = {
    "code": "0907a61c0c8d55e99db179b68161bc00", "shop": "some-shop.myshopify.com", "state": "0.6784241404160823",
    "timestamp": "1337178173", "host": "YWRtaW4",
}  # fmt: skip


def signed(query: dict[str, str], secret: str = "hush") -> dict[str, str]:
    message = "&".join(f"{name}={query[name]}" for name in sorted(query))
    return query | {"hmac": hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()}


def shopify(secret: str | None = "hush") -> ProviderApp:
    provider = CATALOGUE.find("shopify")
    assert provider is not None
    return ProviderApp(provider, "id", Secret(secret) if secret else None, frozenset())


def test_a_redirect_that_the_provider_signed_is_believed():
    check_signature(shopify(), signed(QUERY))


@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        QUERY | {"hmac": ""},
        QUERY | {"hmac": "0" * 64},
        signed(QUERY, "another secret"),
        signed(QUERY) | {"shop": "evil.myshopify.com"},
        signed(QUERY) | {"added": "later"},
        signed(QUERY) | {"hmac": signed(QUERY)["hmac"].upper()},
        signed(QUERY) | {"hmac": signed(QUERY)["hmac"] + "0"},
        signed(QUERY) | {"hmac": "ä" * 64},
        {name: value for name, value in signed(QUERY).items() if name != "timestamp"},
    ],
    ids=lambda query: query.get("hmac", "none")[:8] + "-" + ",".join(sorted(query.keys() ^ QUERY.keys())),
)
def test_a_redirect_that_somebody_else_wrote_is_not(query):
    with pytest.raises(FlowError, match="nothing was connected"):
        check_signature(shopify(), query)


def test_without_our_secret_nothing_is_signed():
    with pytest.raises(FlowError):
        check_signature(shopify(None), signed(QUERY, ""))


def test_providers_that_do_not_sign_are_not_asked_to():
    hubspot = CATALOGUE.find("hubspot")
    assert hubspot is not None
    check_signature(ProviderApp(hubspot, "id", None, frozenset()), QUERY)


@pytest.mark.parametrize(
    ("provider", "query", "kept"),
    [
        ("quickbooks", {"realmId": "1234567890", "code": "c"}, {"realmId": "1234567890"}),
        ("quickbooks", {"realmId": "1/../2"}, {}),
        ("quickbooks", {"realmId": "1\n"}, {}),
        ("hubspot", {"realmId": "1"}, {}),
    ],
)
def test_parameters_that_calls_need_are_kept_if_they_fit(provider, query, kept):
    found = CATALOGUE.find(provider)
    assert found is not None
    assert redirect_extras(found, query) == kept


def test_stravas_scopes_stand_on_the_redirect():
    strava, hubspot = CATALOGUE.find("strava"), CATALOGUE.find("hubspot")
    assert strava is not None
    assert hubspot is not None
    assert redirect_scopes(strava, {"scope": "read,activity:read"}) == {"read", "activity:read"}
    assert redirect_scopes(strava, {}) is None
    assert redirect_scopes(hubspot, {"scope": "everything"}) is None


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("https://accounts.zoho.eu", {"domain": "zoho.eu"}),
        ("https://accounts.zoho.eu.evil.example", {}),
        ("https://evil.example/https://accounts.zoho.eu", {}),
        ("http://accounts.zoho.eu", {}),
        ("", {}),
    ],
)
def test_zohos_data_centre_is_one_of_zohos(server, found):
    zoho = CATALOGUE.find("zoho")
    assert zoho is not None
    assert redirect_variables(zoho, {"accounts-server": server}) == found


async def test_the_code_goes_to_the_data_centre_that_the_redirect_names_and_so_does_the_next_refresh(
    house_of, clock, endpoint
):
    """As at Zoho: the account lives elsewhere than where the person was sent to consent."""
    elsewhere, address = endpoint
    port = address.rpartition(":")[2]
    async with serving(AuthorizationServer(RegisteredClient("our id", "our secret", (CALLBACK,)))) as home:
        table = {
            "name": "Acme",
            "authorization_url": f"{home}/authorize",
            "token_url": "http://127.0.0.1:{port}/token",
            "variables": {"port": {"pattern": r"\d{1,5}", "default": "9"}},
            "redirect": {"variables": {"port": {"param": "data_centre", "pattern": r"dc-(\d{1,5})"}}},
        }
        async with house_of(table) as house:
            flow = await house.begin()
            back = await house.come_back(flow)
            elsewhere.reply = http(
                "200 OK", {"access_token": "a-token", "token_type": "bearer", "refresh_token": "r", "expires_in": 60}
            )
            query = back.query | {"data_centre": f"dc-{port}"}
            await house.flows.complete("acme", query, back.browser, ALICE)
            assert b"grant_type=authorization_code" in elsewhere.requests[0]
            assert (await house.row()).variables == {"port": port}
            clock.advance(timedelta(minutes=5))
            await house.credential()
            assert b"grant_type=refresh_token" in elsewhere.requests[1]
