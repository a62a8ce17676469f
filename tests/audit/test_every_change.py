"""Whatever changes what people and programs may do is on record with the change, or is not made.

Through the services that make the changes, on both databases: whoever has changed something may be asked who it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select

from gateway.access.key_rules import Rights
from gateway.access.keys import Keys
from gateway.access.people import Arrival
from gateway.access.totp import code_at, new_totp_secret, step_at
from gateway.audit.verification import verify
from gateway.authorization.signing_keys import SIGNS_FOR, SigningKeys
from gateway.clock import MovableClock
from gateway.errors import GatewayError, StoreUnavailableError
from gateway.key_types import KeyKind
from gateway.oauth.keep_alive import KeepAlive
from gateway.oauth.refresher import Refresher
from gateway.people_types import Person
from gateway.remote.review import Review
from gateway.store.store import Store
from gateway.store.tables import METADATA
from gateway.types import Connection, ConnectionStatus, CredentialKind, Principal
from gateway.webhooks.wired import wired
from tests.access.household import GOOD, OURSELVES, Household, household
from tests.audit.troubles import unwritable
from tests.authorization.house import ALICE, House, make_house, parameters
from tests.remote.remote_world import World

SHOP = Principal("app", "shop")
Change = Callable[[], Awaitable[Any]]


class Gateway:
    """What a gateway has that can be changed, with one of each kind to be changed."""

    def __init__(self, store: Store, home: Household, house: House, world: World) -> None:
        self.store, self.home, self.house, self.world = store, home, house, world
        self.keys = Keys(store.keys, home.audit, home.clock)
        self.webhooks = wired(store, home.vault, ["receiver.example"], home.audit, home.clock).registrations
        self.review = Review(store.remote, home.audit, home.clock)

    async def changes(self) -> dict[str, Change]:
        """By the action that they leave: each a function that makes one change."""
        return (
            await self._of_people()
            | await self._of_keys_and_hooks()
            | await self._of_programs()
            | await self._of_tools()
            | await self._of_time()
        )

    async def _of_people(self) -> dict[str, Change]:
        home, people, us = self.home, self.home.people, {"by": OURSELVES}
        person, other = await self._signed_in("ada"), await self._signed_in("bea")
        await people.disable(other, **us)
        account, gone = await home.member(), await home.member("gone@example.com")
        invited = await home.accounts.invite("new@example.com", **us)
        await home.accounts.set_disabled(gone, disabled=True, **us)
        secret, now = new_totp_secret(), step_at(home.clock.now())
        return {
            "person.signed_in": lambda: self._signed_in("new"),
            "person.disabled": lambda: people.disable(person, **us),
            "person.enabled": lambda: people.enable(other, **us),
            "account.password_set": lambda: home.accounts.accept(invited.code.reveal(), GOOD),
            "account.made": lambda: home.accounts.invite("newest@example.com", **us),
            "account.invited": lambda: home.accounts.invite("new@example.com", **us),
            "account.second_factor_added": lambda: home.accounts.add_totp(account, secret, code_at(secret, now)),
            "account.disabled": lambda: home.accounts.set_disabled(account, disabled=True, **us),
            "account.enabled": lambda: home.accounts.set_disabled(gone, disabled=False, **us),
        }

    async def _of_keys_and_hooks(self) -> dict[str, Change]:
        hooks, us = self.webhooks, {"by": OURSELVES}
        key, _ = await self.keys.create(KeyKind.APP, "shop", **us)
        one, other = (await self._hook("a")).webhook, (await self._hook("b")).webhook
        disabled = self.home.audit.event(SHOP, "webhook.disabled", "gone")
        return {
            "key.created": lambda: self.keys.create(KeyKind.TOOLKIT, "crm", **us),
            "key.changed": lambda: self.keys.deny(key, Rights(may=("connect",)), **us),
            "key.revoked": lambda: self.keys.revoke(key, **us),
            "webhook.registered": lambda: self._hook("c"),
            "webhook.changed": lambda: self._hook("a"),
            "webhook.disabled": lambda: self.store.webhooks.disable(other, self.home.clock.now(), disabled),
            "webhook.deleted": lambda: hooks.drop(SHOP, one.id),
        }

    async def _of_programs(self) -> dict[str, Change]:
        house, grants = self.house, self.house.server.grants
        client, robot = await house.client(), await house.server.clients.find("robot")
        assert robot
        revoked, rotated = [await house.tokens(client) for _ in range(2)]
        [last, *_] = await grants.list_live(ALICE)
        code, spent = await house.code(client.id), await house.code(client.id)
        await house.exchange(client, *spent)
        request, _ = await house.ask(client.id)
        kept, said = (house.audit.event(ALICE, f"consent.{how}", "done") for how in ("remembered", "given"))
        return {
            "client.registered": house.register,
            "consent.remembered": lambda: house.server.consents.remember(request, ALICE, kept),
            "consent.given": lambda: grants.issue_code(request, ALICE, said),
            "grant.issued": lambda: house.exchange(client, *code),
            "grant.issued to a program": lambda: grants.issue_to_client(robot, parameters()),
            "grant.reused": lambda: house.exchange(client, *spent),
            "grant.refreshed": lambda: house.refresh(client, rotated["refresh_token"]),
            "grant.revoked by the client": lambda: grants.revoke_token(client, revoked["refresh_token"]),
            "grant.revoked by the person": lambda: grants.end(last.id, ALICE),
        }

    async def _of_tools(self) -> dict[str, Change]:
        reviewing, rows = World(self.store, review=True), self.store.remote
        await reviewing.settled({"find": {}, "list": {}, "old": {}})
        for name in ("find", "list"):
            await reviewing.register(name, description="Says something else.")
        await reviewing.close()
        tools = {tool.name: tool for tool in await rows.list_tools("default", "crm")}
        removed = self.home.audit.event(OURSELVES, "tool.removed", "done", tool="old")
        names, now = {"find", "list", "fresh"}, self.home.clock.now()
        return {
            "tool.added": lambda: self.world.register("fresh"),
            "tool.approved": lambda: self.review.approve(tools["find"], by=OURSELVES),
            "tool.rejected": lambda: self.review.reject(tools["list"], by=OURSELVES),
            "tool.removed": lambda: rows.commit("default", "crm", "h", names, now, fact=lambda _: removed),
        }

    async def _of_time(self) -> dict[str, Change]:
        """What nobody does: a grant comes near its end, and the keys that sign grow old."""
        store, audit, now = self.store, self.home.audit, self.home.clock.now()
        ends = {"ends_at": now + timedelta(days=3), "warn_at": now}
        ending = Connection(
            "c" * 32, ALICE, "acme", CredentialKind.OAUTH2, "account", None, frozenset(), ConnectionStatus.ACTIVE,
            b"sealed", now, now, **ends,
        )  # fmt: skip
        assert await store.connections.insert(ending)
        nothing_to_renew = cast(Refresher, None)
        later = MovableClock(now + SIGNS_FOR)
        [first, *_] = await store.signing_keys.list_all()
        destroyed = audit.event(OURSELVES, "signing_key.destroyed", "done", reference=first.id)
        return {
            "connection.ending_soon": KeepAlive(store.due, nothing_to_renew, audit, self.home.clock).look_after,
            "signing_key.made": SigningKeys(store.signing_keys, self.home.vault, audit, later).signing,
            "signing_key.destroyed": lambda: store.signing_keys.drop([first.id], lambda _: destroyed),
        }

    async def _signed_in(self, name: str) -> Person:
        arrival = Arrival(Principal("https://idp.example", name), name, f"{name}@example.com", "company")
        return await self.home.people.arrive(arrival)

    async def _hook(self, path: str) -> Any:
        return await self.webhooks.register(SHOP, f"https://receiver.example/{path}", frozenset({"tool_called"}))


@pytest.fixture
async def gateway(store: Store) -> AsyncIterator[Gateway]:
    async with household(store) as home:
        house, world = await make_house(store, vault=home.vault), World(store)
        yield Gateway(store, home, house, world)
        await world.close()
        await house.audit.close()


async def snapshot(store: Store) -> dict[str, list[str]]:
    tables = {name: table for name, table in METADATA.tables.items() if name != "login_throttles"}
    return {name: sorted(map(repr, await store._engines.rows(select(table)))) for name, table in tables.items()}


async def test_no_change_is_made_that_cannot_go_on_record(gateway: Gateway, database_url: str) -> None:
    changes = await gateway.changes()
    await gateway.home.audit.flush()
    before = await snapshot(gateway.store)
    with unwritable(database_url):
        for name, change in changes.items():
            with pytest.raises(StoreUnavailableError):
                await change()
            after = await snapshot(gateway.store)
            assert after == before, name


async def test_each_change_leaves_its_event(gateway: Gateway) -> None:
    for name, change in (await gateway.changes()).items():
        entries = len(await gateway.store.trail.page("default", 0, 10_000))
        try:
            await change()
        except GatewayError:
            assert name == "grant.reused"
        new = [entry.event.action for entry in await gateway.store.trail.page("default", entries, 100)]
        assert name.partition(" ")[0] in new, name
    assert [chain.broken for chain in await verify(gateway.store.trail)] == [None]
