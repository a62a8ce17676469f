"""One toolkit from afar: its workers, and its tools, which are in the registry while somebody is there to run them.

Somebody is there while a worker is, and for a moment afterwards, in which one that lost its connection comes back. What
changes in the registry, hosts are told (`list_changed`).

A toolkit gets a provider's tokens only if its key was granted that provider. Its workers may show different keys. So a
call is refused, before any token is looked up, unless the key of every worker that is there was granted the provider;
and whoever sends a request asks once more (`not_granted`), for a worker may have come in between.

Below: `remote_run`, `pinning`, `gateway.toolkit`. Above: `remote_toolkits`, and the ways in (`inbox`, the surface).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence

from gateway.errors import GatewayError, NotAllowedError, RegistrationError
from gateway.key_types import ApiKey
from gateway.remote.definition import Definition
from gateway.remote.pinning import served
from gateway.remote.remote_run import RemoteRun
from gateway.toolkit.check import argument_check, result_check
from gateway.toolkit.registry import Registry
from gateway.toolkit.remote_tool import RemoteTool
from gateway.toolkit.tool import Tool, accept, unhindered
from gateway.toolkit.workers import Workers

log = logging.getLogger(__name__)

WAITING = 8  # calls that wait when every worker is busy
PATIENCE = 6.0  # seconds that a call waits while no worker is there: the published SDK is back in 5


class RemoteToolkit:
    """The toolkit `name` of `tenant`. `ignored` counts answers that were nobody's, too late, or said twice."""

    def __init__(self, tenant: str, name: str, registry: Registry, *, patience: float = PATIENCE) -> None:
        self.tenant = tenant
        self.name = name
        self.workers = Workers(name, waiting=WAITING, patience=patience)
        self.ignored = 0
        self._registry = registry
        self._made: dict[str, tuple[RemoteTool, Tool | None]] = {}
        self._shown: dict[str, Tool] = {}
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

    def drop_key(self, worker: Hashable) -> None:
        self._keys.pop(worker, None)

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

    def _show(self) -> None:
        here = self.workers.present or asyncio.get_running_loop().time() < self._until
        self._put([tool for _, tool in self._made.values() if tool is not None] if here else [])

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
            run=RemoteRun(self.workers, tool.name, definition.timeout),
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
            keys = list(self._keys.values()) or ([self._last_key] if self._last_key else [])
            return next((no for key in keys if (no := self.not_granted(key, need.provider))), None)

        return not_granted
