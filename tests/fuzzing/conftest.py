"""One gateway as its user starts it, for everything hostile that is sent to it; and what it must not have cost.

The process outlives all of the run: at its end it still has to answer, its log to hold no crash, and its memory to be
what it was, but for a bound.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, seed, settings

from gateway.access.key_rules import Rights
from gateway.access.keys import Keys
from gateway.audit import AuditLog
from gateway.clock import SystemClock
from gateway.key_types import KeyKind
from gateway.store.store import Store
from gateway.types import Principal
from tests.warm import atp_gateway

ATP_GATEWAY = Path(sys.executable).parent / "atp-gateway"
SEED = int(os.environ.get("FUZZ_SEED", "3141592"))
MOST_GROWTH = 150 << 20  # bytes of memory over a whole run, of which caches and the allocator take most
PATIENCE = 40.0

TOOLKIT = """
from gateway import ToolKitClient

client = ToolKitClient(app_name="crm")


@client.register_tool(
    function_name="find_contact", params=["name"], required_params=[], description="Gives what it gets.",
    auth_provider=None, auth_type=None, auth_with=None,
)
def find_contact(**kwargs):
    return kwargs


@client.register_tool(
    function_name="signed", params=["name"], required_params=[], description="Needs an account.",
    auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token",
)
def signed(**kwargs):
    return kwargs
"""


@dataclass(frozen=True)
class Gateway:
    """A served gateway, and keys of every kind that a program may have."""

    base_url: str
    process: subprocess.Popen[bytes]
    log: Path
    app_key: str
    toolkit_key: str
    environment: dict[str, str]

    @property
    def sockets(self) -> str:
        return self.base_url.replace("http", "ws", 1) + "/ws/v1/atp"

    def is_well(self) -> bool:
        return self.process.poll() is None and httpx2.get(f"{self.base_url}/readyz", timeout=PATIENCE).is_success

    def crashes(self) -> list[str]:
        """What the log says of bugs: each has a reference, or a stack."""
        return [
            line for line in self.log.read_text().splitlines() if re.search("reference|Traceback|never awaited", line)
        ]

    def memory(self) -> int:
        """Bytes that the process has in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) << 10

    def command(self, *arguments: str) -> str:
        """What a command of the gateway prints, beside the process that serves."""
        command = atp_gateway(*arguments)
        done = subprocess.run(command, env=self.environment, capture_output=True, timeout=PATIENCE, check=True)
        return done.stdout.decode()


@pytest.fixture(scope="session")
def hostage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway. When the run is over it has to be as well as at its beginning."""
    home = tmp_path_factory.mktemp("fuzzing")
    (home / "crm.py").write_text(TOOLKIT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATP_GATEWAY_")} | {
        "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{home}/gateway.db",
        "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_ID": "fuzzing",
        "ATP_GATEWAY_PROVIDERS__HUBSPOT__CLIENT_SECRET": "not much of a secret",
        "ATP_GATEWAY_LOG_LEVEL": "INFO",
        "HOME": str(home),
        "NO_COLOR": "1",
    }
    app_key, toolkit_key = asyncio.run(_keys(environment["ATP_GATEWAY_DATABASE_URL"]))
    log = home / "gateway.log"
    command = [ATP_GATEWAY, "serve", str(home / "crm.py"), "--strict", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    said = Queue[str]()
    keeping = Thread(target=_keep, args=(process, log, said), daemon=True)
    keeping.start()
    try:
        address = re.search(r"(http://\S+)/mcp", said.get(timeout=PATIENCE))
        assert address, log.read_text()
        yield (gateway := Gateway(address[1], process, log, app_key, toolkit_key, environment))
        assert gateway.is_well()
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
        keeping.join(PATIENCE)
    assert gateway.crashes() == []


def _keep(process: subprocess.Popen[bytes], log: Path, said: Queue[str]) -> None:
    """Write down what the gateway logs, and tell its first line."""
    assert process.stderr
    with log.open("wb", buffering=0) as kept, process.stderr as lines:
        for line in iter(lines.readline, b""):
            kept.write(line)
            said.put(line.decode())
    said.put("")


async def _keys(url: str) -> tuple[str, str]:
    """An app's key and a toolkit's, which is granted HubSpot's tokens."""
    store, by = await Store.open(url), Principal("local", "ada")
    audit = AuditLog(store.audit.append, SystemClock())
    keys = Keys(store.keys, audit, SystemClock())
    _, app = await keys.create(KeyKind.APP, "shop", by=by)
    _, toolkit = await keys.create(KeyKind.TOOLKIT, "far", by=by, rights=Rights(providers=("hubspot",)))
    await keys.close()
    await audit.close()
    await store.close()
    return app.reveal(), toolkit.reveal()


Hostile = Callable[[int], Any]


@pytest.fixture(scope="session")
def hostile(full: bool) -> Hostile:
    """Decorates a Hypothesis test: so many examples at the full size, the fiftieth part otherwise, always the same."""

    def decorate(most: int) -> Any:
        sys.stdout.write(f"FUZZ_SEED={SEED}\n")  # is shown where the test fails
        chosen = settings(
            max_examples=most if full else max(most // 50, 1),
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        return lambda test: seed(SEED)(chosen(test))

    return decorate
