"""The official SDKs as hosts, old and new, over every transport: list, call, connect an account.

A tool that needs an account shows what each protocol era can do. A host of 2026-07-28 is asked to send the person to
our page, and its call is held until they are done. One of the handshake era gets error -32042 with the link and calls
again.
"""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.interop.programs import HERE, NODE, PYTHON_OF_PEERS, TOOLKIT, Command, Host, running_host
from tests.warm import atp_gateway

MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
HOSTS = HERE / "hosts"

PYTHON_1: Command = [PYTHON_OF_PEERS, HOSTS / "python_sdk_1.py"]
PYTHON_2: Command = [sys.executable, HOSTS / "python_sdk_2.py"]
TYPESCRIPT_1: Command = [NODE, HOSTS / "typescript_sdk_1.mjs"]
TYPESCRIPT_2: Command = [NODE, HOSTS / "typescript_sdk_2.mjs"]

SPEAKERS = {
    "python-2-auto": ([*PYTHON_2, "auto"], MODERN),
    "python-2-pinned": ([*PYTHON_2, MODERN], MODERN),
    "python-2-legacy": ([*PYTHON_2, "legacy"], HANDSHAKE),
    "python-1": (PYTHON_1, HANDSHAKE),
    "typescript-2-auto": ([*TYPESCRIPT_2, "auto"], MODERN),
    "typescript-2-pinned": ([*TYPESCRIPT_2, MODERN], MODERN),
    "typescript-2-legacy": ([*TYPESCRIPT_2, "legacy"], HANDSHAKE),
    "typescript-1": (TYPESCRIPT_1, HANDSHAKE),
}


@pytest.fixture
def host(request, tmp_path, environment):
    """Starts the host of the test's parameters; under http and sse our gateway runs already, stdio starts its own."""
    speaker, transport = request.param
    command, _ = SPEAKERS[speaker]
    if transport == "stdio":
        target: Command = ["stdio", *atp_gateway("stdio", TOOLKIT)]
    else:
        gateway = request.getfixturevalue("gateway_process")
        target = [transport, getattr(gateway, {"http": "mcp", "sse": "sse"}[transport])]

    def start() -> AbstractAsyncContextManager[Host]:
        return running_host([*command, *target], environment, Path(tmp_path))

    return start


def over(*transports: str, era: str):
    """Every host that speaks an era, over each of the transports."""
    pairs = [(name, way) for name, (_, spoken) in SPEAKERS.items() for way in transports if spoken == era]
    return pytest.mark.parametrize("host", pairs, indirect=True, ids=["-".join(pair) for pair in pairs])


@over("http", "stdio", era=MODERN)
async def test_a_host_of_2026_is_sent_to_connect_and_its_call_waits(host, consent):
    async with host() as program:
        hello = await program.hear()
        assert (hello["tools"], hello["protocol"]) == (["add", "account"], MODERN)
        assert await program.call("add", a=2, b=3) == {"text": "5", "is_error": False}

        asked = await program.call("account")
        await consent(asked["visit"])

        assert await program.hear() == {"text": "connected as alice@example.com", "is_error": False}
        assert (await program.call("account"))["text"] == "connected as alice@example.com"


@over("http", "stdio", "sse", era=HANDSHAKE)
async def test_a_host_of_the_handshake_era_gets_the_link_as_an_error_and_calls_again(host, consent):
    async with host() as program:
        hello = await program.hear()
        assert hello["tools"] == ["add", "account"]
        assert hello.get("protocol", HANDSHAKE) == HANDSHAKE
        assert await program.call("add", a=2, b=3) == {"text": "5", "is_error": False}

        refused = await program.call("account")
        assert refused["code"] == -32042
        await consent(refused["links"][0])

        assert await program.call("account") == {"text": "connected as alice@example.com", "is_error": False}
