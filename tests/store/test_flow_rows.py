"""What a store does with flows, on each database."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from gateway.store.store import Store
from gateway.types import CredentialKind, Flow, FlowStatus, Principal

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
ANNA = Principal("issuer", "anna")
BERND = Principal("issuer", "bernd")
OAUTH2 = CredentialKind.OAUTH2
SCOPES = frozenset({"write", "read"})


def flow(flow_id: str = "f1", **changes: Any) -> Flow:
    made = Flow(
        id=flow_id,
        principal=ANNA,
        client="a host",
        provider="acme",
        kind=OAUTH2,
        scopes=SCOPES,
        tool="get_contacts",
        created_at=NOW,
        expires_at=LATER,
    )
    return dataclasses.replace(made, **changes)


async def begin(store: Store, flow_id: str = "f1", state_hash: str = "state", now: datetime = NOW) -> bool:
    return await store.flows.begin(
        flow_id,
        redirect_uri="http://127.0.0.1/oauth/callback/acme",
        state_hash=state_hash,
        browser_hash=f"browser of {state_hash}",
        sealed_verifier=b"\x00verifier",
        now=now,
    )


async def pending(store: Store, **changes: Any) -> Flow | None:
    now = changes.pop("now", NOW)
    return await store.flows.find_pending(flow("wanted", **changes), now)


async def consume(store: Store, state_hash: str = "state", provider: str = "acme", **changes: Any) -> Flow | None:
    """As the right person in the right browser."""
    given = {"now": NOW, "principal": ANNA, "browser_hash": f"browser of {state_hash}"} | changes
    return await store.flows.consume_state(state_hash, provider, **given)


async def test_a_flow_comes_back_as_it_was_stored(store: Store) -> None:
    every_field = flow(
        status=FlowStatus.FAILED,
        failure="access_denied",
        connection_id="c1",
        return_url="https://app.example/back",
        redirect_uri="http://127.0.0.1/callback",
        state_hash="s",
        browser_hash="b",
        sealed_verifier=b"\x00\xff",
        consumed_at=NOW,
        tool=None,
    )
    await store.flows.put(every_field)

    assert await store.flows.find("f1") == every_field
    assert await store.flows.find("f2") is None


async def test_a_pending_flow_for_the_same_purpose_is_found_the_newest_first(store: Store) -> None:
    await store.flows.put(flow("f1"))
    await store.flows.put(flow("f2", created_at=NOW + timedelta(seconds=1)))

    assert await pending(store, scopes=frozenset({"read", "write"})) == flow(
        "f2", created_at=NOW + timedelta(seconds=1)
    )


async def test_a_pending_flow_for_no_tool_is_found_by_no_tool_alone(store: Store) -> None:
    await store.flows.put(flow(tool=None))

    assert await pending(store, tool=None) == flow(tool=None)
    assert await pending(store) is None


@pytest.mark.parametrize(
    "asked",
    [
        {"principal": BERND},
        {"provider": "other"},
        {"kind": CredentialKind.API_KEY},
        {"scopes": frozenset({"read"})},
        {"tool": "another"},
        {"return_url": "https://app.example/back"},
        {"reconnects": "c1"},
        {"another": True},
        {"now": LATER},
    ],
)
async def test_a_flow_for_another_purpose_or_expired_is_not_pending(store: Store, asked: dict[str, Any]) -> None:
    await store.flows.put(flow())

    assert await pending(store, **asked) is None


async def test_a_used_or_finished_flow_is_not_pending(store: Store) -> None:
    await store.flows.put(flow("f1"))
    await store.flows.put(flow("f2"))
    await store.flows.consume("f1", NOW)
    await store.flows.finish("f2", FlowStatus.DECLINED)

    assert await pending(store) is None


async def test_pressing_connect_notes_state_browser_and_verifier(store: Store) -> None:
    await store.flows.put(flow())

    assert await begin(store)
    found = await store.flows.find("f1")
    assert found is not None
    assert (found.state_hash, found.browser_hash, found.sealed_verifier) == (
        "state",
        "browser of state",
        b"\x00verifier",
    )


async def test_pressing_connect_again_makes_the_former_state_worthless(store: Store) -> None:
    await store.flows.put(flow())
    await begin(store, state_hash="first")
    await begin(store, state_hash="second")

    assert await consume(store, "first", "acme") is None
    assert await consume(store, "second", "acme") is not None


async def test_a_flow_cannot_be_begun_when_unknown_expired_used_or_finished(store: Store) -> None:
    for name in ("f1", "f2", "f3"):
        await store.flows.put(flow(name))
    await store.flows.consume("f2", NOW)
    await store.flows.finish("f3", FlowStatus.DECLINED)

    assert not await begin(store, "f0")
    assert not await begin(store, "f1", now=LATER)
    assert not await begin(store, "f2")
    assert not await begin(store, "f3")


async def test_a_state_gives_its_flow_once(store: Store) -> None:
    await store.flows.put(flow())
    await begin(store)

    used = await consume(store)

    assert used is not None
    assert (used.id, used.consumed_at, used.sealed_verifier) == ("f1", NOW, b"\x00verifier")
    assert await consume(store) is None


async def test_a_state_is_worthless_at_another_provider_and_stays_good_at_its_own(store: Store) -> None:
    """RFC 9700, section 4.4: a mix-up must not use up the honest provider's flow either."""
    await store.flows.put(flow())
    await begin(store)

    assert await consume(store, "state", "mallory") is None
    assert await consume(store) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"browser_hash": "browser of another"},
        {"browser_hash": ""},
        {"principal": BERND},
        {"principal": dataclasses.replace(ANNA, tenant="t")},
    ],
)
async def test_a_state_is_worthless_in_another_browser_and_stays_good_in_its_own(
    store: Store, changes: dict[str, Any]
) -> None:
    await store.flows.put(flow())
    await begin(store)

    assert await consume(store, **changes) is None
    assert await consume(store) is not None


async def test_the_last_flow_that_was_to_renew_a_connection_is_the_newest_that_came_to_an_account(store: Store) -> None:
    for number, changes in enumerate(({}, {"reconnects": None}, {"principal": BERND}, {}, {}), 1):
        await store.flows.put(
            flow(f"f{number}", **{"reconnects": "c1", "created_at": NOW + timedelta(seconds=number)} | changes)
        )
    for number in (1, 2, 3, 4):
        await store.flows.finish(f"f{number}", FlowStatus.CONNECTED, connection_id=f"c{number}")

    last = await store.flows.find_last(ANNA, "c1")

    assert last is not None
    assert (last.id, last.connection_id) == ("f4", "c4")


async def test_a_state_is_worthless_when_unknown_expired_or_its_flow_finished(store: Store) -> None:
    await store.flows.put(flow())
    await begin(store)

    assert await consume(store, "another", "acme") is None
    assert await consume(store, "state", "acme", now=LATER) is None
    await store.flows.finish("f1", FlowStatus.DECLINED)
    assert await consume(store) is None


async def test_of_fifty_callers_with_one_state_exactly_one_gets_the_flow(store: Store) -> None:
    await store.flows.put(flow())
    await begin(store)
    found: list[Flow | None] = []

    async def once() -> None:
        found.append(await consume(store))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(once)

    assert len([used for used in found if used]) == 1


async def test_a_flow_can_be_used_up_by_its_id_once(store: Store) -> None:
    await store.flows.put(flow())

    assert await store.flows.consume("f1", LATER) is None
    assert await store.flows.consume("f1", NOW) == flow(consumed_at=NOW)
    assert await store.flows.consume("f1", NOW) is None


async def test_a_finished_flow_tells_how_it_ended_and_forgets_its_verifier(store: Store) -> None:
    await store.flows.put(flow())
    await begin(store)
    await consume(store)
    await store.flows.finish("f1", FlowStatus.CONNECTED, connection_id="c1")

    found = await store.flows.find("f1")

    assert found is not None
    assert (found.status, found.connection_id, found.sealed_verifier) == (FlowStatus.CONNECTED, "c1", None)


async def test_a_finished_flow_does_not_finish_again(store: Store) -> None:
    await store.flows.put(flow())
    await store.flows.finish("f1", FlowStatus.CONNECTED, connection_id="c1")
    await store.flows.finish("f1", FlowStatus.FAILED, failure="too late")

    assert await store.flows.find("f1") == flow(status=FlowStatus.CONNECTED, connection_id="c1")


async def test_pruning_deletes_what_expired_before_and_nothing_else(store: Store) -> None:
    await store.flows.put(flow("f1"))
    await store.flows.put(flow("f2", expires_at=LATER + timedelta(microseconds=1)))

    assert await store.flows.prune(LATER) == 0
    assert await store.flows.prune(LATER + timedelta(microseconds=1)) == 1
    assert await store.flows.find("f1") is None
    assert await store.flows.find("f2") is not None
