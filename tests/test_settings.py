"""Settings: a file, the environment over it, and sentences for what is wrong."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.errors import SettingsError
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
    ],
)
def test_what_is_wrong_is_named_where_it_stands(config, text, says):
    with pytest.raises(SettingsError, match=says):
        load_settings(config(text), {})


def test_a_missing_file_is_a_sentence():
    with pytest.raises(SettingsError, match="cannot read the configuration /no/such"):
        load_settings(Path("/no/such/file.toml"), {})


def test_the_example_configuration_is_valid_and_names_every_setting():
    text = EXAMPLE.read_text()
    assert tomllib.loads(text)
    for section in fields(Settings):
        if section.name == "providers":
            continue
        table = text.split(f"\n[{section.name}]", 1)[1].split("\n[", 1)[0]
        for setting in fields(section.default_factory):
            assert setting.metadata["about"], f"{section.name}.{setting.name} has no sentence"
            assert f"# {setting.name}" in table, f"{section.name}.{setting.name} is not in the example"
