"""`--isolation process` and its settings, as an operator meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import app
from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.warm import atp_gateway

KIT = """
import os, sys
from gateway import ToolKitClient

print("a toolkit may print")

@ToolKitClient(app_name="kit").tool
def where() -> dict:
    os.write(1, b"and C code may write\\n")
    seen = os.environ.get
    return {"pid": os.getpid(), "parent": os.getppid(), "region": seen("REGION"), "other": seen("OTHER")}
"""


@pytest.fixture
def kit(tmp_path):
    path = tmp_path / "kit.py"
    path.write_text(KIT)
    return path


def test_stdio_runs_a_toolkit_apart_and_leaves_nothing_behind(kit, tmp_path):
    config = tmp_path / "gateway.toml"
    config.write_text('[toolkits]\nenvironment = ["REGION"]\n')
    command = ["stdio", "--isolation", "process", "--config", str(config), str(kit)]
    program = atp_gateway(*command)
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "where", "arguments": {}}},
    ]
    done = subprocess.run(
        program,
        env={name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
        | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
            "REGION": "eu1",
            "OTHER": "not named",
        },
        input="".join(json.dumps(message) + "\n" for message in messages),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    answers = {message.get("id"): message for message in map(json.loads, done.stdout.splitlines())}
    found = answers[2]["result"]["structuredContent"]
    assert (found["region"], found["other"]) == ("eu1", None)
    assert found["pid"] != found["parent"]
    assert not Path(f"/proc/{found['pid']}").exists()
    assert "a toolkit may print" in done.stderr
    assert "and C code may write" in done.stderr


def settings_for(tmp_path, toolkits):
    config = tmp_path / "gateway.toml"
    config.write_text(f"[toolkits]\n{toolkits}\n[database]\nurl = 'sqlite:///{tmp_path}/gateway.db'\n")
    return load_settings(config, {})


async def test_only_the_toolkits_that_are_named_run_apart(kit, tmp_path):
    (tmp_path / "other.py").write_text(KIT.replace("def where", "def elsewhere"))
    gateway = app.build(settings_for(tmp_path, 'isolation = ["kit"]'))
    async with app.listening(gateway):
        assert gateway.load([str(kit), str(tmp_path / "other.py")]).errors == ()
        pids = {
            name: (await gateway.registry.find(name).run({}, None, _context()))["pid"]
            for name in ("where", "elsewhere")
        }

    assert pids["elsewhere"] == os.getpid() != pids["where"]


async def test_a_name_that_no_toolkit_has_is_a_wrong_setting(kit, tmp_path):
    gateway = app.build(settings_for(tmp_path, 'isolation = "proces"'))
    async with app.listening(gateway):
        with pytest.raises(SettingsError, match=r"isolation names proces, and no toolkit is called that"):
            gateway.load([str(kit)])


async def test_a_name_of_the_settings_need_not_be_loaded_by_every_command(kit, tmp_path):
    (tmp_path / "other.py").write_text(KIT)
    gateway = app.build(settings_for(tmp_path, f'isolation = "other"\nload = ["{tmp_path}/other.py"]'))
    async with app.listening(gateway):
        assert gateway.load([str(kit)]).errors == ()


def _context():
    import asyncio

    from gateway.toolkit.context import Context, NullChannel

    return Context(NullChannel(), asyncio.get_running_loop())
