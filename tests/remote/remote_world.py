"""Registration over a real database, a registry, and what the published SDK says when it starts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from gateway.audit import AuditLog
from gateway.clock import SystemClock
from gateway.key_types import ApiKey, KeyKind
from gateway.remote.registration import Declared, Registration
from gateway.remote.remote_toolkits import RemoteToolkits
from gateway.remote.rounds import hash_of
from gateway.toolkit.registry import Registry

KEY = ApiKey(
    "k1", KeyKind.TOOLKIT, "crm", "default", "atpg_toolkit_abc", datetime(2030, 1, 1, tzinfo=UTC),
    providers=frozenset({"hubspot"}),
)  # fmt: skip
PLAIN = {"params": ["q"], "required_params": ["q"], "description": "Finds things."}


def key(**changes):
    return replace(KEY, **changes)


def source_of(name, **metadata):
    return f"def {name}(**kwargs): ...  # {sorted(metadata.items())!r}\n"


class World:
    """Registration, the registry that it fills, and what was put on record."""

    def __init__(self, store, *, review=False, quiet_seconds=0.02):
        self.store = store
        self.registry = Registry()
        self.audit = AuditLog(store.audit.append, SystemClock())
        self.toolkits = RemoteToolkits(store.remote, self.registry, look_seconds=0.02, patience=0.05)
        self.registration = Registration(
            store.remote,
            self.toolkits,
            self.registry,
            audit=self.audit,
            clock=SystemClock(),
            review=review,
            quiet_seconds=quiet_seconds,
        )

    async def register(self, name, key=KEY, toolkit_hash="h", **metadata):
        metadata = PLAIN | metadata
        source = source_of(name, **metadata)
        code = hashlib.sha256(source.encode()).hexdigest()
        await self.registration.register(key, Declared(name, code, toolkit_hash, metadata | {"source_code": source}))
        return code

    async def start(self, tools, key=KEY):
        """What the published SDK does at its start with these tools, name -> metadata; nothing is refused."""
        declared = {}
        for name, metadata in tools.items():
            declared[name] = source_of(name, **(PLAIN | metadata))
            if not await self.registration.verify_hash(key, hash_of(declared)):
                await self.register(name, key, hash_of(declared), **metadata)
        whole = hash_of(declared)
        if not await self.registration.verify_hash(key, whole):
            for name, metadata in tools.items():
                code = hashlib.sha256(declared[name].encode()).hexdigest()
                if not await self.registration.verify_tool_hash(key, name, code):
                    await self.register(name, key, whole, **metadata)
        return whole

    async def settled(self, tools, key=KEY):
        """The same, and the set is committed."""
        whole = await self.start(tools, key)
        await self.registration.close()
        assert await self.store.remote.committed(key.tenant, key.name) == whole

    async def present(self, key=KEY):
        """A worker of the toolkit, who is there until it leaves."""
        toolkit = await self.toolkits.of(key)
        worker = toolkit.workers.join()
        toolkit.show_key(worker, key)
        return worker

    def names(self):
        return [tool.name for tool in self.registry.tools()]

    async def recorded(self):
        await self.audit.flush()
        events = [entry.event for entry in await self.store.trail.page("default", 0, 1000)]
        return [(event.action, event.tool, event.outcome) for event in events]

    async def close(self):
        await self.registration.close()
        await self.toolkits.close()
        await self.audit.close()
