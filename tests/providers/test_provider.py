"""What a description derives: filled addresses, and whether scopes are covered."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.providers.catalogue import Catalogue
from gateway.providers.provider import Scopes

SALESFORCE, MICROSOFT, GOOGLE = (Catalogue.load().find(name) for name in ("salesforce", "microsoft", "google"))


@pytest.mark.parametrize(
    "host",
    [
        "login.salesforce.com", "test.salesforce.com", "acme.my.salesforce.com", "acme--uat.sandbox.my.salesforce.com",
        "acme-dev-ed.develop.my.salesforce.com", "acme.my.site.com",
    ],
)  # fmt: skip
def test_salesforces_hosts_are_accepted(host):
    assert SALESFORCE.at({"login_host": host}).token_url == f"https://{host}/services/oauth2/token"


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example.com", "login.salesforce.com.evil.example", "login.salesforce.com@evil.example",
        "evil.example/.my.salesforce.com", "evil.example#.my.salesforce.com", "acme.my.salesforce.com\n", "{x}",
        "acme.my.salesforce.com:8443", "a\\.my.salesforce.com", "xloginxsalesforcexcom",
    ],
)  # fmt: skip
def test_other_hosts_are_refused(host):
    with pytest.raises(SettingsError, match="login_host"):
        SALESFORCE.at({"login_host": host})


@settings(max_examples=60, deadline=None)
@given(st.text() | st.from_regex(r"[a-z@/#?:.\\]{0,40}\.my\.salesforce\.com"))
def test_no_value_of_a_variable_leads_to_another_host(value):
    try:
        filled = SALESFORCE.at({"login_host": value})
    except SettingsError:
        return
    host = urlsplit(filled.token_url).hostname
    assert host.endswith((".salesforce.com", ".my.site.com"))


def test_a_microsoft_directory_is_filled_in_and_the_issuers_own_part_is_left():
    tenant = "11111111-2222-3333-4444-555555555555"
    filled = MICROSOFT.at({"tenant": tenant})
    assert f"/{tenant}/oauth2/v2.0/token" in filled.token_url
    assert filled.issuer == "https://login.microsoftonline.com/{tid}/v2.0"
    assert MICROSOFT.at({"tenant": "contoso.onmicrosoft.com"})
    for wrong in ("../x", "a/b", "", "common/"):
        with pytest.raises(SettingsError):
            MICROSOFT.at({"tenant": wrong})


def test_a_scope_may_be_granted_under_another_name():
    granted = {"https://www.googleapis.com/auth/userinfo.email", "openid"}
    assert GOOGLE.scopes.missing({"email", "openid"}, granted) == set()
    assert GOOGLE.scopes.missing({"https://www.googleapis.com/auth/userinfo.email"}, {"email"}) == set()
    assert GOOGLE.scopes.missing({"email", "https://mail.google.com/"}, granted) == {"https://mail.google.com/"}


def test_graph_scopes_are_the_same_with_and_without_their_prefix_in_any_case():
    granted = {"https://graph.microsoft.com/Mail.Read", "user.read"}
    assert MICROSOFT.scopes.missing({"mail.read", "User.Read", "Mail.Send"}, granted) == {"Mail.Send"}


def test_scopes_are_otherwise_compared_to_the_letter():
    assert Scopes().missing({"Read", "write"}, {"read", "write"}) == {"Read"}


def test_scopes_are_joined_in_one_order():
    assert Scopes(separator=",").join({"b", "a"}) == "a,b"


GITLAB, SQUARE = (Catalogue.load().find(name) for name in ("gitlab", "square"))


def test_a_self_hosted_product_is_where_the_operator_says_and_nowhere_else():
    ours = "git.acme.example:8443"
    assert GITLAB.at({"host": ours}, allowed_hosts=[ours]).token_url == f"https://{ours}/oauth/token"
    for host in ("git.acme.example", "169.254.169.254", "localhost", "acme@evil.example", ours):
        with pytest.raises(SettingsError, match=r"host does not look right.*allowed_hosts"):
            GITLAB.at({"host": host}, allowed_hosts=["other.example"])
    for nonsense in ("a/b", "a@b", "a b", "https://a", "a..b", "a:port"):
        with pytest.raises(SettingsError, match="host does not look right"):
            GITLAB.at({"host": nonsense}, allowed_hosts=[nonsense])


def test_a_variable_that_nobody_chose_yet_stays_open():
    shopify = Catalogue.load().find("shopify")
    assert shopify.at({}, complete=False).token_url == shopify.token_url
    assert list(shopify.open_variables()) == ["shop"]
    with pytest.raises(SettingsError, match="needs shop: the name of your shop"):
        shopify.at({})


def test_a_test_environment_has_every_address_of_its_own():
    sandbox = SQUARE.in_sandbox()
    for url in (sandbox.authorization_url, sandbox.token_url, sandbox.userinfo_url):
        assert urlsplit(url).hostname == "connect.squareupsandbox.com"
    assert sandbox.api.hosts == ("connect.squareupsandbox.com",)
    assert SALESFORCE.in_sandbox().at({}).token_url == "https://test.salesforce.com/services/oauth2/token"
