"""The toolkit half of ATP behind the edge, over a real database and on a real port; and a worker made by hand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import secrets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2

from gateway.access.authenticator import OnePerson
from gateway.access.key_rules import Rights
from gateway.access.keys import Keys
from gateway.access.policy import OnePersonPolicy
from gateway.audit import AuditLog
from gateway.clock import Clock, SystemClock
from gateway.executor import Executor
from gateway.key_types import ApiKey, KeyKind
from gateway.remote.elsewhere import Elsewhere
from gateway.remote.holder import Holder
from gateway.remote.registration import Registration
from gateway.remote.remote_toolkits import RemoteToolkits
from gateway.remote.replicas import Replicas
from gateway.remote.sealed_call import CallSeal, Derive
from gateway.store.store import Store
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.application import application
from gateway.surfaces.atp.pace import Pace
from gateway.surfaces.atp.toolkit_inbox import ToolkitInbox
from gateway.surfaces.atp.toolkit_keys import ToolkitKeys
from gateway.surfaces.atp.toolkit_requests import ToolkitRequests
from gateway.surfaces.atp.toolkit_routes import TOOLKIT_PATHS, toolkit_routes
from gateway.surfaces.atp.toolkit_socket import Times, ToolkitSockets
from gateway.surfaces.doors import Doors
from gateway.surfaces.edge import Edge
from gateway.surfaces.replica_call import REPLICA_PATHS, replica_routes
from gateway.testing.serving import listen, serving
from gateway.toolkit.context import NullChannel
from gateway.toolkit.registry import Registry
from gateway.toolkit.replica import Replica
from gateway.types import AuditEvent, Call, Client, Credential, Done, Principal

ADA = Principal("local", "ada")
PLAIN = {"params": ["q"], "required_params": [], "description": "Finds.", "source_code": "def find(): ..."}
SIGNED = PLAIN | {"auth_provider": "hubspot", "auth_type": "OAuth2", "auth_with": "access_token"}


class Grants:
    """Whose token: Ada's, which is renewed when it is refused. Counts how often one was looked up."""

    def __init__(self) -> None:
        self.looked_up = 0

    async def credential(self, call: Call, requirement: Any, refused: Credential | None = None) -> Credential:
        self.looked_up += 1
        return Credential("hubspot", f"ada-token-{self.looked_up}", connection_id="c", version=self.looked_up)

    def describe(self, provider: str) -> None:
        return None


class House:
    """Made by `house`. `recorded` is what was put on record."""

    def __init__(
        self,
        store: Store,
        *,
        times: Times,
        pace: Pace,
        polls: dict[str, float],
        replicas: Replicas | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.recorded: list[AuditEvent] = []

        async def write(batch: Any) -> None:
            self.recorded += batch

        clock = clock or SystemClock()
        audit = AuditLog(write, clock)
        self.audit = audit
        self.grants = Grants()
        self.registry = Registry()
        self.keys = Keys(store.keys, audit, clock, timer=_no_time)
        self.toolkits = RemoteToolkits(store.remote, self.registry, replicas=replicas, look_seconds=0.05, patience=0.2)
        self.registration = Registration(
            store.remote, self.toolkits, self.registry, audit=audit, clock=clock, quiet_seconds=0.05
        )
        keys = ToolkitKeys(self.keys)
        self.routes = toolkit_routes(
            ToolkitRequests(keys, self.registration),
            ToolkitInbox(keys, self.toolkits, **polls),
            ToolkitSockets(keys, self.toolkits, times=times, pace=pace),
        )
        self.executor = Executor(self.registry, OnePersonPolicy(), self.grants, audit)
        self.base_url = ""
        self.own: Replica | None = None

    async def key(self, name: str = "crm", kind: KeyKind = KeyKind.TOOLKIT, **rights: Any) -> tuple[ApiKey, str]:
        key, text = await self.keys.create(kind, name, by=ADA, rights=Rights(**rights))
        return key, text.reveal()

    async def post(self, path: str, body: Any, **more: Any) -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=self.base_url, timeout=10) as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.post(path, content=content, **more)

    async def get(self, path: str, **more: Any) -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=self.base_url, timeout=10) as client:
            return await client.get(path, **more)

    async def register(self, key: str, name: str = "find", **metadata: Any) -> httpx2.Response:
        said = PLAIN | metadata
        code = hashlib.sha256(said["source_code"].encode()).hexdigest()
        return await self.post(
            "/api/v1/register_tool",
            {
                "function_id": name, "api_key": key, "app_name": "", "programming_language": "Python",
                "code_hash": code, "toolkit_hash": code, "metadata": said,
            },
        )  # fmt: skip

    def call(self, tool: str = "find", **arguments: Any) -> asyncio.Task[Any]:
        """A call under way, in Ada's name."""
        call = Call(ADA, Client("test"), tool, arguments, "1", NullChannel())
        return asyncio.create_task(self.executor.call(call))

    async def value(self, tool: str = "find", **arguments: Any) -> Any:
        """What a call gives."""
        outcome = await soon(self.call(tool, **arguments))
        assert isinstance(outcome, Done), outcome
        return outcome.result.structured

    async def until_listed(self, *names: str) -> None:
        await until(lambda: {tool.name for tool in self.registry.tools()} == set(names))

    @asynccontextmanager
    async def worker(self, key: str, at_once: int | None = None, **headers: str) -> AsyncIterator[Worker]:
        """A worker by hand: as the published SDK, or as a client of ours, with its key in a header."""
        path = "/ws/v1/atp/toolkit-client/" + (f"{key}/" if at_once is None else "")
        ours = {} if at_once is None else {"Authorization": f"ApiKey {key}", "ATP-Concurrency": str(at_once)}
        worker = await Worker.connect(self.base_url, path, ours | headers)
        try:
            yield worker
        finally:
            worker.writer.close()


def _no_time() -> float:
    """A time that stands still would keep keys for ever; one that runs ahead keeps none."""
    return next(_TICKS)


_TICKS = iter(range(0, 1 << 40, 10))


@asynccontextmanager
async def house(
    store: Store,
    *,
    times: Times | None = None,
    pace: Pace | None = None,
    derive: Derive | None = None,
    clock: Clock | None = None,
    **polls: float,
) -> AsyncIterator[House]:
    """With `derive`, keys for a purpose, it is one of several gateways."""
    with listen() as free:
        port = free.getsockname()[1]
    url, clock = f"http://127.0.0.1:{port}", clock or SystemClock()
    own = Replica(secrets.token_hex(16), url)
    made = House(
        store,
        times=times or Times(key=0.05, ping=60, pong=60, stuck=60, grace=0.05),
        pace=pace or Pace(1000, 1000, refused_seconds=0.01),
        polls={"held_seconds": 5.0, "key_seconds": 0.05} | polls,
        replicas=Replicas(store.replicas, own, Elsewhere(derive, clock), clock) if derive else None,
        clock=clock,
    )
    if derive is not None:
        made.own = own
        made.routes += replica_routes(Holder(CallSeal(derive, own), made.toolkits.find, clock).answer)
        made.toolkits.open()
    addresses = Addresses.of(url, "127.0.0.1", port, url)
    doors = Doors(public=TOOLKIT_PATHS, replica=REPLICA_PATHS)
    edge = Edge(application(made.routes), OnePerson(ADA), doors, addresses)
    try:
        async with serving(edge, port=port) as made.base_url:
            yield made
    finally:
        await made.registration.close()
        await made.toolkits.close()
        await made.keys.close()
        await made.audit.close()


async def until(condition: Any) -> None:
    with anyio.fail_after(5):
        while not condition():
            await a_moment()


async def a_moment(seconds: float = 0.005) -> None:
    with anyio.move_on_after(seconds):
        await anyio.sleep_forever()


async def soon(awaitable: Any, seconds: float = 5.0) -> Any:
    with anyio.fail_after(seconds):
        return await awaitable


class Worker:
    """A WebSocket client that answers nothing by itself, not even a ping (RFC 6455 section 5)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: str, body: str) -> None:
        self.reader, self.writer = reader, writer
        self.status, self.body = status, body
        self.pings: list[bytes] = []

    @classmethod
    async def connect(cls, base_url: str, path: str, headers: dict[str, str]) -> Worker:
        host, port = base_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answered = (await soon(reader.readuntil(b"\r\n\r\n"))).decode()
        status = answered.split(" ")[1]
        body = "" if status == "101" else (await soon(reader.read())).decode()
        return cls(reader, writer, status, body)

    async def say(self, message: Any) -> None:
        """Send text: JSON, unless it is a text already."""
        text = message if isinstance(message, str) else json.dumps(message)
        self._send(0x81, text.encode())

    async def answer(self, request: dict[str, Any], result: Any) -> None:
        await self.say({"type": "tool_response", "request_id": request["request_id"], "result": result})

    async def pong(self) -> None:
        """Answer the pings that have come, in their order."""
        for payload in self.pings:
            self._send(0x8A, payload)
        self.pings.clear()

    async def hear(self, message_type: str = "atp_tool_request") -> dict[str, Any]:
        """The payload of the next message; pings are kept for `pong`."""
        code, payload = await soon(self.frame())
        assert code == 1, (code, payload)
        message = json.loads(payload)
        assert message["message_type"] == message_type
        return dict(message["payload"])

    async def frame(self) -> tuple[int, bytes]:
        """The next frame that is no ping: (opcode, payload)."""
        while True:
            first, second = await self.reader.readexactly(2)
            length = second & 127
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(length)
            if first & 15 != 9:
                return first & 15, payload
            self.pings.append(payload)

    async def pinged(self) -> None:
        """Wait for a ping, while no message comes."""
        reading = asyncio.create_task(self.frame())
        await until(lambda: self.pings or reading.done())
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])

    async def closed(self) -> int:
        """The code with which the gateway closes."""
        code, payload = await soon(self.frame())
        assert code == 8, (code, payload)
        return int(struct.unpack("!H", payload[:2])[0])

    def _send(self, first: int, payload: bytes) -> None:
        length = len(payload)
        head = bytes([first, 0x80 | min(length, 126 if length < 1 << 16 else 127)])
        if length >= 1 << 16:
            head += struct.pack("!Q", length)
        elif length > 125:
            head += struct.pack("!H", length)
        self.writer.write(head + b"\0\0\0\0" + payload)
