"""The MCP surface as the app sees it: one object, three ways to serve.

    server()  the MCP server itself, for a client in the same process
    http()    Streamable HTTP at /mcp, and HTTP+SSE at /sse and /messages/ for old hosts
    stdio()   one person, one host, over this process's stdin and stdout

Below: the executor, the registry, the policy. Above: app, cli.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.access.policy import Policy
from gateway.executor import Executor
from gateway.surfaces.bearer import Bearer
from gateway.surfaces.mcp.calls import Calls
from gateway.surfaces.mcp.challenge import Challenges, Waits
from gateway.surfaces.mcp.changes import ListChanges
from gateway.surfaces.mcp.channel import Spent
from gateway.surfaces.mcp.http import HttpTransport
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.listing import AccountChoices, Listing, NoChoice
from gateway.surfaces.mcp.request import Who, principal_of_http
from gateway.surfaces.mcp.server import GatewayServer, Identity, Keys
from gateway.surfaces.mcp.session_ids import SessionIds
from gateway.surfaces.mcp.stdio import serve_stdio
from gateway.surfaces.mcp.stdout import claim_stdin, claim_stdout
from gateway.surfaces.mcp.step_up import StepUp
from gateway.toolkit.registry import Registry
from gateway.types import Principal


class BetweenRounds(Waits, Spent, Protocol):
    """What happens between the rounds of a call: a person finishes connecting, an approval is used."""


class McpSurface:
    """Serves the registry's tools over MCP. `state_keys` gives 32-byte keys, the sealing one first; replicas share
    them, and what is told by `between`. `accounts` says which ones there are to choose from."""

    def __init__(
        self,
        executor: Executor,
        registry: Registry,
        policy: Policy,
        between: BetweenRounds,
        *,
        state_keys: Keys,
        identity: Identity,
        accounts: AccountChoices = NoChoice(),  # noqa: B008 - it holds nothing
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self._executor = executor
        self._registry = registry
        self._policy = policy
        self._between = between
        self._state_keys = state_keys
        self._identity = identity
        self._accounts = accounts
        self._limits = limits

    def server(self, who: Who) -> GatewayServer:
        """A server that acts for whomever `who` names for each request."""
        challenges = Challenges(self._between, self._limits)
        return GatewayServer(
            self._identity,
            Calls(self._executor, challenges, who, self._limits, self._between),
            Listing(self._registry, self._policy, who, self._limits, self._accounts),
            ListChanges(self._registry, self._policy, who, self._limits, self._accounts),
            challenges,
            who=who,
            keys=self._state_keys,
            limits=self._limits,
        )

    def http(
        self,
        hosts: Iterable[str],
        origins: Iterable[str],
        bearer: Bearer = Bearer(),  # noqa: B008 - frozen
        *,
        step_up: bool = False,
        session_keys: Sequence[bytes] = (),
    ) -> HttpTransport:
        """Routes and lifespan. `hosts` and `origins` are the Host and Origin values accepted, as in
        `localhost:8080` and `http://localhost:8080`; a port of `*` is any port. `bearer` tells a host what its token
        lacks; with `step_up`, one for a tool that is annotated destructive has to carry a scope of its own. With
        `session_keys`, as `state_keys` are, a session of a handshake revision outlives the process."""
        wants_more = StepUp(self._registry, self._policy, bearer, wanted=step_up)
        server, ids = self.server(principal_of_http), SessionIds(session_keys)
        return HttpTransport(server, hosts, origins, limits=self._limits, step_up=wants_more, session_ids=ids)

    async def stdio(self, principal: Principal) -> None:
        """Serve one host until it closes stdin, or SIGTERM. From here on, whatever is printed goes to stderr."""
        await serve_stdio(self.server(lambda _: principal), claim_stdin(), claim_stdout(), self._limits)
