"""Accounts that are kept here: invitations, passwords, codes, and how fast one may guess."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from gateway.access.local_accounts import INVITED_FOR, LocalAccounts
from gateway.access.passwords import Passwords
from gateway.access.throttle import FREE_FOR_ACCOUNT, FREE_FROM_ADDRESS, LONGEST_PAUSE, Throttle
from gateway.access.totp import STEP, code_at, new_totp_secret, step_at
from gateway.errors import AccountError, FieldError, InvitationError, TooManySignInsError
from gateway.people_types import LocalAccount
from gateway.secret import Secret
from gateway.store.store import Store
from tests.access.household import GOOD, HOME, OURS, OURSELVES, Household, household

WRONG = Secret("not the password at all")


@pytest.fixture
async def house(sqlite_url: str) -> AsyncIterator[Household]:
    """On SQLite alone, for what has nothing to do with the database."""
    store = await Store.open(sqlite_url)
    async with household(store) as made:
        yield made
    await store.close()


@pytest.fixture
async def both(store: Store) -> AsyncIterator[Household]:
    """On SQLite, and on PostgreSQL."""
    async with household(store) as made:
        yield made


async def with_totp(house: Household) -> tuple[LocalAccount, str]:
    account, secret = await house.member(), new_totp_secret()
    await house.accounts.add_totp(account, secret, code_at(secret, step_at(house.clock.now())))
    house.clock.advance(timedelta(seconds=2 * STEP))
    return account, secret


async def test_an_invited_person_sets_a_password_and_signs_in_with_it(both: Household) -> None:
    account = await both.member("Ada@Example.com")

    found = await both.accounts.by_password(" ADA@example.com", GOOD, HOME)

    assert found is not None
    assert found.id == account.id
    assert found.password_hash is not None
    assert found.password_hash.startswith("$argon2id$")


async def test_an_invitation_works_once(both: Household) -> None:
    code = (await both.accounts.invite("ada@example.com", by=OURSELVES)).code.reveal()
    attempts = [both.accounts.accept(code, Secret(f"four plain words {n}")) for n in range(4)]

    ended = await asyncio.gather(*attempts, return_exceptions=True)

    assert [isinstance(each, InvitationError) for each in ended].count(True) == 3
    with pytest.raises(InvitationError):
        await both.accounts.invited(code)


async def test_an_invitation_ends_after_a_week(house: Household) -> None:
    code = (await house.accounts.invite("ada@example.com", by=OURSELVES)).code.reveal()
    house.clock.advance(INVITED_FOR - timedelta(seconds=1))
    assert (await house.accounts.invited(code)).email == "ada@example.com"

    house.clock.advance(timedelta(seconds=1))

    with pytest.raises(InvitationError):
        await house.accounts.accept(code, GOOD)


async def test_a_new_invitation_takes_the_former_ones_place(both: Household) -> None:
    former = (await both.accounts.invite("ada@example.com", by=OURSELVES)).code.reveal()

    again = await both.accounts.invite("ada@example.com", by=OURSELVES)

    assert not again.is_new
    with pytest.raises(InvitationError):
        await both.accounts.invited(former)
    assert (await both.accounts.invited(again.code.reveal())).id == again.account.id


@pytest.mark.parametrize("code", ["", "x", "../..", "\ud800", "x" * 5000])
async def test_a_made_up_invitation_is_none(house: Household, code: str) -> None:
    with pytest.raises(InvitationError):
        await house.accounts.invited(code)


@pytest.mark.parametrize("address", ["", "ada", "ada@", "@x", "a b@example.com", "ada@ex@ample", "<ada@x.example>"])
async def test_only_an_e_mail_address_is_invited(house: Household, address: str) -> None:
    with pytest.raises(AccountError):
        await house.accounts.invite(address, by=OURSELVES)


@pytest.mark.parametrize(
    "password", ["short", "elevenchars", "password1234", "PASSWORD1234", "qwertyuiop123", "aaaaaaaaaaaaaa", "x" * 1025]
)
async def test_a_password_that_is_tried_first_will_not_do_and_leaves_the_invitation_open(
    house: Household, password: str
) -> None:
    code = (await house.accounts.invite("ada@example.com", by=OURSELVES)).code.reveal()

    with pytest.raises(FieldError):
        await house.accounts.accept(code, Secret(password))

    assert await house.accounts.accept(code, GOOD)


async def test_a_password_may_be_of_any_letters_however_the_keyboard_puts_them_together(house: Household) -> None:
    await house.member(password=Secret("zw\u00f6lf B\u00e4ren tanzen"))

    assert await house.accounts.by_password("ada@example.com", Secret("zwo\u0308lf Ba\u0308ren tanzen"), HOME)


async def test_no_account_an_unaccepted_a_disabled_one_and_a_wrong_password_look_the_same(house: Household) -> None:
    disabled = await house.member("disabled@example.com")
    await house.accounts.set_disabled(disabled, disabled=True, by=OURSELVES)
    await house.accounts.invite("invited@example.com", by=OURSELVES)
    await house.member("ada@example.com")

    for email, password in [
        ("nobody@example.com", GOOD),
        ("invited@example.com", GOOD),
        ("disabled@example.com", GOOD),
        ("ada@example.com", WRONG),
        ("ada@example.com", Secret("\ud800" * 20)),
    ]:
        assert await house.accounts.by_password(email, password, HOME) is None


class Counting(PasswordHasher):
    """How many passwords were checked, and by which hash's cost."""

    checked: list[str]

    def verify(self, kept: str | bytes, typed: str | bytes) -> bool:
        self.checked.append(str(kept).split("$")[3])
        return super().verify(kept, typed)


@pytest.mark.parametrize("email", ["known@example.com", "invited@example.com", "unknown@example.com"])
async def test_an_account_that_does_not_exist_costs_as_much_to_try_as_one_that_does(
    house: Household, email: str
) -> None:
    """A hash is checked in each case, and of the same cost: nothing else takes time that could be told."""
    await house.member("known@example.com")
    await house.accounts.invite("invited@example.com", by=OURSELVES)
    hasher = Counting(time_cost=1, memory_cost=64, parallelism=1)
    hasher.checked = []
    accounts = LocalAccounts(
        house.store.accounts,
        Passwords(hasher),
        Throttle(house.store.throttles, house.clock),
        house.vault,
        house.clock,
        audit=house.audit,
        issuer=OURS,
    )

    assert await accounts.by_password(email, WRONG, HOME) is None

    assert hasher.checked == ["m=64,t=1,p=1"]


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_guessing_at_an_account_costs_more_and_more_time_whether_there_is_one_or_not(
    house: Household, email: str
) -> None:
    await house.member()
    for number in range(FREE_FOR_ACCOUNT):
        assert await house.accounts.by_password(email, WRONG, f"198.51.100.{number}") is None

    waits = []
    for number in range(7):
        with pytest.raises(TooManySignInsError) as refused:
            await house.accounts.by_password(email, GOOD, f"203.0.113.{number}")
        waits.append(refused.value.seconds)
        house.clock.advance(timedelta(seconds=refused.value.seconds))
        assert await house.accounts.by_password(email, WRONG, f"203.0.113.{number}") is None

    assert waits[:3] == [30, 60, 120]
    assert waits[-1] == LONGEST_PAUSE.total_seconds()


async def test_who_waited_and_gets_it_right_begins_anew(both: Household) -> None:
    await both.member()
    for _ in range(FREE_FOR_ACCOUNT):
        await both.accounts.by_password("ada@example.com", WRONG, HOME)
    both.clock.advance(timedelta(seconds=30))

    assert await both.accounts.by_password("ada@example.com", GOOD, HOME)

    for _ in range(FREE_FOR_ACCOUNT):
        assert await both.accounts.by_password("ada@example.com", WRONG, HOME) is None


async def test_guessing_at_many_accounts_from_one_network_is_slowed_down_too(house: Household) -> None:
    for number in range(FREE_FROM_ADDRESS):
        await house.accounts.by_password(f"{number}@example.com", WRONG, f"2001:db8::{number:x}")

    with pytest.raises(TooManySignInsError):
        await house.accounts.by_password("another@example.com", WRONG, "2001:db8::ffff")
    assert await house.accounts.by_password("another@example.com", WRONG, "2001:db8:0:1::1") is None


async def test_an_office_behind_one_address_can_sign_in_all_day(house: Household) -> None:
    await house.member()

    for _ in range(2 * FREE_FROM_ADDRESS):
        assert await house.accounts.by_password("ada@example.com", GOOD, HOME)


async def test_a_hundred_guesses_at_the_same_moment_are_not_one(both: Household) -> None:
    await both.member()
    guesses = [both.accounts.by_password("ada@example.com", WRONG, f"198.51.100.{n}") for n in range(20)]

    ended = await asyncio.gather(*guesses, return_exceptions=True)

    assert ended.count(None) == FREE_FOR_ACCOUNT


async def test_a_code_works_once(house: Household) -> None:
    account, secret = await with_totp(house)
    code = code_at(secret, step_at(house.clock.now()))

    assert await house.accounts.by_code(account.id, code, HOME)

    assert await house.accounts.by_code(account.id, code, HOME) is None
    before = code_at(secret, step_at(house.clock.now()) - 1)
    assert await house.accounts.by_code(account.id, before, HOME) is None
    house.clock.advance(timedelta(seconds=STEP))
    assert await house.accounts.by_code(account.id, code_at(secret, step_at(house.clock.now())), HOME)


async def test_a_code_that_two_use_at_the_same_moment_lets_one_in(both: Household) -> None:
    account, secret = await with_totp(both)
    code = code_at(secret, step_at(both.clock.now()))

    found = await asyncio.gather(*(both.accounts.by_code(account.id, code, HOME) for _ in range(4)))

    assert len([each for each in found if each]) == 1


async def test_codes_cannot_be_guessed_by_giving_the_right_password_in_between(house: Household) -> None:
    account, _ = await with_totp(house)

    async def guess(number: int) -> None:
        assert await house.accounts.by_password(account.email, GOOD, f"198.51.100.{number}")
        assert await house.accounts.by_code(account.id, f"{number:06}", f"198.51.100.{number}") is None

    for number in range(FREE_FOR_ACCOUNT // 2):
        await guess(number)

    with pytest.raises(TooManySignInsError):
        await guess(50)


async def test_the_second_factor_is_sealed_and_one_cannot_put_another_in_its_place(house: Household) -> None:
    account, secret = await with_totp(house)
    kept = await house.store.accounts.find(account.id)
    assert kept is not None
    assert kept.sealed is not None
    assert secret.encode() not in kept.sealed
    other = new_totp_secret()

    await house.accounts.add_totp(account, other, code_at(other, step_at(house.clock.now())))

    assert await house.accounts.by_code(account.id, code_at(other, step_at(house.clock.now())), HOME) is None
    assert await house.accounts.by_code(account.id, code_at(secret, step_at(house.clock.now())), HOME)


async def test_a_recovery_sets_a_new_password_without_the_lost_phone_and_ends_what_was_open(both: Household) -> None:
    account, _ = await with_totp(both)
    old = await both.sign_in.arrive(both.accounts.arrival(account), None)
    invited = await both.accounts.invite(account.email, by=OURSELVES)

    recovered = await both.accounts.accept(invited.code.reveal(), Secret("another four plain words"))
    fresh = await both.sign_in.arrive_anew(both.accounts.arrival(recovered), None)

    assert recovered.sealed is None
    assert await both.sessions.find(old) is None
    assert await both.sessions.find(fresh) is not None
    assert await both.accounts.by_password(account.email, GOOD, HOME) is None
    assert await both.accounts.by_password(account.email, Secret("another four plain words"), HOME)


async def test_nothing_that_is_kept_prints_a_secret(house: Household) -> None:
    account, _ = await with_totp(house)

    kept = await house.store.accounts.find(account.id)

    assert "argon2" not in repr(kept)
    assert "sealed" not in repr(kept)


async def test_a_ticket_is_good_for_its_purpose_and_for_minutes(house: Household) -> None:
    account = await house.member()
    ticket = house.sign_in.second_step(account)
    body, _, code = ticket.partition(".")

    assert house.sign_in.whose_second_step(ticket) == account.id
    for other in (None, "", ".", body, f"{body}.", f"{body[:-1]}A.{code}", f"{body}.{code[:-1]}", "é.é", "x" * 9000):
        assert house.sign_in.whose_second_step(other) is None
    assert house.sign_in.tickets.read("company login", ticket) is None
    house.clock.advance(timedelta(minutes=5))
    assert house.sign_in.whose_second_step(ticket) is None
