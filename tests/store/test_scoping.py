"""Other people's rows do not exist: whatever two people are called, neither reads or changes what is the other's."""

from __future__ import annotations

import dataclasses
import secrets
from datetime import UTC, datetime

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from gateway.authorization_types import AccessGrant, GivenConsent
from gateway.people_types import Person
from gateway.store.store import Store
from gateway.types import AuditEvent, Connection, ConnectionStatus, CredentialKind, Flow, Principal
from gateway.webhook_types import Webhook

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 2, tzinfo=UTC)
OAUTH2 = CredentialKind.OAUTH2

# Few and alike, so that one person's issuer is often the other's subject, and one name another's beginning.
names = some.sampled_from(["a", "b", "ab", "A", "a ", "%", "_", "", "a|b", "ä", "a\u0308"])
people = some.builds(Principal, issuer=names, subject=names, tenant=names)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owner=people, stranger=people)
async def test_a_stranger_neither_finds_nor_changes_a_persons_rows(
    store: Store, owner: Principal, stranger: Principal
) -> None:
    assume(not owner.same_person(stranger))
    unique = secrets.token_hex(8)
    connection = Connection(
        unique,
        owner,
        unique,
        OAUTH2,
        "account",
        None,
        frozenset(),
        ConnectionStatus.ACTIVE,
        b"sealed",
        NOW,
        NOW,
        is_default=True,
    )
    await store.connections.insert(connection)
    flow = Flow(unique, owner, "host", unique, OAUTH2, frozenset(), None, NOW, LATER)
    await store.flows.put(flow)
    await store.audit.append([AuditEvent(unique, NOW, owner, "tool.called", "done")])

    rows = store.connections
    assert await rows.find(stranger, unique, OAUTH2) is None
    assert await rows.find_account(stranger, unique, OAUTH2, "account") is None
    assert unique not in {found.id for found in await rows.list_accounts(stranger)}
    assert await rows.set_default(stranger, unique) is None
    assert await rows.find_by_id(stranger, unique) is None
    assert unique not in {found.id for found in await rows.list_all(stranger)}
    assert not await rows.drop(stranger, unique)
    assert await store.flows.find_pending(dataclasses.replace(flow, principal=stranger), NOW) is None
    assert unique not in {event.id for event in await store.audit.list_latest(stranger, 1000)}
    assert unique not in {event.id for event in await store.audit.list_history(stranger, 1000, calls=True)}

    assert await rows.find(owner, unique, OAUTH2) == connection
    assert await rows.find_by_id(owner, unique) == connection
    assert await store.flows.find_pending(flow, NOW) == flow
    assert unique in {event.id for event in await store.audit.list_latest(owner, 1000)}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(owner=people, stranger=people)
async def test_a_stranger_sees_no_program_webhook_or_use_of_a_person(
    store: Store, owner: Principal, stranger: Principal
) -> None:
    assume(not owner.same_person(stranger))
    unique = secrets.token_hex(8)
    webhook = Webhook(unique, owner, f"https://{unique}.example", frozenset({"tool_called"}), b"sealed", NOW)
    await store.webhooks.put(webhook, most=1000)
    grant = AccessGrant(unique, owner, unique, "App", "resource", frozenset(), frozenset(), NOW, NOW, LATER)
    await store.grants.insert(grant)
    consent = GivenConsent(owner, unique, "https://app.example", frozenset())
    await store.clients.remember(consent, NOW)
    await store.audit.append(
        [AuditEvent(unique, NOW, owner, "tool.called", "done", provider=unique, account=unique)]
    )  # fmt: skip
    known = await store.people.put(Person(unique, owner, unique, None, frozenset(), NOW))

    assert await store.webhooks.find(stranger, unique) is None
    assert unique not in {found.id for found in await store.webhooks.list(stranger)}
    assert not await store.webhooks.drop(stranger, unique)
    assert unique not in {found.id for found in await store.grants.list_live(stranger, NOW)}
    assert not await store.grants.end(dataclasses.replace(grant, id="", principal=stranger), NOW)
    assert await store.clients.find_consent(dataclasses.replace(consent, principal=stranger)) is None
    assert (unique, unique) not in await store.audit.last_uses(stranger)
    assert (found := await store.people.find(stranger)) is None or found.id != known.id

    assert await store.webhooks.find(owner, unique) == webhook
    assert grant in await store.grants.list_live(owner, NOW)
    assert await store.clients.find_consent(consent) == NOW
    assert (unique, unique) in await store.audit.last_uses(owner)
