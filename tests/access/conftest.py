"""A gateway for a team as a process, and an authorization server that we did not write, which issues tokens for it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.warm import atp_gateway

HERE = Path(__file__).parent
NODE = HERE.parent.parent / ".cache/peers/bin/node"
PATIENCE = 60  # seconds: what takes longer hangs

TOOLKIT = '''
import httpx2
from gateway import ToolKitClient

client = ToolKitClient(app_name="fixture")


@client.tool
async def fetch(url: str) -> str:
    """Get a document."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.get(url)).text


@client.tool(read_only=True)
def greet() -> str:
    """Say hello."""
    return "hello"


@client.tool(destructive=True)
def wipe() -> str:
    """Destroy something."""
    return "wiped"
'''


@dataclass(frozen=True)
class TokenIssuer:
    """Its issuer, and what token_issuer.mjs lets a test order."""

    url: str

    def token(self, person: str = "alice", scope: str = "tools", resource: str | None = None) -> str:
        """An access token of alice or bob: signed if it is for a resource, opaque if it is not."""
        form = {"grant_type": "client_credentials", "scope": scope} | ({"resource": resource} if resource else {})
        answer = httpx2.post(f"{self.url}/token", data=form, auth=(person, f"{person} has a secret"), trust_env=False)
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def revoke(self, token: str, person: str = "alice") -> None:
        """Take a token back, as its client may."""
        url, auth = f"{self.url}/token/revocation", (person, f"{person} has a secret")
        httpx2.post(url, data={"token": token}, auth=auth, trust_env=False).raise_for_status()

    def order(self, **control: Any) -> None:
        httpx2.post(f"{self.url}/control", json=control, trust_env=False).raise_for_status()


@dataclass
class TeamGateway:
    """A serving process. `url` is where it is reached."""

    folder: Path
    environ: dict[str, str]
    url: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of ours, with this gateway's settings."""
        command = atp_gateway(*arguments)
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60, check=False)

    def key(self, person: str, *more: str) -> str:
        """A person's key."""
        whose = ("--subject", person, "--issuer", "https://login.example", *more)
        made = self.run("keys", "create", "person", f"script of {person}", *whose)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()


@contextmanager
def issuing_tokens() -> Iterator[TokenIssuer]:
    """An issuer, while the block lasts."""
    pipe = subprocess.PIPE
    command = [NODE, HERE / "token_issuer.mjs"]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdin
        with ended_after(PATIENCE, process):
            said = process.stdout.readline()
        yield TokenIssuer(json.loads(said)["issuer"])
        process.stdin.close()
        process.wait(10)


@pytest.fixture(scope="module")
def token_issuer() -> Iterator[TokenIssuer]:
    with issuing_tokens() as issuer:
        yield issuer


Serve = Callable[[str], TeamGateway]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start a gateway with these settings beside the usual ones; all end with the module."""
    running: list[subprocess.Popen[str]] = []

    def start(settings: str) -> TeamGateway:
        folder = tmp_path_factory.mktemp("team")
        (folder / "fixture.py").write_text(TOOLKIT)
        (folder / "gateway.toml").write_text(settings)
        (folder / "gateway.toml").chmod(0o600)
        environ = {name: text for name, text in os.environ.items() if not name.startswith("ATP_GATEWAY_")}
        environ |= {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "NO_COLOR": "1",
            "ATP_GATEWAY_CONFIG": str(folder / "gateway.toml"),
            "ATP_GATEWAY_SERVER_PORT": "0",
            "ATP_GATEWAY_TOOLKITS_LOAD": str(folder / "fixture.py"),
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
            "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        gateway = TeamGateway(folder, environ)
        process = subprocess.Popen(atp_gateway("serve"), env=environ, stderr=subprocess.PIPE, text=True)
        running.append(process)
        gateway.url = _address(process, gateway.said)
        return gateway

    yield start
    for process in running:
        process.terminate()
    for process in running:
        with ended_after(20, process):
            assert process.wait() == 0
        if process.stderr:
            process.stderr.close()


@contextmanager
def ended_after(seconds: float, process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill a process that the block waits for, when that takes longer."""
    deadline = threading.Timer(seconds, process.kill)
    deadline.start()
    try:
        yield
    finally:
        deadline.cancel()


def _address(process: subprocess.Popen[str], said: list[str]) -> str:
    """Where it says that it serves. What it says from then on is noted too."""
    assert process.stderr
    lines = iter(process.stderr)
    with ended_after(PATIENCE, process):
        for line in lines:
            said.append(line)
            if found := re.search(r"at (http://\S+)/mcp", line):
                threading.Thread(target=lambda: said.extend(lines), daemon=True).start()
                return found[1]
    raise AssertionError("the gateway did not start: " + "".join(said))
