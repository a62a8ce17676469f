"""Settings: a file, the environment over it, and sentences for what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.secret import Secret
from gateway.settings import Settings, load_settings

EXAMPLE = Path(__file__).parent.parent / "config" / "gateway.toml"


@pytest.fixture
def config(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "gateway.toml"
        path.write_text(text)
        return path

    return write


def test_without_a_file_everything_has_a_default():
    settings = load_settings(None, {})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8787)


def test_the_environment_wins_over_the_file(config):
    path = config('[server]\nport = 9000\n[providers.hubspot]\nclient_id = "file"\nclient_secret = "s3cr3t"')
    settings = load_settings(
        path,
        {"ATP_GATEWAY_SERVER_PORT": "9001", "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID": "environment"},
    )
    assert settings.server.port == 9001
    assert settings.providers["hubspot"].client_id == "environment"
    assert settings.providers["hubspot"].client_secret.reveal() == "s3cr3t"


def test_a_variable_finds_the_provider_whose_name_has_a_hyphen(config):
    path = config('[providers.demo-crm]\nissuer = "https://crm.example"')
    settings = load_settings(path, {"ATP_GATEWAY_PROVIDERS__DEMO_CRM__CLIENT_ID": "one"})
    assert settings.providers["demo-crm"].client_id == "one"


def test_a_secret_may_stand_in_a_file_beside_the_configuration(config, tmp_path):
    (tmp_path / "hubspot.secret").write_text("from-a-file\n")
    settings = load_settings(config('[providers.hubspot]\nclient_id = "x"\nclient_secret_file = "hubspot.secret"'), {})
    assert settings.providers["hubspot"].client_secret.reveal() == "from-a-file"


def test_settings_print_no_secret():
    settings = load_settings(None, {"ATP_GATEWAY_VAULT_KEY": "CNRY-key", "ATP_GATEWAY_ATP_APP_KEY": "CNRY-app"})
    assert "CNRY" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[server]\nprot = 1", r"\[server\] has no setting 'prot'; it has host, port"),
        ("[sever]\nport = 1", r"unknown section \[sever\]"),
        ('[server]\nport = "many"', r"\[server\] port must be a whole number"),
        ('[toolkits]\nstrict = "maybe"', r"strict must be true or false"),
        ("[server\n", "not valid TOML"),
        ('[providers.hubspot]\nclient_secret_file = "missing"', "cannot read"),
        ("providers = 1", r"\[providers\] must be a table"),
        ("[tenants.acme.provider.hubspot]", r"\[tenants.acme\] has no setting 'provider'; it has providers"),
        ("[tenants.acme.providers.hubspot]\nid = 1", r"\[tenants.acme.providers.hubspot\] has no setting 'id'"),
        ("[providers.gitlab]\nvariables.host = 1", r"\[providers.gitlab\] variables.host must be text"),
    ],
)
def test_what_is_wrong_is_named_where_it_stands(config, text, says):
    with pytest.raises(SettingsError, match=says):
        load_settings(config(text), {})


def test_the_variable_that_names_the_file_is_no_setting(config):
    assert load_settings(config("[server]\nport = 1"), {"ATP_GATEWAY_CONFIG": "gateway.toml"}).server.port == 1


def test_what_was_read_from_the_environment_is_inherited_by_no_child():
    names = ("ATP_GATEWAY_VAULT_KEY", "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_SECRET", "ATP_GATEWAY_DATABASE_URL")
    program = (
        "import subprocess; from gateway.cli.options import settings_for\n"
        "assert settings_for(None).vault.key.reveal() == 'canary'; subprocess.run(['env'])"
    )
    environ = os.environ | dict.fromkeys(names, "canary") | {"PYTHONPATH": os.pathsep.join(sys.path)}
    environ.pop("ATP_GATEWAY_TEST_POSTGRES", None)
    found = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)

    assert found.stdout
    assert "canary" not in found.stdout


def test_a_missing_file_is_a_sentence():
    with pytest.raises(SettingsError, match="cannot read the configuration /no/such"):
        load_settings(Path("/no/such/file.toml"), {})


def test_the_example_configuration_is_valid_and_names_every_setting():
    text = EXAMPLE.read_text()
    assert tomllib.loads(text)
    for section in fields(Settings):
        if section.default_factory in {dict, MISSING}:  # tables that the operator names; what is no section
            continue
        table = text.split(f"\n[{section.name}]", 1)[1].split("\n[", 1)[0]
        for setting in fields(section.default_factory):
            assert setting.metadata["about"], f"{section.name}.{setting.name} has no sentence"
            assert f"# {setting.name}" in table, f"{section.name}.{setting.name} is not in the example"


def test_a_tenant_has_its_own_providers_in_the_file_and_in_the_environment(config, tmp_path):
    (tmp_path / "secret").write_text("theirs\n")
    path = config("""
[tenants.acme-corp.providers.hubspot]
client_id = "file"
client_secret_file = "secret"
""")
    environ = {
        "ATP_GATEWAY_TENANTS__ACME_CORP__PROVIDERS__HUBSPOT__CLIENT_ID": "environment",
        "ATP_GATEWAY_TENANTS__OTHER__PROVIDERS__ZENDESK__VARIABLES__SUBDOMAIN": "acme",
        "ATP_GATEWAY_PROVIDERS__SALESFORCE__VARIABLES__LOGIN_HOST": "test.salesforce.com",
        "ATP_GATEWAY_PROVIDERS__GITHUB_APP__TESTING": "yes",
    }

    settings = load_settings(path, environ)

    hubspot = settings.tenants["acme-corp"]["hubspot"]
    assert hubspot.client_id == "environment"
    assert hubspot.client_secret == Secret("theirs")
    assert settings.tenants["other"]["zendesk"].variables == {"subdomain": "acme"}
    assert settings.providers["salesforce"].variables == {"login_host": "test.salesforce.com"}
    assert settings.providers["github-app"].testing


@pytest.mark.parametrize(
    "name",
    [
        "TENANTS__ACME",
        "TENANTS__ACME__PROVIDERS__HUBSPOT",
        "TENANTS__ACME__VAULT__KEY__X",
        "TENANTS____PROVIDERS__A__B",
    ],
)
def test_a_tenants_variable_that_says_too_little_is_refused_with_the_shape_it_should_have(name):
    with pytest.raises(SettingsError, match="TENANTS__<TENANT>__PROVIDERS__<PROVIDER>__<SETTING>"):
        load_settings(None, {f"ATP_GATEWAY_{name}": "x"})


def test_a_folder_is_found_beside_the_file_that_names_it(config, tmp_path):
    assert load_settings(config('[catalogue]\nfolder = "ours"'), {}).catalogue.folder == tmp_path / "ours"


def test_a_client_of_the_operators_has_a_table_of_its_own(config, tmp_path):
    (tmp_path / "client.secret").write_text("theirs\n")
    path = config("""
[access]
builtin = true

[access.clients.intranet]
name = "Intranet"
redirect_uris = ["https://intranet.example/callback"]
secret_file = "client.secret"
""")

    access = load_settings(path, {"ATP_GATEWAY_ACCESS_REGISTRATION": "false"}).access

    assert (access.builtin, access.registration) == (True, False)
    assert access.clients["intranet"].name == "Intranet"
    assert access.clients["intranet"].redirect_uris == ("https://intranet.example/callback",)
    assert access.clients["intranet"].secret == Secret("theirs")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[access]\nclients = 1", "clients must be"),
        ("[access.clients]\nintranet = 1", r"clients.intranet must be a table"),
        ("[access.clients.intranet]\nredirects = 1", r"clients.intranet has no setting 'redirects'"),
    ],
)
def test_what_is_wrong_with_a_client_is_named_where_it_stands(config, text, says):
    with pytest.raises(SettingsError, match=says):
        load_settings(config(text), {})
