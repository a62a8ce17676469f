"""API keys: what lets a program in, what does not, and how soon a change bites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import event

from gateway.access.key_rules import Rights
from gateway.access.keys import MOST_KEPT, Keys
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.errors import GatewayError, KeyChangeError, KeyRefusedError, StoreUnavailableError, WrongKeyKindError
from gateway.key_types import ApiKey, KeyKind
from gateway.store.store import Store
from gateway.types import AuditEvent, Principal
from gateway.wire import wire
from tests.audit.troubles import unwritable

ADMIN = Principal("local", "ada")
BEA = Principal("https://login.example", "bea", "acme", frozenset({"sales", "emea"}))
APP, TOOLKIT = KeyKind.APP, KeyKind.TOOLKIT


class Timer:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class House:
    """One gateway's keys, and another's on the same database."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock, self.timer = store, MovableClock(), Timer()
        self.audit = AuditLog(store.audit.append, self.clock)
        self.keys, self.elsewhere = (Keys(store.keys, self.audit, self.clock, timer=self.timer) for _ in range(2))

    async def events(self) -> list[AuditEvent]:
        """What is on record, in the order in which it came there."""
        await self.audit.flush()
        return [entry.event for entry in await self.store.trail.page("default", 0, 100)]

    async def app(self) -> tuple[ApiKey, str]:
        key, text = await self.keys.create(APP, "Notes", by=ADMIN)
        return key, text.reveal()

    async def close(self) -> None:
        await self.keys.close()
        await self.elsewhere.close()
        await self.audit.close()


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    made = House(store)
    yield made
    await made.close()


def refused(found: ApiKey | KeyRefusedError) -> GatewayError:
    assert isinstance(found, KeyRefusedError)
    return found


@pytest.mark.parametrize("kind", KeyKind)
async def test_a_key_lets_in_what_it_is_for(house: House, kind: KeyKind) -> None:
    owner = BEA if kind is KeyKind.PERSON else None
    key, text = await house.keys.create(kind, "crm", by=ADMIN, tenant="acme", owner=owner)

    found = await house.keys.find(text.reveal(), kind)

    assert found == key
    assert (found.kind, found.name, found.tenant) == (kind, "crm", "acme")
    assert text.reveal().startswith(f"atpg_{kind}_")
    assert text.reveal().startswith(key.prefix)
    assert len(text.reveal()) - len(key.prefix) == 37


@pytest.mark.parametrize("kind", KeyKind)
async def test_a_persons_key_and_no_other_speaks_for_somebody(house: House, kind: KeyKind) -> None:
    with pytest.raises(KeyChangeError, match="needs a subject"):
        await house.keys.create(kind, "crm", by=ADMIN, owner=None if kind is KeyKind.PERSON else BEA)


@pytest.mark.parametrize(
    "owner",
    [
        Principal("https://login.example", ""),
        Principal("", "bea"),
        Principal("https://login.example", "be\na"),
        Principal("https://login.example", "b" * 256),
        Principal("https://login.example", "bea", groups=frozenset({"\x00"})),
        Principal("https://login.example", "\udcff"),
    ],
)
async def test_a_key_for_nobody_in_particular_is_not_made(house: House, owner: Principal) -> None:
    with pytest.raises(KeyChangeError, match="1 to 255 characters"):
        await house.keys.create(KeyKind.PERSON, "nightly report", by=ADMIN, owner=owner)


async def test_an_app_may_call_and_connect_in_all_toolkits_unless_more_is_said(house: House) -> None:
    usual, _ = await house.keys.create(APP, "Notes", by=ADMIN)
    held = Rights(may=("tokens",), toolkits=("crm",), return_urls=("https://notes.example/back",))
    special, _ = await house.keys.create(APP, "Notes", by=ADMIN, rights=held)
    toolkit, _ = await house.keys.create(TOOLKIT, "crm", by=ADMIN, rights=Rights(providers=("HubSpot",)))

    assert (usual.may, usual.toolkits, usual.return_urls) == ({"call", "connect"}, None, ())
    assert (special.may, special.toolkits) == ({"tokens"}, {"crm"})
    assert special.return_urls == ("https://notes.example/back",)
    assert (toolkit.providers, toolkit.may) == ({"hubspot"}, frozenset())


async def test_a_key_in_the_database_opens_nothing(house: House) -> None:
    """Neither the text nor its digest in any spelling is a key; what is stored does not hold the text."""
    from gateway.access.key_text import digest_of

    key, text = await house.app()
    digest = digest_of(text)

    for shown in (digest.hex(), digest.decode("latin-1"), key.prefix, key.id):
        refused(await house.keys.find(shown, APP))
    assert text not in repr(await house.keys.list_all())
    assert text not in repr(await house.events())


async def test_why_a_key_is_refused_stands_in_the_sentence(house: House) -> None:
    key, text = await house.app()
    _, toolkit = await house.keys.create(TOOLKIT, "crm", by=ADMIN)
    await house.keys.revoke(key, by=ADMIN)
    tried = [(text[:-1] + ("a" if text[-1] != "a" else "b"), APP), (toolkit.reveal(), APP), (text, APP)]

    unknown, wrong, revoked = [refused(await house.keys.find(shown, kind)) for shown, kind in tried]

    assert [wire(each).http for each in (unknown, wrong, revoked)] == [401, 403, 401]
    assert "no key of this gateway" in unknown.message
    assert isinstance(wrong, WrongKeyKindError)
    assert "This is a toolkit's key, and an app's is needed here" in wrong.message
    assert "was revoked" in revoked.message
    assert not any(each in error.message for each in (text, toolkit.reveal()) for error in (unknown, wrong, revoked))


@pytest.mark.parametrize("text", ["", "atpg_app_", "ключ", "\udcff", "\0", "x" * 100_000, "atpg_app_" + "é" * 43])
async def test_what_is_no_key_at_all_is_refused_without_asking_the_database(house: House, text: str) -> None:
    await house.store.close()

    assert "no key of this gateway" in refused(await house.keys.find(text, APP)).message


async def test_a_revocation_bites_at_once_here_and_after_two_seconds_elsewhere(house: House) -> None:
    key, text = await house.app()
    assert await house.elsewhere.find(text, APP) == key

    await house.keys.revoke(key, by=ADMIN)

    refused(await house.keys.find(text, APP))
    house.timer.seconds = 1.9
    assert await house.elsewhere.find(text, APP) == key
    house.timer.seconds = 2.0
    assert "was revoked" in refused(await house.elsewhere.find(text, APP)).message


async def test_what_is_granted_and_taken_away_holds_at_once(house: House) -> None:
    key, text = await house.app()
    await house.keys.find(text, APP)

    granted = await house.keys.allow(key, Rights(may=("tokens",), return_urls=("https://a.example/",)), by=ADMIN)
    assert await house.keys.find(text, APP) == granted
    assert granted.may == {"call", "connect", "tokens"}

    taken = await house.keys.deny(key, Rights(may=("call", "tokens"), return_urls=("https://a.example/",)), by=ADMIN)
    found = await house.keys.find(text, APP)
    assert isinstance(found, ApiKey)
    assert (found.may, found.return_urls) == (taken.may, taken.return_urls) == ({"connect"}, ())


async def test_an_app_is_held_to_some_toolkits_and_let_into_all_again(house: House) -> None:
    key, _ = await house.app()

    with pytest.raises(KeyChangeError, match="sees every toolkit"):
        await house.keys.deny(key, Rights(toolkits=("crm",)), by=ADMIN)
    none = await house.keys.deny(key, Rights(toolkits=("*",)), by=ADMIN)
    one = await house.keys.allow(key, Rights(toolkits=("crm",)), by=ADMIN)
    every = await house.keys.allow(key, Rights(toolkits=("*",)), by=ADMIN)

    assert [each.toolkits for each in (none, one, every)] == [frozenset(), {"crm"}, None]


async def test_a_revoked_key_cannot_be_changed_and_stays_revoked(house: House) -> None:
    key, text = await house.app()
    await house.keys.revoke(key, by=ADMIN)

    with pytest.raises(KeyChangeError, match="revoked"):
        await house.keys.allow(key, Rights(may=("tokens",)), by=ADMIN)
    assert (await house.keys.revoke(key, by=ADMIN)).revoked_at is not None
    refused(await house.keys.find(text, APP))


async def test_two_keys_of_one_name_live_side_by_side(house: House) -> None:
    """That is how an app's operator turns a key without a moment in which neither works."""
    first, old = await house.app()
    _, new = await house.app()
    await house.keys.revoke(first, by=ADMIN)

    refused(await house.keys.find(old, APP))
    assert isinstance(await house.keys.find(new, APP), ApiKey)


async def test_a_key_is_called_by_id_prefix_or_its_text(house: House) -> None:
    key, text = await house.app()

    assert [await house.keys.called(name) for name in (key.id, key.prefix, text)] == [key] * 3
    for wrong in ("", "atpg_app_", key.id[:-1], text[:-1] + "!", text[:-1] + ("a" if text[-1] != "a" else "b")):
        with pytest.raises(KeyChangeError, match="no such key"):
            await house.keys.called(wrong)


async def test_what_is_done_to_keys_is_on_record_and_the_key_is_not(house: House) -> None:
    key, text = await house.app()
    await house.keys.allow(key, Rights(may=("tokens",), toolkits=("*",)), by=ADMIN)
    await house.keys.revoke(key, by=ADMIN)
    await house.keys.revoke(key, by=ADMIN)

    events = await house.events()
    assert [(event.action, event.outcome) for event in events] == [
        ("key.created", "done"),
        ("key.changed", "allowed may tokens; toolkit *"),
        ("key.revoked", "done"),
    ]
    assert {(event.principal, event.client, event.reference) for event in events} == {(ADMIN, "app Notes", key.id)}
    assert text not in repr(events)


async def test_a_key_is_not_made_revoked_or_changed_without_a_record_of_it(house: House, database_url: str) -> None:
    """In one transaction: neither is there without the other."""
    key, _ = await house.app()
    with unwritable(database_url):
        for change in (
            house.app(),
            house.keys.revoke(key, by=ADMIN),
            house.keys.allow(key, Rights(may=("tokens",)), by=ADMIN),
        ):
            with pytest.raises(StoreUnavailableError):
                await change
    assert await house.keys.list_all() == [key]
    assert [event.action for event in await house.events()] == ["key.created"]


async def test_many_uses_within_a_minute_are_one_note(house: House) -> None:
    key, text = await house.app()
    noted = []
    plain = house.store.keys.note_use

    async def count(key_id: str, *more: object) -> bool:
        noted.append(key_id)
        return await plain(key_id, *more)  # type: ignore[arg-type]

    house.store.keys.note_use = count  # type: ignore[method-assign]
    used_at = house.clock.now()
    for _ in range(30):
        await house.keys.find(text, APP)
        await house.keys.close()
        house.timer.seconds += 2
        house.clock.advance(timedelta(seconds=2))

    [found] = await house.keys.list_all()
    assert noted == [key.id]
    assert found.last_used_at == used_at

    await house.keys.find(text, APP)
    await house.keys.close()
    assert noted == [key.id] * 2


async def test_of_those_who_come_together_one_asks_the_database(house: House) -> None:
    """A key's streams are all looked at in the same moment."""
    _, text = await house.app()
    asked = []
    engine = house.store._engines.reading.engine
    event.listen(engine, "before_cursor_execute", lambda *what: asked.append(what[2]))

    found = await asyncio.gather(*(house.keys.find(text, APP) for _ in range(20)))
    assert {key.id for key in found if isinstance(key, ApiKey)} == {found[0].id}  # type: ignore[union-attr]
    assert len([statement for statement in asked if "FROM api_keys" in statement]) == 1


async def test_those_who_come_together_get_the_same_answer(house: House) -> None:
    key, text = await house.app()

    found = await asyncio.gather(*(house.keys.find(text, APP) for _ in range(50)))

    assert found == [key] * 50


async def test_no_more_than_a_bounded_number_of_keys_is_kept_and_unknown_ones_never(house: House) -> None:
    _, text = await house.app()
    for number in range(50):
        await house.keys.find(f"atpg_app_{number:043}", APP)
    assert house.keys._kept == {}

    house.keys._kept = {str(number).encode(): (9.0, ...) for number in range(MOST_KEPT)}  # type: ignore[misc]
    await house.keys.find(text, APP)

    assert len(house.keys._kept) == MOST_KEPT
