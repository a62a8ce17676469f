"""The wiring: what is opened when, and what a person hears when it cannot be."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket

import anyio
import pytest

from gateway import app
from gateway.errors import LoadError, SettingsError
from gateway.secret import Secret
from gateway.settings import load_settings
from gateway.toolkit.context import NullChannel
from gateway.types import Call, Client, Done, Failed, FlowStatus, NeedsConnection

TOOLKIT = """
from gateway import ToolKitClient

client = ToolKitClient(app_name="fixture")

@client.tool
def plain() -> str:
    "Needs nothing."
    return "fine"

@client.tool(auth_provider="notes", auth_type="apiKey")
def count(auth_token: str) -> int:
    "Needs a key."
    return len(auth_token)
"""


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "kit.py").write_text(TOOLKIT)
    return {
        "ATP_GATEWAY_SERVER_PORT": "0",
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    }


def called(gateway, tool):
    return gateway.executor.call(Call(gateway.principal, Client("test"), tool, {}, "1", NullChannel()))


async def test_a_tool_that_needs_no_account_runs_without_a_database(environ, tmp_path):
    environ["ATP_GATEWAY_DATABASE_URL"] = f"sqlite:///{tmp_path}/kit.py/impossible.db"
    gateway = app.build(load_settings(None, environ))
    gateway.load([str(tmp_path / "kit.py")])
    assert isinstance(await called(gateway, "plain"), Done)


async def test_connections_are_looked_after_while_the_gateway_serves(environ, tmp_path):
    async with app.serving(load_settings(None, environ), [str(tmp_path / "kit.py")]) as gateway:
        upkeep = (await gateway.accounts.open()).upkeep
        assert upkeep.is_running
    assert not upkeep.is_running


async def test_a_single_command_leaves_the_looking_after_to_those_that_stay(environ):
    async with app.listening(app.build(load_settings(None, environ))) as gateway:
        assert not (await gateway.accounts.open()).upkeep.is_running


async def test_a_database_that_does_not_open_is_a_sentence_and_is_tried_again(environ, tmp_path):
    (tmp_path / "folder").write_text("in the way")
    environ["ATP_GATEWAY_DATABASE_URL"] = f"sqlite:///{tmp_path}/folder/gateway.db"
    gateway = app.build(load_settings(None, environ))
    gateway.load([str(tmp_path / "kit.py")])
    async with app.listening(gateway):
        outcome = await called(gateway, "count")
        assert isinstance(outcome, Failed)
        assert "cannot be opened" in str(outcome.error)
        (tmp_path / "folder").unlink()
        assert isinstance(await called(gateway, "count"), NeedsConnection)


async def test_a_key_typed_on_the_page_reaches_the_tool_and_a_later_process(environ, tmp_path):
    settings = load_settings(None, environ)
    async with app.serving(settings, [str(tmp_path / "kit.py")]) as gateway:
        needs = await called(gateway, "count")
        accounts = await gateway.accounts.open()
        with anyio.fail_after(5):
            await accounts.flows.submit_key(needs.flow_id, gateway.principal, Secret("key-0123456789"))
            assert await gateway.accounts.wait(needs.flow_id, gateway.principal, 1) is FlowStatus.CONNECTED
    async with app.serving(settings, [str(tmp_path / "kit.py")]) as later:
        assert (await called(later, "count")).result.structured == len("key-0123456789")


async def test_every_call_is_on_record_when_the_gateway_has_closed(environ, tmp_path):
    settings = load_settings(None, environ)
    async with app.serving(settings, [str(tmp_path / "kit.py")]) as gateway:
        await called(gateway, "plain")
    async with app.serving(settings, []) as later:
        store = (await later.accounts.open()).store
        assert [event.tool for event in await store.audit.list_latest(later.principal)] == ["plain"]


async def test_a_port_in_use_is_a_settings_error_that_names_it(environ, tmp_path):
    taken = socket.create_server(("127.0.0.1", 0))
    environ["ATP_GATEWAY_SERVER_PORT"] = str(taken.getsockname()[1])
    with taken, pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{taken.getsockname()[1]}"):
        async with app.serving(load_settings(None, environ), []):
            raise AssertionError("it listened")


async def test_strict_stops_at_a_broken_toolkit(environ, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    environ["ATP_GATEWAY_TOOLKITS_STRICT"] = "true"
    gateway = app.build(load_settings(None, environ))
    with pytest.raises(LoadError, match=r"broken\.py:1"):
        gateway.load([str(tmp_path / "broken.py")])


async def test_a_signal_ends_a_gateway_that_listens_to_them(environ):
    async with app.serving(load_settings(None, environ), [], handle_signals=True) as gateway:
        os.kill(os.getpid(), signal.SIGTERM)
        with anyio.fail_after(5):
            await gateway.stopped()
