"""What a team adds to a call, and what many people and tools add to anything.

    python benchmarks/team.py [--seconds 2] [--rounds 5] [--only sqlite]

The same call, of a tool that has a token, for the one person of a laptop and then with one part more at a time: a
signed access token, rules, limits, and the record before the token. One call at a time, on SQLite and on PostgreSQL.
The servers stay up side by side and take turns, so that a slow minute hits all alike: believe the shares, not the
milliseconds.

Then the lists of 200 people, by their groups' rules, of 500 tools, in both eras, from the first page to the last; and a
call, by one person of ten tools and by all of 500.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import tokens
from load import HANDSHAKE, MODERN, Measured, call_of, is_whole, open_session, request_bytes
from processes import BIN, HERE, LOAD_CORE, free_port, on_core, own_settings, started

PEOPLE, TOOLS, GROUPS = 200, 500, 10
AT_MOST = 120
"""Milliseconds that a list of all these tools may take, in all but one of a hundred cases."""
_WARM = 0.3
_META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}

BEHIND, BEFORE = "[audit]\nstrict = false\n", "[audit]\nstrict = true\n"
RULES = "".join(
    f'[[access.rules]]\ngroups = ["group {n}"]\ntools = ["greet_1*", "greet_{n}"]\nmay = "call"\n'
    for n in range(GROUPS)
)
LIMITS = "[access.calls_per_minute]\nperson = 10000000\ntool = 1000000\ntenant = 20000000\n"


@dataclass
class Server:
    """A gateway, and what is asked of it in turn: each a request, or several that follow each other."""

    name: str
    requests: Iterator[Sequence[bytes]]
    port: int
    expected: bytes
    rounds: list[Measured] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Milliseconds: the median of the rounds."""
        return statistics.median(measured.quantile(share) for measured in self.rounds) * 1000


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", default="", help="sqlite, postgresql or people")
    chosen = options.parse_args()
    on_core(LOAD_CORE)
    with tokens.issuer() as issuer:
        for database in ("sqlite", "postgresql"):
            if chosen.only in database:
                show_parts(database, take_turns(parts(issuer, database), chosen))
        if chosen.only in "people":
            show_people(take_turns(crowds(issuer), chosen))


def take_turns(servers: contextlib.AbstractContextManager[list[Server]], chosen: argparse.Namespace) -> list[Server]:
    """Measure each for so many seconds in each round; the first one warms up."""
    with servers as found:
        for number in range(chosen.rounds + 1):
            for server in found:
                measured = one_at_a_time(server, chosen.seconds if number else _WARM)
                server.rounds += [measured] if number else []
    return found


def one_at_a_time(server: Server, seconds: float) -> Measured:
    """What is asked of it, each once the one before is answered, over one connection."""
    measured, began = Measured(), time.perf_counter()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        while (now := time.perf_counter()) < began + seconds or not measured.latencies:
            answers = [answer(connection, request) for request in next(server.requests)]
            measured.latencies.append(time.perf_counter() - now)
            if wrong := [found for found in answers if server.expected not in found]:
                raise SystemExit(f"{server.name}: wrong answer\n{wrong[0][:2000].decode(errors='replace')}")
    measured.seconds = time.perf_counter() - began
    return measured


def answer(connection: socket.socket, request: bytes) -> bytes:
    """The whole answer to a request."""
    connection.sendall(request)
    received = bytearray()
    while not is_whole(received):
        more = connection.recv(1 << 20)
        if not more:
            raise SystemExit("the gateway closed the connection")
        received += more
    return bytes(received)


def parts_of_a_team(issuer: tokens.Issuer) -> dict[str, str]:
    """What is in gateway.toml: one part more each time."""
    access = team(issuer)
    return {
        "one person": BEHIND,
        "a token": access + BEHIND,
        "rules": access + BEHIND + RULES,
        "limits": access + BEHIND + RULES + LIMITS,
        "the record": access + BEFORE + RULES + LIMITS,
    }


@contextlib.contextmanager
def parts(issuer: tokens.Issuer, database: str) -> Iterator[list[Server]]:
    """A gateway for each part, with those before it."""
    configs, servers = parts_of_a_team(issuer), []
    with contextlib.ExitStack() as stack:
        count = len(configs)
        urls = stack.enter_context(postgresql(count)) if database == "postgresql" else [None] * count
        for (name, config), url in zip(configs.items(), urls, strict=True):
            port = stack.enter_context(gateway(issuer, config, 10, url))
            bearer = None if name == "one person" else issuer.token(f"http://127.0.0.1:{port}/mcp", "ada", "group 1")
            servers.append(Server(name, cycle([[call_of(port, MODERN, "greet_1", bearer)]]), port, b"hello ada"))
        yield servers


@contextlib.contextmanager
def crowds(issuer: tokens.Issuer) -> Iterator[list[Server]]:
    """One person of ten tools, and 200 of 500, who call and list; the same gateways throughout."""
    config = team(issuer) + rules_of_groups()
    with contextlib.ExitStack() as stack:
        servers = []
        for people, tools in ((1, 10), (PEOPLE, TOOLS)):
            port = stack.enter_context(gateway(issuer, config, tools, None))
            audience = f"http://127.0.0.1:{port}/mcp"
            bearers = [issuer.token(audience, f"person {n}", f"group {n % GROUPS}") for n in range(people)]
            calls = cycle([[call_of(port, MODERN, f"greet_{tools - 1 - n % 5}", b)] for n, b in enumerate(bearers)])
            servers.append(Server(f"{people} x {tools} call", calls, port, b"hello ada"))
            for era in (MODERN, HANDSHAKE):
                lists = cycle([pages_of(port, era, bearer) for bearer in bearers])
                servers.append(Server(f"{people} x {tools} list {era}", lists, port, b"greet_"))
        yield servers


def pages_of(port: int, era: str, bearer: str) -> list[bytes]:
    """The requests for all pages of a person's list."""
    shown = {"Authorization": f"Bearer {bearer}"}
    headers = {"MCP-Protocol-Version": era, **shown}
    params: dict[str, Any] = {}
    if era == MODERN:
        headers |= {"Mcp-Method": "tools/list"}
        params["_meta"] = _META
    elif session := open_session(port, shown):
        headers["Mcp-Session-Id"] = session
    found, cursor = [], None
    while True:
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/list",
            "params": params | ({"cursor": cursor} if cursor else {}),
        }
        found.append(request_bytes(port, message, headers))
        cursor = asked(port, found[-1]).get("nextCursor")
        if not cursor:
            return found


def asked(port: int, request: bytes) -> dict[str, Any]:
    """The result of one request."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        received = answer(connection, request)
    result: dict[str, Any] = json.loads(received[received.index(b"{") : received.rindex(b"}") + 1])["result"]
    return result


def team(issuer: tokens.Issuer) -> str:
    return f'[access]\nissuer = "{issuer.url}"\ngroups_claim = "groups"\n'


def rules_of_groups() -> str:
    """Each group has its own hundredth of the tools kept from it, and may call all others."""
    kept = "".join(
        f'[[access.rules]]\ngroups = ["group {n}"]\ntools = ["greet_1{n}*"]\nmay = "nothing"\n' for n in range(GROUPS)
    )
    return kept + '[[access.rules]]\ntools = ["greet_*"]\nmay = "call"\n'


@contextlib.contextmanager
def gateway(issuer: tokens.Issuer, config: str, tools: int, database: str | None) -> Iterator[int]:
    """The port of `atp-gateway serve` with these settings."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="atp-gateway-") as home:
        settings = own_settings(Path(home)) | {"BENCHMARK_TOOLS": str(tools)}
        settings |= {"ATP_GATEWAY_DATABASE_URL": database} if database else {}
        path = Path(home, "gateway.toml")
        provider = f'[providers.acme]\nissuer = "{issuer.url}"\nclient_id = "load"\nclient_secret = "no secret"\n'
        path.write_text(provider + config)
        path.chmod(0o600)
        command = [BIN / "atp-gateway", "serve", HERE / "team_toolkit.py", "--strict", "--port", str(port)]
        with started([*command, "--config", path], settings, port):
            yield port


@contextlib.contextmanager
def postgresql(count: int) -> Iterator[Sequence[str]]:
    """So many databases on a server of their own, which writes to its disk: the one that the tests use does not."""
    sys.path.insert(0, str(HERE.parent))
    from tests import databases

    databases.SETTINGS = databases.SETTINGS.replace("-c fsync=off -c full_page_writes=off", "")
    with tempfile.TemporaryDirectory(prefix="atp-gateway-pg-") as home:
        Path(home).chmod(0o755)
        server = databases.PostgresServer(Path(home))
        server.start()
        try:
            with contextlib.ExitStack() as stack:
                yield [stack.enter_context(server.database("template0")) for _ in range(count)]
        finally:
            pid = int((server.data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGQUIT)
            while (server.data / "postmaster.pid").exists():
                time.sleep(0.05)


def show_parts(database: str, servers: Sequence[Server]) -> None:
    alone = servers[0].quantile(0.5)
    print(f"\n{database}, {MODERN}, one call at a time\n")
    print("| with, besides | p50 ms | p99 ms | times as long |")
    print("|---|---:|---:|---:|")
    for server in servers:
        p50 = server.quantile(0.5)
        print(f"| {server.name} | {p50:.2f} | {server.quantile(0.99):.2f} | {p50 / alone:.2f} |")


def show_people(servers: Sequence[Server]) -> None:
    print("\npeople x tools, one request at a time; a list is all its pages, one after the other\n")
    print("| | p50 ms | p99 ms |")
    print("|---|---:|---:|")
    for server in servers:
        print(f"| {server.name} | {server.quantile(0.5):.2f} | {server.quantile(0.99):.2f} |")
    few, many = (server for server in servers if server.name.endswith("call"))
    print(f"\na call by one of many, beside one of few: {many.quantile(0.5) / few.quantile(0.5):.2f} times as long")
    slowest = max(server.quantile(0.99) for server in servers if "list" in server.name)
    print(f"the slowest hundredth of the lists: {slowest:.0f} ms, where {AT_MOST} are allowed")
    if slowest > AT_MOST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
