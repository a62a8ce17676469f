"""`atp-gateway providers`: what a person reads, what a script gets, and when a pipeline stops."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner, Result

from gateway.cli.providers import command
from gateway.errors import SettingsError

ROOT = Path(__file__).parent.parent.parent

SETTINGS = """
    [server]
    public_url = "https://gateway.acme.example/"

    [catalogue]
    folder = "own"

    [providers.hubspot]
    client_id = "ours"
    client_secret = "kept to ourselves"

    [providers.google]
    client_id = "g.apps.example"
    client_secret = "kept to ourselves"
    testing = true

    [tenants.acme.providers.hubspot]
    client_id = "theirs"
"""


def invoke(config: Path, *arguments: str) -> Result:
    """Runs the command with this file, and with none of the settings of whoever runs the tests."""
    theirs = {name: None for name in os.environ if name.startswith("ATP_GATEWAY_")}
    return CliRunner(env={"COLUMNS": "100", **theirs}).invoke(command, [*arguments, "--config", str(config)])


@pytest.fixture
def empty(tmp_path):
    path = tmp_path / "empty.toml"
    path.write_text("")
    return path


@pytest.fixture
def config(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "ledger.toml").write_text(
        'name = "Ledger"\nissuer = "https://login.ledger.example"\nwords = ["books"]\n'
    )
    path = tmp_path / "gateway.toml"
    path.write_text(dedent(SETTINGS))
    return path


@pytest.fixture
def run(config):
    return partial(invoke, config)


def test_the_list_is_searched_by_what_people_look_for(run):
    found = run("list", "mail").stdout
    assert "google" in found
    assert "microsoft" in found
    assert "hubspot" not in found


def test_the_list_marks_those_that_are_set_up_and_holds_own_ones(run):
    lines = run("list").stdout.splitlines()
    assert next(line for line in lines if " hubspot " in line).startswith(" ✓ ")
    assert next(line for line in lines if " slack " in line).startswith("   ")
    assert "Ledger" in run("list", "books").stdout
    assert {row["id"] for row in json.loads(run("list", "--configured", "--json").stdout)} == {"google", "hubspot"}


def test_a_search_that_finds_nothing_says_what_else_works(run):
    result = run("list", "zzzz")
    assert result.exit_code == 1
    assert "Any OAuth 2 server works by configuration alone" in result.stderr


def test_one_provider_is_shown_in_words(run):
    text = run("show", "shopify").stdout
    for words in (
        "Shopify  shopify  stable",
        "https://gateway.acme.example/oauth/callback/shopify",
        "each person fills it in",
        "Unused for 90 days, the grant ends",
        "Calls to the API carry the token in X-Shopify-Access-Token, not as a bearer.",
        "read_products",
    ):
        assert words in text


def test_one_provider_is_shown_as_json_that_a_file_could_hold(run):
    shown = json.loads(run("show", "hubspot", "--json").stdout)
    assert shown["redirect_uris"] == ["https://gateway.acme.example/oauth/callback/hubspot"]
    assert shown["token_url"] == "https://api.hubapi.com/oauth/2026-03/token"
    assert shown["identity"]["account_id"] == ["hub_id", "user_id"]
    assert "pkce" not in shown


def test_a_provider_that_is_not_known_is_wrong_usage_with_a_guess(run):
    for verb in ("show", "check"):
        error = run(verb, "hubspott").exception
        assert isinstance(error, SettingsError)
        assert "Did you mean hubspot?" in str(error)


def test_a_check_names_what_is_missing_as_setting_and_as_variable_and_ends_with_one(run):
    result = run("check")
    assert result.exit_code == 1
    assert "✓ HubSpot  hubspot" in result.stdout
    assert "✗ HubSpot for acme  hubspot" in result.stdout
    assert "[tenants.acme.providers.hubspot]" in result.stdout
    assert "ATP_GATEWAY_TENANTS__ACME__PROVIDERS__HUBSPOT__CLIENT_SECRET" in result.stdout
    assert "redirect URI  https://gateway.acme.example/oauth/callback/hubspot" in result.stdout


def test_a_check_warns_of_googles_seven_days_and_is_content_otherwise(run):
    result = run("check", "google")
    assert result.exit_code == 0
    assert "! testing: every grant ends after 7 days" in result.stdout


def test_a_check_never_prints_a_secret(run):
    assert "kept to ourselves" not in run("check").output
    assert "kept to ourselves" not in run("check", "--json").output


def test_a_check_as_json_is_for_pipelines(run):
    found = json.loads(run("check", "hubspot", "--json").stdout)
    assert [(row["provider"], row["tenant"], row["ready"]) for row in found] == [
        ("hubspot", None, True),
        ("hubspot", "acme", False),
    ]
    assert {"level": "fine", "text": "client_id is ours"} in found[0]["findings"]


def test_what_is_not_set_up_can_be_checked_before_one_registers(run):
    result = run("check", "zendesk")
    assert result.exit_code == 1
    assert "client_id is missing: set it under [providers.zendesk]" in result.stdout
    assert "each person fills in subdomain" in result.stdout


def test_nothing_set_up_is_nothing_wrong(empty):
    result = invoke(empty, "check")
    assert result.exit_code == 0
    assert "No provider is set up" in result.stderr


def test_the_table_in_the_docs_is_the_catalogues(empty):
    table = invoke(empty, "list", "--markdown").stdout
    documented = (ROOT / "docs" / "providers.md").read_text()
    assert documented[documented.index("| name |") :] == table, "run: make catalogue"


def test_the_file_in_the_docs_is_one_that_loads(config):
    text = (ROOT / "docs" / "providers.md").read_text()
    example = next(block for block in text.split("```toml\n") if block.startswith("# Acme CRM")).split("```")[0]
    (config.parent / "own" / "acme.toml").write_text(example)
    shown = invoke(config, "show", "acme").stdout
    assert "https://eu.acme.example/oauth/authorize" in shown
    assert "Each refresh gives a new refresh token and ends the former one." in shown
