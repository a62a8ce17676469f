"""Tool calls a second: this gateway beside its peers, in one run, as shares of a bare echo.

    python benchmarks/calls.py [--seconds 3] [--rounds 3] [--connections 16] [--only NAME]

The gateway's tool needs an account, so each of its calls includes the person, the policy, argument validation, the
broker, the injected token, the search of the result for it, and the audit row. Every server is alone on one core, the
load on another; rounds are interleaved, so that a slow minute of the machine hits all alike.

What `--isolation process` costs is measured beside that, on one connection: the same call, its tool in the gateway's
process and in a worker's. So is what it costs to know who is calling: the same call by the one person of the machine,
by a person's key, and by a signed access token. And what it costs to have each call on record before its tool has the
token, beside a record that is written behind the calls: one call at a time, and as many as there are connections.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import tokens
from load import HANDSHAKE, MODERN, Measured, call_of, measure, post
from processes import LOAD_CORE, entered, free_port, gateway, on_core, peer


@dataclass
class Subject:
    """One server in one protocol era."""

    name: str
    tools: int
    era: str
    port: int
    calls: list[bytes]
    rounds: list[Measured] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(measured.rate for measured in self.rounds)

    def quantile(self, share: float) -> float:
        return statistics.median(measured.quantile(share) for measured in self.rounds) * 1000


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=16)
    options.add_argument(
        "--only", default="", help="measure only servers whose name holds this, or isolation, or entry, or audit"
    )
    chosen = options.parse_args()
    on_core(LOAD_CORE)
    with contextlib.ExitStack() as stack:
        issuer = stack.enter_context(provider())
        subjects = []
        for name, tools in SERVERS:
            if name == "echo" or chosen.only in name:
                subjects += subjects_of(name, tools, stack, issuer, chosen.connections)
        for name in ISOLATION:
            if chosen.only in "isolation":
                subjects += subjects_of(name, 1, stack, issuer, 1)
        signer = stack.enter_context(tokens.issuer())
        for way in ENTRY:
            if chosen.only in "entry":
                subjects += subjects_by(way, stack, signer)
        if chosen.only in "audit":
            subjects += [each for name in AUDIT for each in subjects_on_record(name, stack, issuer, chosen.connections)]
        for number in range(chosen.rounds + 1):  # the first round warms up
            for subject in subjects:
                measured = measure(subject.port, subject.calls, chosen.seconds if number else 0.5)
                subject.rounds += [measured] if number else []
    beside = (*ISOLATION, *ENTRY, *AUDIT)
    show([subject for subject in subjects if subject.name not in beside], chosen.connections)
    show_isolation([subject for subject in subjects if subject.name in ISOLATION])
    show_entry([subject for subject in subjects if subject.name in ENTRY])
    show_audit([subject for subject in subjects if subject.name in AUDIT])


SERVERS = [
    ("echo", 1),
    ("sdk", 1),
    ("sdk", 1000),
    ("fastmcp", 1),
    ("fastmcp", 1000),
    ("gateway", 1),
    ("gateway", 100),
    ("gateway", 1000),
]
ISOLATION = ("inline", "process")
ENTRY = ("one person", "key", "token")
AUDIT = ("behind the calls", "before the token")


def subjects_of(name: str, tools: int, stack: contextlib.ExitStack, issuer: str, connections: int) -> list[Subject]:
    """Start a server; the subjects are the eras that it speaks."""
    if name == "gateway" or name in ISOLATION:
        port = stack.enter_context(gateway(tools, issuer, name if name in ISOLATION else "inline"))
        connect_account(port)
    else:
        port = stack.enter_context(peer(name, tools))
    eras = ["-"] if name == "echo" else [HANDSHAKE, MODERN]
    tool = f"greet_{tools - 1}"
    return [
        Subject(
            name, tools, era, port, [call_of(port, MODERN if era == "-" else era, tool) for _ in range(connections)]
        )
        for era in eras
    ]


def subjects_by(way: str, stack: contextlib.ExitStack, signer: tokens.Issuer) -> list[Subject]:
    """A gateway that is entered in one of the ways; the subjects are the eras."""
    port, bearer = stack.enter_context(entered(way, signer))
    return [Subject(way, 1, era, port, [call_of(port, era, "greet_0", bearer)]) for era in (HANDSHAKE, MODERN)]


def subjects_on_record(name: str, stack: contextlib.ExitStack, issuer: str, connections: int) -> list[Subject]:
    """A gateway whose calls are put on record in one way or the other; by one connection, and by many."""
    port = stack.enter_context(gateway(1, issuer, strict=name == AUDIT[1]))
    connect_account(port)
    counts = dict.fromkeys((1, connections))
    return [Subject(name, 1, MODERN, port, [call_of(port, MODERN, "greet_0")] * count) for count in counts]


@contextlib.contextmanager
def provider() -> Iterator[str]:
    """The issuer of an authorization server, run in a thread of ours: it works only while accounts are connected."""
    from gateway.testing.authorization_server import AuthorizationServer, RegisteredClient
    from gateway.testing.serving import serving

    client = RegisteredClient("benchmark", "not much of a secret", ("http://127.0.0.1/oauth/callback/acme",))
    ready, port = threading.Event(), free_port()
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with serving(AuthorizationServer(client), port=port):
            ready.set()
            await stopping.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[run()])
    thread.start()
    ready.wait(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


def connect_account(port: int) -> None:
    """Call a tool, follow the link that the answer holds, and consent."""
    from gateway.testing.browser import Browser

    async def consent(link: str) -> None:
        async with Browser() as browser:
            await browser.consent(link, user="alice")

    request = call_of(port, MODERN, "greet_0").split(b"\r\n\r\n", 1)
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "greet_0"}
    _, answer = post(port, json.loads(request[1]), headers)
    link = re.search(r"http://[^\s\"\\<>)]+/connect/[\w-]+", answer)
    if not link:
        raise SystemExit(f"The gateway offered no link to connect an account:\n{answer}")
    asyncio.run(consent(link[0]))


def show(subjects: list[Subject], connections: int) -> None:
    """The table of README.md."""
    echo = next(subject.rate for subject in subjects if subject.name == "echo")
    print(f"\n{connections} connections; medians of the rounds\n")
    print("| server | tools | protocol | calls/s | of the echo | p50 ms | p99 ms |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for s in subjects:
        share = f"{s.rate / echo:.0%}"
        cells = (s.name, s.tools, s.era, f"{s.rate:,.0f}", share, f"{s.quantile(0.5):.1f}", f"{s.quantile(0.99):.1f}")
        print("| " + " | ".join(map(str, cells)) + " |")


def show_isolation(subjects: list[Subject]) -> None:
    """What a call costs more when its tool runs in a worker process."""
    for era in (HANDSHAKE, MODERN):
        took = {subject.name: subject.quantile(0.5) for subject in subjects if subject.era == era}
        if len(took) == len(ISOLATION):
            inline, apart = (took[name] for name in ISOLATION)
            print(
                f"\n{era}, one call at a time: {inline:.2f} ms inline, {apart:.2f} ms in a worker process, "
                f"{apart / inline:.2f} times as long"
            )


def show_entry(subjects: list[Subject]) -> None:
    """What a call costs more when somebody has to be known."""
    for era in (HANDSHAKE, MODERN):
        took = {subject.name: subject.quantile(0.5) for subject in subjects if subject.era == era}
        if len(took) == len(ENTRY):
            alone = took["one person"]
            more = ", ".join(f"{took[way]:.2f} ms by {way} ({took[way] / alone:.2f} times)" for way in ENTRY[1:])
            print(f"\n{era}, one call at a time: {alone:.2f} ms for one person, {more}")


def show_audit(subjects: list[Subject]) -> None:
    """What a call costs more when it is on record before its tool has the token."""
    behind, before = ([subject for subject in subjects if subject.name == name] for name in AUDIT)
    for former, later in zip(behind, before, strict=True):
        told = (
            f"{AUDIT[at]} {each.rate:,.0f} calls/s, p50 {each.quantile(0.5):.1f} ms, p99 {each.quantile(0.99):.1f} ms"
            for at, each in enumerate((former, later))
        )
        share = f"{later.rate / former.rate:.0%} of the rate"
        print(f"\n{MODERN}, {len(later.calls)} at a time, on record {'; '.join(told)}: {share}")


if __name__ == "__main__":
    main()
