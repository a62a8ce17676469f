"""One toolkit from afar: its workers, and its tools, which are in the registry while somebody is there to run them.

Somebody is there while a worker is, and for a moment afterwards, in which one that lost its connection comes back; and
while another gateway of the same database says so of itself. A call goes to a worker here if there is one, else to
another gateway (`elsewhere`). What changes in the registry, hosts are told (`list_changed`).

A toolkit gets a provider's tokens only if its key was granted that provider. Its workers may show different keys. So a
call is refused, before any token is looked up, unless the key of every worker that is there was granted the provider;
and whoever sends a request asks once more (`not_granted`), for a worker may have come in between.

Below: `remote_run`, `elsewhere`, `pinning`, `gateway.toolkit`. Above: `remote_toolkits`, and the ways in (`inbox`, the
surface).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from gateway.errors import GatewayError, NotAllowedError, RegistrationError, ToolkitUnreachableError
from gateway.key_types import ApiKey
from gateway.remote.definition import Definition
from gateway.remote.elsewhere import Elsewhere, Wanted
from gateway.remote.pinning import served
from gateway.remote.remote_run import RemoteRun
from gateway.toolkit.check import argument_check, result_check
from gateway.toolkit.registry import Registry
from gateway.toolkit.remote_tool import RemoteTool
from gateway.toolkit.replica import Held, Holding, Replica
from gateway.toolkit.tool import Tool, accept, unhindered
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.workers import Workers

log = logging.getLogger(__name__)

WAITING = 8  # calls that wait when every worker is busy
PATIENCE = 6.0  # seconds that a call waits while no worker is there: the published SDK is back in 5


class RemoteToolkit:
    """The toolkit `name` of `tenant`. `ignored` counts answers that were nobody's, too late, or said twice.

    `elsewhere` leads to other gateways, None where there are none; `moved` is called when what is `held` here changes.
    """

    def __init__(
        self,
        tenant: str,
        name: str,
        registry: Registry,
        *,
        patience: float = PATIENCE,
        elsewhere: Elsewhere | None = None,
        moved: Callable[[], None] | None = None,
    ) -> None:
        self.tenant = tenant
        self.name = name
        self.workers = Workers(name, waiting=WAITING, patience=patience)
        self.ignored = 0
        self._registry = registry
        self._made: dict[str, tuple[RemoteTool, Tool | None]] = {}
        self._shown: dict[str, Tool] = {}
        self._elsewhere = elsewhere
        self._moved = moved
        self._held: frozenset[Held] = frozenset()
        self._holders: Sequence[Replica] = ()
        self._keys_elsewhere: Sequence[ApiKey] = ()
        self._keys: dict[Hashable, ApiKey] = {}
        self._last_key: ApiKey | None = None
        self._until = 0.0
        self._fading: asyncio.TimerHandle | None = None
        self.workers.subscribe(self._show)

    def know(self, tools: Sequence[RemoteTool]) -> None:
        """What is kept of its tools now."""
        made = {}
        for tool in tools:
            former = self._made.get(tool.name)
            made[tool.name] = former if former is not None and former[0] == tool else (tool, self._tool(tool))
        self._made = made
        self._show()

    def find(self, name: str) -> RemoteTool | None:
        """What is kept of a tool that has not been removed."""
        tool, _ = self._made.get(name, (None, None))
        return None if tool is None or tool.removed_at is not None else tool

    def show_key(self, worker: Hashable, key: ApiKey) -> None:
        """A worker is there with this key, as the key is now."""
        self._keys[worker] = self._last_key = key
        self._tell_others()

    def drop_key(self, worker: Hashable) -> None:
        self._keys.pop(worker, None)
        self._tell_others()

    def held(self) -> frozenset[Held]:
        """What this gateway says to the others of the workers that are here, or were a moment ago."""
        keys = (self._keys.values() or ([self._last_key] if self._last_key else [])) if self._is_here() else ()
        return frozenset(Held(self.tenant, self.name, key.id) for key in keys)

    def know_elsewhere(self, holdings: Sequence[Holding]) -> None:
        """Which other gateways have workers of it now."""
        holders = tuple(sorted({holding.replica for holding in holdings}, key=lambda replica: replica.id))
        self._keys_elsewhere = tuple(holding.key for holding in holdings)
        if holders != self._holders:
            self._holders = holders
            self._show()

    async def call_here(self, request: ToolRequest, seconds: float, *, waits: bool) -> Any:
        """As another gateway asks for it: by a worker that is here, or `waits` for one that may come back."""
        if not (self.workers.present or waits) or not self._is_made_so(request):
            raise ToolkitUnreachableError(
                f"{self.name} has no worker for it that runs. {request.tool} was not called: try again in a moment."
            )
        return await self.workers.call(request, seconds)

    def linger(self, seconds: float) -> None:
        """Keep the tools in the registry for so long, whoever leaves."""
        loop = asyncio.get_running_loop()
        self._until = max(self._until, loop.time() + seconds)
        if self._fading is not None:
            self._fading.cancel()
        self._fading = loop.call_at(self._until, self._show)

    def not_granted(self, key: ApiKey, provider: str) -> NotAllowedError | None:
        """None, or why a worker with this key does not get a token of the provider."""
        if provider in key.providers:
            return None
        return NotAllowedError(
            f"The toolkit {self.name} was not granted {provider}, so it does not get anybody's token for it. An "
            f"administrator can grant it: atp-gateway keys allow {key.prefix} --provider {provider}"
        )

    def close(self) -> None:
        """Do nothing any more. The tools stay in the registry."""
        if self._fading is not None:
            self._fading.cancel()

    async def _call(self, request: ToolRequest, seconds: float) -> Any:
        if self._elsewhere is None or self.workers.present or not self._holders:
            return await self.workers.call(request, seconds)
        return await self._elsewhere.call(Wanted(self.tenant, self.name, request), self._holders, seconds)

    def _is_made_so(self, request: ToolRequest) -> bool:
        """Whether it is known here that the tool takes such a credential: what is pinned may be news to one of us."""
        _, tool = self._made.get(request.tool, (None, None))
        need = tool and tool.requirement
        return tool is not None and (request.credential and request.credential.provider) == (need and need.provider)

    def _is_here(self) -> bool:
        return self.workers.present or asyncio.get_running_loop().time() < self._until

    def _show(self) -> None:
        there = self._is_here() or self._holders
        self._put([tool for _, tool in self._made.values() if tool is not None] if there else [])
        self._tell_others()

    def _tell_others(self) -> None:
        if self._moved is not None and (held := self.held()) != self._held:
            self._held = held
            self._moved()

    def _put(self, tools: list[Tool]) -> None:
        wanted = {tool.name: tool for tool in tools if self._is_free(tool.name)}
        if wanted == self._shown:
            return
        try:
            self._registry.replace(self._shown.keys(), wanted.values())
        except RegistrationError as error:  # a toolkit was loaded at this very moment
            log.warning("the tools of the toolkit %s could not be listed: %s", self.name, error)
            return
        self._shown = wanted

    def _is_free(self, name: str) -> bool:
        """Whether the name is not another toolkit's: one in this process may have been loaded since."""
        taken = self._registry.find(name) if name not in self._shown else None
        if taken is not None:
            log.warning("the toolkit %s has a tool %s, but %s has one as well: hidden", self.name, name, taken.toolkit)
        return taken is None

    def _tool(self, tool: RemoteTool) -> Tool | None:
        definition = served(tool)
        try:
            return None if definition is None else self._made_of(tool, definition)
        except RegistrationError as error:  # kept by a version with other rules
            log.warning("the tool %s of the toolkit %s is hidden: %s", tool.name, self.name, error)
            return None

    def _made_of(self, tool: RemoteTool, definition: Definition) -> Tool:
        output = definition.output_schema
        return Tool(
            name=tool.name,
            toolkit=self.name,
            description=definition.description,
            input_schema=definition.input_schema,
            run=RemoteRun(self._call, tool.name, definition.timeout),
            check=argument_check(definition.input_schema),
            requirement=definition.requirement,
            output_schema=output,
            annotations=definition.annotations,
            timeout=definition.timeout,
            check_result=accept if output is None else result_check(output),
            origin=f"the toolkit {self.name}, from afar",
            tenant=self.tenant,
            hindrance=self._hindrance(definition),
        )

    def _hindrance(self, definition: Definition) -> Callable[[], GatewayError | None]:
        need = definition.requirement
        if need is None:
            return unhindered

        def not_granted() -> NotAllowedError | None:
            keys = [*self._keys.values(), *self._keys_elsewhere] or ([self._last_key] if self._last_key else [])
            return next((no for key in keys if (no := self.not_granted(key, need.provider))), None)

        return not_granted
