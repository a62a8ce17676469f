"""The shipped descriptions, the operator's own, and how a wrong one is refused."""

from __future__ import annotations

import pytest

from gateway.errors import SettingsError
from gateway.providers.catalogue import Catalogue

GOOD = {"authorization_url": "https://acme.example/a", "token_url": "https://acme.example/t"}


def test_hubspot_is_on_dated_endpoints():
    """The undated v1 ones stop on 2027-02-16."""
    hubspot = Catalogue.load().find("hubspot")
    for url in (hubspot.token_url, hubspot.introspection.url, hubspot.revocation.url):
        assert "/oauth/2026-03/" in url


def test_a_name_that_nobody_described_is_not_found():
    catalogue = Catalogue.load()
    assert {"google", "hubspot", "microsoft", "salesforce"} <= set(catalogue.names())
    assert catalogue.find("nobody") is None
    assert catalogue.find("../provider") is None


def test_an_operators_own_stand_beside_them_and_win():
    catalogue = Catalogue.load({"acme": GOOD}, {"hubspot": {**GOOD, "name": "Our HubSpot"}})
    assert {"acme", "google"} <= set(catalogue.names())
    assert catalogue.find("acme").name == "acme"
    assert catalogue.find("hubspot").name == "Our HubSpot"


def test_a_folder_of_own_files_stands_beside_the_shipped_ones_and_wins(tmp_path):
    for name in ("acme", "hubspot"):
        (tmp_path / f"{name}.toml").write_text(f'name = "Our {name}"\nissuer = "https://login.acme.example"\n')
    catalogue = Catalogue.load(folder=tmp_path)
    assert catalogue.find("acme").name == "Our acme"
    assert catalogue.find("hubspot").name == "Our hubspot"
    assert catalogue.find("google").name == "Google"


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(SettingsError, match=r"\[catalogue\] folder: .*nowhere is not a folder"):
        Catalogue.load(folder=tmp_path / "nowhere")


def test_a_mistake_in_a_file_of_the_operators_own_is_told_at_the_start(tmp_path):
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(SettingsError, match=r"broken\.toml cannot be read"):
        Catalogue.load(folder=tmp_path)


def test_a_shipped_file_is_read_when_its_provider_is_first_asked_for():
    catalogue = Catalogue.load()
    assert catalogue._known == {}
    assert catalogue.find("google")
    assert catalogue._known.keys() == {"google"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tokenurl": "x"}, "unknown key tokenurl. Did you mean token_url?"),
        ({"scopes": {"defaults": []}}, "unknown key scopes.defaults. Did you mean default?"),
        ({"refresh": {"zzz": 1}}, "unknown key refresh.zzz."),
        ({"pkce": "yes"}, "pkce must be true or false."),
        ({"expires_in_default": "3600"}, "expires_in_default must be a whole number."),
        ({"expires_in_default": True}, "expires_in_default must be a whole number."),
        ({"name": 7}, "name must be text."),
        ({"scopes": {"default": "read"}}, "scopes.default must be a list."),
        ({"scopes": {"default": [1]}}, "scopes.default must be a list of texts."),
        ({"scopes": []}, "scopes must be a table."),
        ({"authorize_params": {"x": 1}}, "authorize_params.x must be text."),
        ({"token_auth_method": "magic"}, "token_auth_method must be one of client_secret_basic, client_secret_post"),
        ({"revocation": {}}, "the key revocation.url is missing."),
        ({"id": "other"}, "remove the key id"),
        ({"extras": {"host": "("}}, "extras.host is not a regular expression"),
        ({"identity": {"source": "userinfo", "account_id": ["sub"]}}, "needs userinfo_url"),
        ({"identity": {"source": "introspection", "account_id": ["sub"]}}, "needs introspection.url"),
        ({"identity": {"source": "token", "account_id": []}}, "must name at least one claim"),
        (
            {"token_url": "https://{shop}.acme.example/"},
            "token_url holds {shop}, which is neither a variable nor an extra",
        ),
        ({"api": {"base_url": "http://acme.example"}}, "api.base_url must begin with https://"),
        ({"redirect": {"checks": ["magic"]}}, "redirect.checks must be one of shopify_hmac"),
        ({"redirect": {"variables": {"dc": {"param": "x", "pattern": "(x)"}}}}, "fills a variable that does not exist"),
        ({"redirect": {"variables": {"dc": {"param": "x", "pattern": "x"}}}}, "needs a group"),
        ({"token_url": ""}, "give issuer, or authorization_url and token_url."),
        ({"token_url": "http://acme.example/t"}, "token_url must begin with https://"),
        ({"token_url": "https://a\\b.example/"}, "token_url must be a plain https:// address."),
        ({"token_url": "https://u:p@acme.example/"}, "token_url must be a plain https:// address."),
        ({"token_url": "https://acme.example/#x"}, "token_url must be a plain https:// address."),
        ({"token_url": "https://acme.example:port/"}, "token_url must be a plain https:// address."),
        ({"revocation": {"url": "ftp://acme.example"}}, "revocation.url must begin with https://"),
    ],
    ids=str,
)
def test_a_wrong_description_is_refused_in_a_sentence_that_names_table_and_key(change, sentence):
    with pytest.raises(SettingsError) as refusal:
        Catalogue.load({"acme": GOOD | change})
    assert str(refusal.value).startswith("[providers.acme]: ")
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("name", ["", "Acme", "a/b", "..", "a b", "x" * 65])
def test_a_name_that_cannot_stand_in_a_callback_path_is_refused(name):
    with pytest.raises(SettingsError, match="lower-case letters"):
        Catalogue.load({name: GOOD})


def test_a_broken_file_is_named(tmp_path):
    broken = tmp_path / "acme.toml"
    broken.write_text('name = "Acme')
    with pytest.raises(SettingsError, match=r"acme\.toml cannot be read"):
        Catalogue({}, {"acme": broken}).find("acme")
    broken.write_text('token_ur = "x"')
    with pytest.raises(SettingsError, match=r"acme\.toml: unknown key token_ur"):
        Catalogue({}, {"acme": broken}).find("acme")


def test_http_is_for_this_machine_only():
    for host in ("127.0.0.1:8000", "[::1]:8000", "localhost"):
        Catalogue.load({"acme": {"authorization_url": f"http://{host}/a", "token_url": f"http://{host}/t"}})
    for host in ("127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "2130706433"):
        with pytest.raises(SettingsError):
            Catalogue.load({"acme": GOOD | {"token_url": f"http://{host}/t"}})
