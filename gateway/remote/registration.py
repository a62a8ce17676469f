"""What a toolkit from afar says of itself: taken down, compared with what is pinned, put on record.

The published SDK registers its tools one by one and never says which it no longer has; which set it has is worked out
in `rounds`. When a set is complete and the toolkit has been quiet for a moment, it is committed: its hash is what the
toolkit is asked for next time, and tools that it does not hold are gone. Until then each tool that is registered is
simply added or changed, so a worker that dies half-way removes nothing. A tool that was refused belongs to the set all
the same, but no set with one is committed to by its hash: the toolkit may try again.

Registration needs one gateway for all of a toolkit's requests, as one process is. Where several share the work, a set
may never be complete; then nothing is removed, and nothing worse happens.

Below: `rounds`, `pinning`, `remote_toolkits`, the store, audit. Above: the ATP surface.
Source: AgentToolProtocol 0.2.5, `register_tool`, `verify_and_register_tools`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import NameTakenError, RegistrationError, StoreUnavailableError
from gateway.key_types import ApiKey
from gateway.remote.definition import Definition
from gateway.remote.pinning import Pinned, Said, pin
from gateway.remote.remote_toolkit import RemoteToolkit
from gateway.remote.remote_toolkits import RemoteToolkits
from gateway.remote.rounds import Round, WholeSet
from gateway.store.remote_rows import Full, RemoteRows, Taken
from gateway.toolkit.declaration_rules import checked_name
from gateway.toolkit.registry import Registry
from gateway.toolkit.remote_tool import RemoteSet, RemoteTool
from gateway.types import AuditEvent, Principal

log = logging.getLogger(__name__)

MOST_TOOLS = 200  # of one toolkit
QUIET_SECONDS = 3.0
ISSUER = "atp-gateway/toolkit"


@dataclass(frozen=True, slots=True)
class Declared:
    """One tool as a toolkit registers it. `code_hash` is the SHA-256 of its source, `toolkit_hash` that of the set."""

    name: str
    code_hash: str
    toolkit_hash: str
    metadata: Mapping[str, Any] = field(repr=False)

    @property
    def source(self) -> str:
        source = self.metadata.get("source_code")
        return source if isinstance(source, str) else ""


class Registration:
    """With `review`, changes wait for an administrator. `quiet_seconds` pass before tools are taken to be gone."""

    def __init__(
        self,
        rows: RemoteRows,
        toolkits: RemoteToolkits,
        registry: Registry,
        *,
        audit: AuditLog,
        clock: Clock,
        review: bool = False,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._rows = rows
        self._toolkits = toolkits
        self._registry = registry
        self._audit = audit
        self._clock = clock
        self._review = review
        self._quiet_seconds = quiet_seconds
        self._talks: dict[RemoteToolkit, _Talk] = {}
        self._settling: set[asyncio.Task[None]] = set()

    async def verify_hash(self, key: ApiKey, toolkit_hash: str) -> bool:
        """Whether the toolkit's tools are known just as they are."""
        talk = await self._talk(key)
        async with talk.turn:
            if toolkit_hash and toolkit_hash == await self._rows.committed(key.tenant, key.name):
                return True
            whole = talk.round.asked(toolkit_hash)
            self._heard(talk, whole)
            return whole is not None

    async def verify_tool_hash(self, key: ApiKey, name: str, code_hash: str) -> bool:
        """Whether a tool need not be registered again."""
        talk = await self._talk(key)
        async with talk.turn:
            kept = talk.toolkit.find(name)
            known = kept is not None and code_hash == (kept.proposed_code_hash if kept.proposed else kept.code_hash)
            if talk.round.is_listing():
                known = talk.round.listed(name) and known
            self._heard(talk, talk.round.proven())
            return known

    async def register(self, key: ApiKey, declared: Declared) -> None:
        """Take a tool down. RegistrationError says why not; NameTakenError if another toolkit has the name."""
        talk = await self._talk(key)
        async with talk.turn:
            try:
                await self._take_down(talk.toolkit, declared)
                talk.refused.discard(declared.name)
            except RegistrationError as error:
                talk.refused.add(declared.name)
                log.warning("the toolkit %s: %s", key.name, error)
                raise
            finally:
                talk.since.add(declared.name)
                source, code, whole = declared.source, declared.code_hash, declared.toolkit_hash
                self._heard(talk, talk.round.registered(declared.name, source, code, whole))

    async def close(self) -> None:
        """Commit what is complete."""
        for talk in self._talks.values():
            if talk.quiet is not None:
                talk.quiet.cancel()
            await self._settle(talk)

    async def _talk(self, key: ApiKey) -> _Talk:
        toolkit = await self._toolkits.of(key)
        return self._talks.setdefault(toolkit, _Talk(toolkit))

    async def _take_down(self, toolkit: RemoteToolkit, declared: Declared) -> None:
        name = checked_name(declared.name)
        self._check_free(toolkit, name)
        try:
            definition = Definition.of_metadata(declared.metadata)
        except RegistrationError as error:
            raise RegistrationError(f"tool {name}: {error}") from None
        said = Said(definition, declared.code_hash, self._clock.now())
        new = RemoteTool(toolkit.tenant, toolkit.name, name, said.at)
        done: list[Pinned] = []

        def edit(former: RemoteTool | None, whole: RemoteSet | None) -> RemoteTool:
            done.append(pin(new, former, whole, said, review=self._review))
            return done[-1].tool

        def fact(tool: RemoteTool) -> AuditEvent:
            return self._event(toolkit, done[-1].action, done[-1].what, tool.name)

        kept = await self._rows.edit(toolkit.tenant, toolkit.name, name, edit, most=MOST_TOOLS, fact=fact)
        if isinstance(kept, Taken):
            raise _taken(name, kept.toolkit if kept.tenant == toolkit.tenant else "another toolkit")
        if isinstance(kept, Full):
            raise RegistrationError(f"tool {name}: a toolkit has at most {MOST_TOOLS} tools. Make two toolkits of it.")
        if kept is not None:
            _say(toolkit, done[-1].action, done[-1].what, name)
            await self._toolkits.reread(toolkit)

    def _check_free(self, toolkit: RemoteToolkit, name: str) -> None:
        """Against the toolkits in this process; the store holds those from afar against each other."""
        found = self._registry.find(name)
        if found is not None and found.tenant is None:
            raise _taken(name, found.toolkit)
        if any(tool.toolkit == toolkit.name and tool.tenant is None for tool in self._registry.tools()):
            raise NameTakenError(
                f"tool {name}: this gateway has a toolkit {toolkit.name} of its own. Make a key with another name: "
                "atp-gateway keys create toolkit NAME"
            )

    def _heard(self, talk: _Talk, whole: WholeSet | None) -> None:
        """Something was said. What is complete is committed once it is quiet."""
        if whole is not None:
            talk.complete = whole
            talk.since.clear()
        if talk.complete is None:
            return
        if talk.quiet is not None:
            talk.quiet.cancel()
        talk.quiet = asyncio.get_running_loop().call_later(self._quiet_seconds, self._settle_soon, talk)

    def _settle_soon(self, talk: _Talk) -> None:
        task = asyncio.create_task(self._settle(talk))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, talk: _Talk) -> None:
        """Commit the set: a tool that it does not hold is gone, unless it was registered since."""
        toolkit = talk.toolkit
        async with talk.turn:
            if talk.complete is None:
                return
            toolkit_hash, names = talk.complete
            known = "" if talk.refused & names else toolkit_hash
            now, present = self._clock.now(), names | talk.since

            def fact(name: str) -> AuditEvent:
                return self._event(toolkit, "tool.removed", "done", name)

            try:
                gone = await self._rows.commit(toolkit.tenant, toolkit.name, known, present, now, fact=fact)
                await self._toolkits.reread(toolkit)
            except StoreUnavailableError:
                log.warning("it could not be noted which tools the toolkit %s has", toolkit.name)
                return
            talk.begin_again()
        for name in gone:
            _say(toolkit, "tool.removed", "done", name)

    def _event(self, toolkit: RemoteToolkit, action: str, what: str, name: str) -> AuditEvent:
        own = Principal(ISSUER, toolkit.name, toolkit.tenant)
        return self._audit.event(own, action, what, client=f"toolkit {toolkit.name}", tool=name)


class _Talk:
    """What is going on with one toolkit. `since` are the tools registered since the set was complete."""

    def __init__(self, toolkit: RemoteToolkit) -> None:
        self.toolkit = toolkit
        self.turn = asyncio.Lock()
        self.quiet: asyncio.TimerHandle | None = None
        self.begin_again()

    def begin_again(self) -> None:
        self.round = Round()
        self.complete: WholeSet | None = None
        self.since: set[str] = set()
        self.refused: set[str] = set()


def _say(toolkit: RemoteToolkit, action: str, what: str, name: str) -> None:
    log.info("the toolkit %s: %s %s (%s)", toolkit.name, action.replace(".", " "), name, what)


def _taken(name: str, owner: str) -> NameTakenError:
    return NameTakenError(
        f"tool {name}: {owner} has a tool of that name already, and names are unique across all toolkits. Register "
        "it under another function_name."
    )
