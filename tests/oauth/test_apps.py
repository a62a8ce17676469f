"""Catalogue and settings become our registration, or a sentence that says what to set."""

from __future__ import annotations

import pytest

from gateway.errors import (
    ProviderNotConfiguredError,
    ProviderUnavailableError,
    SettingsError,
    UnknownProviderError,
)
from gateway.oauth.apps import Apps, ProviderSettings
from gateway.providers.catalogue import Catalogue
from gateway.secret import Secret
from gateway.types import CredentialKind

SECRET = Secret("our secret")


def apps(**settings: ProviderSettings) -> Apps:
    return Apps(Catalogue.load(), settings)


async def test_a_shipped_provider_needs_an_id_and_a_secret_and_no_more():
    app = await apps(hubspot=ProviderSettings("id", SECRET, scopes=frozenset({"crm.lists.read"}))).get("hubspot")
    assert (app.client_id, app.auth_method) == ("id", "client_secret_post")
    assert app.scopes == {"oauth", "crm.lists.read"}
    assert app.provider.token_url == "https://api.hubapi.com/oauth/2026-03/token"


@pytest.mark.parametrize(
    ("settings", "key"), [(ProviderSettings(), "client_id"), (ProviderSettings("id"), "client_secret")]
)
async def test_what_is_missing_is_named_as_setting_and_as_variable(settings, key):
    with pytest.raises(ProviderNotConfiguredError) as missing:
        await apps(hubspot=settings).get("hubspot")
    assert f"Set {key} under [providers.hubspot] in gateway.toml" in str(missing.value)
    assert f"ATP_GATEWAY_PROVIDERS__HUBSPOT__{key.upper()}" in str(missing.value)
    assert "https://developers.hubspot.com/" in str(missing.value)


async def test_a_provider_that_nobody_described_is_unknown_and_the_nearest_ones_are_named():
    with pytest.raises(UnknownProviderError, match=r"Did you mean hubspot\?.*\[providers\.hubspott\]"):
        await apps().get("hubspott")
    assert apps().display_name("acme") == "acme"


async def test_two_addresses_describe_a_provider():
    settings = ProviderSettings(
        "id", authorization_url="https://acme.example/a", token_url="https://acme.example/t", name="Acme"
    )
    app = await apps(acme=settings).get("acme")
    assert (app.provider.name, app.auth_method, app.scopes) == ("Acme", "none", frozenset())


async def test_one_address_is_not_enough():
    settings = ProviderSettings("id", authorization_url="https://acme.example/a")
    with pytest.raises(SettingsError, match="give issuer, or authorization_url and token_url"):
        await apps(acme=settings).get("acme")


async def test_a_tool_s_provider_by_issuer_cannot_be_looked_up_without_a_network():
    with pytest.raises(ProviderUnavailableError):
        await apps(acme=ProviderSettings("id", issuer="https://acme.example")).get("acme")


@pytest.mark.parametrize("url", ["http://acme.example/t", "https://user@acme.example", "ftp://acme.example", "acme"])
async def test_unsafe_addresses_are_refused(url):
    settings = ProviderSettings("id", authorization_url=url, token_url=url)
    with pytest.raises(SettingsError, match=r"\[providers\.acme\].*https://"):
        await apps(acme=settings).get("acme")


async def test_the_operator_fills_in_a_providers_variables():
    settings = ProviderSettings("id", SECRET, variables={"login_host": "acme--uat.sandbox.my.salesforce.com"})
    app = await apps(salesforce=settings).get("salesforce")
    assert app.provider.token_url == "https://acme--uat.sandbox.my.salesforce.com/services/oauth2/token"
    with pytest.raises(SettingsError, match="login_host does not look right"):
        await apps(salesforce=ProviderSettings("id", SECRET, variables={"login_host": "evil.example.com"})).get(
            "salesforce"
        )
    with pytest.raises(SettingsError, match="no setting 'tenant'"):
        await apps(salesforce=ProviderSettings("id", SECRET, variables={"tenant": "x"})).get("salesforce")


async def test_another_token_endpoint_is_another_server_and_gets_none_of_the_catalogues_other_addresses():
    settings = ProviderSettings(
        "id", SECRET, authorization_url="http://127.0.0.1:1/a", token_url="http://127.0.0.1:1/t"
    )
    provider = (await apps(hubspot=settings).get("hubspot")).provider
    assert (provider.revocation, provider.introspection, provider.identity) == (None, None, None)
    assert (provider.name, provider.scopes.default) == ("HubSpot", ("oauth",))


async def test_another_authorization_page_of_the_same_server_keeps_the_rest():
    url = "https://app-eu1.hubspot.com/oauth/authorize"
    provider = (await apps(hubspot=ProviderSettings("id", SECRET, authorization_url=url)).get("hubspot")).provider
    assert provider.authorization_url == url
    assert provider.revocation
    with pytest.raises(SettingsError, match="authorization_url must begin with https"):
        await apps(hubspot=ProviderSettings("id", SECRET, authorization_url="http://evil.example")).get("hubspot")


async def test_the_secret_is_not_in_the_registrations_repr():
    assert "our secret" not in repr(await apps(hubspot=ProviderSettings("id", SECRET)).get("hubspot"))


def registered(settings: dict[str, ProviderSettings], **tenants: dict[str, ProviderSettings]) -> Apps:
    return Apps(Catalogue.load(), settings, tenants=tenants)


COMMON = ProviderSettings("common", SECRET, scopes=frozenset({"crm.lists.read"}), service_account=SECRET)


async def test_a_tenants_own_registration_is_used_for_it_and_for_nobody_else():
    theirs = ProviderSettings("theirs", Secret("their secret"))
    both = registered({"hubspot": COMMON}, acme={"hubspot": theirs})

    acme = await both.get("hubspot", tenant="acme")
    assert (acme.client_id, acme.client_secret) == ("theirs", Secret("their secret"))
    assert "crm.lists.read" in acme.scopes
    for tenant in ("default", "other"):
        assert (await both.get("hubspot", tenant=tenant)).client_id == "common"


@pytest.mark.parametrize(
    "own",
    [ProviderSettings("theirs"), ProviderSettings(token_url="https://acme.example/t"), ProviderSettings(issuer="x")],
    ids=["own client", "own token endpoint", "own issuer"],
)
def test_no_secret_goes_from_the_common_registration_to_a_tenants_own(own):
    settings = registered({"hubspot": COMMON}, acme={"hubspot": own}).settings("hubspot", "acme")

    assert settings.client_id == own.client_id
    assert (settings.client_secret, settings.service_account) == (None, None)


async def test_what_a_tenants_registration_lacks_is_named_where_it_belongs():
    with pytest.raises(ProviderNotConfiguredError) as missing:
        await registered({"hubspot": COMMON}, acme={"hubspot": ProviderSettings("theirs")}).get(
            "hubspot", tenant="acme"
        )

    assert "client_secret under [tenants.acme.providers.hubspot]" in str(missing.value)
    assert "ATP_GATEWAY_TENANTS__ACME__PROVIDERS__HUBSPOT__CLIENT_SECRET" in str(missing.value)


async def test_a_tenant_may_change_a_part_and_share_the_registration():
    own = ProviderSettings(scopes=frozenset({"crm.objects.deals.read"}))
    app = await registered({"hubspot": COMMON}, acme={"hubspot": own}).get("hubspot", tenant="acme")

    assert (app.client_id, app.client_secret) == ("common", SECRET)
    assert "crm.objects.deals.read" in app.scopes


async def test_a_service_account_needs_its_key_and_no_client():
    app = await apps(google=ProviderSettings(service_account=SECRET)).get("google", kind=CredentialKind.SERVICE_ACCOUNT)
    assert app.service_account == SECRET
    with pytest.raises(ProviderNotConfiguredError, match=r"Set service_account under \[providers\.google\]"):
        await apps(google=ProviderSettings("id", SECRET)).get("google", kind=CredentialKind.SERVICE_ACCOUNT)


async def test_client_credentials_need_a_secret():
    with pytest.raises(ProviderNotConfiguredError, match="Set client_secret"):
        await apps(microsoft=ProviderSettings("id")).get("microsoft", kind=CredentialKind.CLIENT_CREDENTIALS)


async def test_a_person_fills_in_what_the_operator_left_open():
    shops = apps(shopify=ProviderSettings("id", SECRET))

    assert list(shops.asks("shopify")) == ["shop"]
    assert "{shop}" in (await shops.get("shopify")).provider.token_url
    app = await shops.get("shopify", variables={"shop": "acme"})
    assert app.provider.token_url == "https://acme.myshopify.com/admin/oauth/access_token"
    assert app.provider.api.hosts == ("acme.myshopify.com",)
    assert app.variables == {"shop": "acme"}


@pytest.mark.parametrize("variables", [{}, {"shop": ""}, {"shop": "acme.evil.example/"}, {"shop": "a@b"}])
async def test_a_variable_that_is_missing_or_wrong_stops_the_consent(variables):
    with pytest.raises(SettingsError, match="shop"):
        await apps(shopify=ProviderSettings("id", SECRET)).get("shopify", variables=variables)


async def test_the_operators_own_choice_wins_over_a_persons():
    one = apps(zendesk=ProviderSettings("id", SECRET, variables={"subdomain": "acme"}))

    assert one.asks("zendesk") == {}
    app = await one.get("zendesk", variables={"subdomain": "evil", "unknown": "x"})
    assert app.provider.token_url == "https://acme.zendesk.com/oauth/tokens"


async def test_hosts_of_a_self_hosted_product_are_the_operators_to_allow():
    two = apps(gitlab=ProviderSettings("id", SECRET, allowed_hosts=frozenset({"git.acme.example"})))

    assert list(two.asks("gitlab")) == ["host"]
    allowed = await two.get("gitlab", variables={"host": "git.acme.example"})
    assert allowed.provider.token_url == "https://git.acme.example/oauth/token"
    with pytest.raises(SettingsError, match="host does not look right"):
        await two.get("gitlab", variables={"host": "git.evil.example"})
    assert apps(gitlab=ProviderSettings("id", SECRET)).asks("gitlab") == {}


async def test_the_operators_own_host_is_allowed_by_being_set():
    app = await apps(gitlab=ProviderSettings("id", SECRET, variables={"host": "git.acme.example"})).get("gitlab")
    assert app.provider.revocation.url == "https://git.acme.example/oauth/revoke"


async def test_the_test_environment_is_another_server_with_the_same_particulars():
    app = await apps(square=ProviderSettings("id", SECRET, sandbox=True)).get("square")
    assert app.provider.token_url == "https://connect.squareupsandbox.com/oauth2/token"
    assert app.provider.token_response.expires_at == "expires_at"


async def test_variables_are_known_whoever_chose_them():
    """They tell accounts of two servers apart, and tools need them."""
    settings = ProviderSettings("id", SECRET, variables={"subdomain": "acme"})
    assert (await apps(zendesk=settings).get("zendesk", variables={"subdomain": "evil"})).variables == {
        "subdomain": "acme"
    }
    assert (await apps(gitlab=ProviderSettings("id", SECRET)).get("gitlab")).variables == {"host": "gitlab.com"}


async def test_a_name_that_the_provider_gave_our_address_goes_in_its_place():
    app = await apps(ebay=ProviderSettings("id", SECRET, redirect_uri="Acme-RuName")).get("ebay")
    assert app.redirect_uri == "Acme-RuName"
