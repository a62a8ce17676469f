"""What is sealed opens in its place, with its key, unaltered; and nowhere else."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from gateway.errors import VaultError
from gateway.secret import Secret
from gateway.types import Principal, TokenSet
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Binding, Vault

PLAINTEXT = b"canary \x00\xff"

texts = some.text(max_size=8)
places = some.builds(
    Binding,
    table=texts,
    record_id=texts,
    principal=some.builds(Principal, issuer=texts, subject=texts, tenant=texts),
    provider=texts,
    field=texts,
    version=some.integers(),
)


def ring(*keys: Secret) -> Vault:
    return Vault(Keyring(keys))


async def test_what_is_sealed_opens_in_its_place(vault: Vault, place: Binding) -> None:
    assert await vault.open(await vault.seal(PLAINTEXT, place), place) == PLAINTEXT
    assert await vault.open(await vault.seal(b"", place), place) == b""


async def test_sealing_twice_gives_different_bytes(vault: Vault, place: Binding) -> None:
    assert await vault.seal(PLAINTEXT, place) != await vault.seal(PLAINTEXT, place)


async def test_a_person_may_change_groups(vault: Vault, place: Binding) -> None:
    """Groups come with a request; they are not part of who a person is."""
    staff = dataclasses.replace(place, principal=dataclasses.replace(place.principal, groups=frozenset({"staff"})))

    assert await vault.open(await vault.seal(PLAINTEXT, place), staff) == PLAINTEXT


@pytest.mark.parametrize(
    "change",
    [
        {"table": "flows"},
        {"record_id": "c2"},
        {"principal": Principal("issuer", "bernd", "tenant")},
        {"principal": Principal("other", "anna", "tenant")},
        {"principal": Principal("issuer", "anna", "other")},
        {"provider": "other"},
        {"field": "sealed_verifier"},
        {"version": 2},
    ],
)
async def test_what_is_pasted_elsewhere_does_not_open(vault: Vault, place: Binding, change: dict[str, Any]) -> None:
    sealed = await vault.seal(PLAINTEXT, place)

    with pytest.raises(VaultError, match="altered, or moved"):
        await vault.open(sealed, dataclasses.replace(place, **change))


@given(one=places, other=places)
def test_no_two_places_are_bound_alike(one: Binding, other: Binding) -> None:
    assume(one != other)

    assert one.encode() != other.encode()


def test_parts_of_a_place_do_not_run_into_each_other(place: Binding) -> None:
    one = dataclasses.replace(place, table="ab", record_id="c")
    other = dataclasses.replace(place, table="a", record_id="bc")

    assert one.encode() != other.encode()


async def test_no_altered_byte_goes_unnoticed(vault: Vault, place: Binding) -> None:
    sealed = await vault.seal(PLAINTEXT, place)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(VaultError):
            await vault.open(bytes(altered), place)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=some.binary(max_size=100))
async def test_junk_does_not_open(vault: Vault, place: Binding, junk: bytes) -> None:
    with pytest.raises(VaultError):
        await vault.open(junk, place)


async def test_what_is_cut_short_or_lengthened_does_not_open(vault: Vault, place: Binding) -> None:
    sealed = await vault.seal(PLAINTEXT, place)
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            await vault.open(sealed[:length], place)
    with pytest.raises(VaultError):
        await vault.open(sealed + b"\0", place)


async def test_a_new_first_key_seals_and_the_former_still_opens(place: Binding) -> None:
    former, new = new_key(), new_key()
    sealed_before = await ring(former).seal(b"before", place)
    rotated = ring(new, former)

    assert await rotated.open(sealed_before, place) == b"before"
    assert await ring(new).open(await rotated.seal(b"after", place), place) == b"after"


async def test_a_missing_key_is_named_and_a_present_one_is_not_tried_in_its_stead(place: Binding) -> None:
    former = new_key()
    sealed = await ring(former).seal(PLAINTEXT, place)

    with pytest.raises(VaultError, match=f"needs vault key {Keyring([former]).first.name}, which is not"):
        await ring(new_key()).open(sealed, place)


async def test_a_format_of_a_later_version_is_refused_with_a_hint(vault: Vault, place: Binding) -> None:
    sealed = b"\x7f" + (await vault.seal(PLAINTEXT, place))[1:]

    with pytest.raises(VaultError, match="Upgrade atp-gateway"):
        await vault.open(sealed, place)


async def test_tokens_come_back_as_they_were(vault: Vault, place: Binding) -> None:
    full = TokenSet(
        Secret("access ü"),
        Secret("refresh"),
        datetime(2030, 1, 1, 1, 2, 3, 4, tzinfo=UTC),
        frozenset({"b", "a"}),
        {"instance_url": "https://acme.example"},
    )
    for tokens in (full, TokenSet(Secret("key")), TokenSet(Secret(""), Secret(""))):
        opened = await vault.open_tokens(await vault.seal_tokens(tokens, place), place)
        assert opened == tokens


@pytest.mark.parametrize("packed", [b"canary", b"[]", b"{}", b'{"access_token": 1}', b"\xff", b'"canary"'])
async def test_sealed_bytes_that_are_no_tokens_are_refused_without_showing_them(
    vault: Vault, place: Binding, packed: bytes
) -> None:
    with pytest.raises(VaultError) as raised:
        await vault.open_tokens(await vault.seal(packed, place), place)

    assert "canary" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_each_purpose_has_keys_of_its_own_in_ring_order() -> None:
    first, second = new_key(), new_key()

    keys = ring(first, second).derive("request-state")

    assert [len(key) for key in keys] == [32, 32]
    assert keys == ring(first).derive("request-state") + ring(second).derive("request-state")
    assert not set(keys) & set(ring(first, second).derive("browser"))


async def test_neither_vault_nor_keys_can_be_printed_or_copied_out(vault: Vault) -> None:
    key = new_key()
    keyring = Keyring([key])
    for holder in (vault, Vault(keyring), keyring, keyring.first):
        assert key.reveal() not in f"{holder!r} {holder!s}"
        for leave in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                leave(holder)
