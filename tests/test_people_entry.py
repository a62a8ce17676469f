"""Whether there is a way to sign in, where one is needed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.people_entry import base_url_of, check_sign_in, say_who_cannot_connect
from gateway.settings import AccessSettings, Server
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.toolkit.tool import Tool

KEYS = AccessSettings(keys=True)


TOOLKIT = '''
from gateway import ToolKitClient

client = ToolKitClient(app_name="fixture")


@client.tool(auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token")
def contacts(auth_token: str) -> str:
    """Read contacts."""
    return auth_token


@client.tool()
def greet() -> str:
    """Say hello."""
    return ""
'''


@pytest.fixture
def tools(tmp_path: Path) -> list[Tool]:
    (tmp_path / "fixture.py").write_text(TOOLKIT)
    registry = Registry()
    assert not Loader(registry).load(str(tmp_path / "fixture.py")).errors
    return list(registry.tools())


def test_an_authorization_server_that_nobody_can_sign_in_at_is_not_served() -> None:
    with pytest.raises(SettingsError, match="login_issuer"):
        check_sign_in(AccessSettings(builtin=True))

    check_sign_in(AccessSettings(builtin=True, local_accounts=True))
    check_sign_in(KEYS)
    check_sign_in(AccessSettings())


def test_tools_for_which_nobody_could_connect_an_account_are_named(
    tools: list[Tool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    say_who_cannot_connect(AccessSettings(), tools)
    say_who_cannot_connect(replace(KEYS, local_accounts=True), tools)
    say_who_cannot_connect(KEYS, [tool for tool in tools if tool.name == "greet"])
    assert caplog.messages == []

    say_who_cannot_connect(KEYS, tools)

    assert "1 tools need people's own accounts, such as contacts" in caplog.text


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (Server(), "http://127.0.0.1:8787"),
        (Server(host="::1", port=1), "http://[::1]:1"),
        (Server(public_url="https://gateway.example/"), "https://gateway.example"),
    ],
)
def test_the_address_is_the_public_one_else_where_it_listens(server: Server, url: str) -> None:
    assert base_url_of(server) == url
