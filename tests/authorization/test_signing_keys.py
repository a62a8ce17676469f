"""The keys that sign: sealed, exchanged with the vault's own keys, destroyed when they are old."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from gateway.authorization.signing_keys import SIGNS_FOR, SigningKeys
from gateway.vault.rotation import Rotation
from tests.authorization.house import House


async def test_a_rotation_of_the_vaults_keys_seals_them_anew_and_tokens_go_on(house: House) -> None:
    tokens = await house.tokens(await house.client())
    before = await house.store.signing_keys.list_all()

    rotation = Rotation(house.store.sealed, house.store.data_keys, house.vault, house.clock, settle=timedelta(0))
    await rotation.run()

    after = await house.store.signing_keys.list_all()
    assert [key.id for key in before] == [key.id for key in after]
    assert before[0].sealed != after[0].sealed
    assert (await rotation.verify()).broken == []
    fresh = SigningKeys(house.store.signing_keys, house.vault, house.audit, house.clock)
    assert await fresh.find(after[0].id) is not None
    assert await house.server.tokens.find(tokens["access_token"]) is not None


async def test_a_key_signs_for_a_month_and_is_destroyed_a_day_after_its_successor_took_over(house: House) -> None:
    ids = [(await house.server.keys.signing()).kid]
    for _ in range(3):
        house.clock.advance(SIGNS_FOR + timedelta(hours=1))
        house.timer.seconds += 61
        await house.server.keys.signing()
        house.clock.advance(timedelta(days=1, hours=1))
        house.timer.seconds += 61
        ids.append((await house.server.keys.signing()).kid)

    assert len(set(ids)) == 4
    house.clock.advance(timedelta(days=2))
    house.timer.seconds += 61
    await house.server.keys.published()
    assert [key.id for key in await house.store.signing_keys.list_all()] == ids[-1:]
    on_record = [(event.action, event.reference) for event in await house.events()]
    assert [key_id for action, key_id in on_record if action == "signing_key.made"] == ids
    assert [key_id for action, key_id in on_record if action == "signing_key.destroyed"] == ids[:-1]


async def test_of_two_that_make_and_destroy_the_same_keys_one_records_it(house: House) -> None:
    for _ in range(2):
        await asyncio.gather(*(each.keys.signing() for each in (house.server, house.elsewhere)))
        house.clock.advance(SIGNS_FOR + timedelta(days=3))
        house.timer.seconds += 61
        await asyncio.gather(*(each.keys.signing() for each in (house.server, house.elsewhere)))

    on_record = [(event.action, event.reference) for event in await house.events()]
    assert len(on_record) == len(set(on_record)) > 2


async def test_a_key_shows_nothing_of_itself(house: House) -> None:
    await house.server.keys.signing()
    key = (await house.store.signing_keys.list_all())[0]

    assert "sealed" not in repr(key)


async def test_a_first_key_that_a_clock_ahead_of_ours_made_signs_at_once(house: House) -> None:
    house.clock.advance(timedelta(seconds=30))
    await house.server.keys.signing()
    house.clock.advance(timedelta(seconds=-30))

    assert await house.elsewhere.keys.signing()
