"""Vault and store together: the wrong key changes nothing, and no file of the database holds a token in clear."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.clock import SystemClock
from gateway.errors import VaultError, WrongVaultKeyError
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import Connection, ConnectionStatus, CredentialKind, Flow, FlowStatus, Principal, TokenSet
from gateway.vault.data_keys import DataKeys
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring
from gateway.vault.vault import Binding, Vault, mark_binding
from tests.vault.conftest import MakeVault

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANNA = Principal("issuer", "anna")
CANARIES = ("canary+access/token/000", "canary+refresh/token/111", "canary+new/token/2222", "canary+pkce/verifier/33")


async def test_the_key_that_sealed_the_database_is_accepted_at_every_start(store: Store, vault_of: MakeVault) -> None:
    key = new_key()
    for _ in range(3):
        await vault_of(key).check(store.marks)


async def test_a_rotated_ring_is_accepted(store: Store, vault_of: MakeVault) -> None:
    former = new_key()
    await vault_of(former).check(store.marks)

    await vault_of(new_key(), former).check(store.marks)


async def test_a_database_of_before_data_keys_is_accepted(store: Store, vault_of: MakeVault) -> None:
    key = new_key()
    await Vault(Keyring([key])).check(store.marks)

    await vault_of(key).check(store.marks)


@pytest.mark.parametrize("envelope", [True, False])
async def test_a_wrong_key_is_refused_with_what_to_restore_and_nothing_is_changed(
    envelope: bool, store: Store, vault_of: MakeVault
) -> None:
    former, wrong = new_key(), new_key()
    sealing = vault_of(former) if envelope else Vault(Keyring([former]))
    await sealing.check(store.marks)
    before = await store.marks.find("vault-sentinel"), await store.data_keys.list_all()

    with pytest.raises(WrongVaultKeyError) as raised:
        await vault_of(wrong).check(store.marks, source="the file /data/vault.key")

    needed, present = (Keyring([key]).first.name for key in (former, wrong))
    assert str(raised.value).startswith(
        f"This database was sealed with vault key {needed}, but the file /data/vault.key gives key {present}. "
        "Nothing was changed."
    )
    assert (await store.marks.find("vault-sentinel"), await store.data_keys.list_all()) == before


async def test_a_former_ring_key_that_is_gone_is_named_as_long_as_a_data_key_needs_it(
    store: Store, vault_of: MakeVault
) -> None:
    """The ring's first key is the right one, and the sentinel opens; a tenant's values would not."""
    former, present = new_key(), new_key()
    await vault_of(present).check(store.marks)
    await vault_of(former).seal(b"", Binding("connections", "c1", Principal("i", "anna", "acme"), "p", "tokens", 1))

    with pytest.raises(WrongVaultKeyError, match=f"sealed with vault key {Keyring([former]).first.name}"):
        await vault_of(present).check(store.marks)


async def test_of_two_first_starts_with_different_keys_one_is_refused(store: Store, vault_of: MakeVault) -> None:
    """The other process made its data key, or its sentinel, between our looking and our writing."""

    class LateMarks:
        def __init__(self, happens: Callable[[], Awaitable[object]]) -> None:
            self.happens = happens

        async def find(self, name: str) -> None:
            await self.happens()

        put_if_absent = store.marks.put_if_absent

    other = vault_of(new_key())

    with pytest.raises(WrongVaultKeyError, match="Nothing was changed"):
        await vault_of(new_key()).check(LateMarks(lambda: other.check(store.marks)))


@pytest.mark.parametrize(("kept", "said"), [(0, "cut short"), (5, "cut short"), (40, "was altered")])
async def test_a_damaged_sentinel_is_told_from_a_wrong_key(
    store: Store, vault_of: MakeVault, kept: int, said: str
) -> None:
    key = vault_of(new_key())
    sealed = await key.seal(b"this database", mark_binding("vault-sentinel"))
    await store.marks.put_if_absent("vault-sentinel", sealed[:kept] or b"\2")

    with pytest.raises(VaultError, match=said):
        await key.check(store.marks)


def in_clear(data: bytes) -> Iterator[str]:
    """The canaries that are in the data: as they are, in hex, in base64 at each of its three alignments, in URLs."""
    for canary in CANARIES:
        raw = canary.encode()
        aligned = [base64.b64encode(raw[shift : shift + (len(raw) - shift) // 3 * 3]) for shift in range(3)]
        forms = [raw, raw.hex().encode(), raw.hex().upper().encode(), quote(raw, safe="").encode(), *aligned]
        if any(form in data for form in forms):
            yield canary


def test_the_search_for_canaries_finds_them() -> None:
    for canary in CANARIES:
        for before in ("", "x", "xx"):
            text = f"{before}{canary}!".encode()
            for form in (text, text.hex().encode(), base64.b64encode(text)):
                assert list(in_clear(form)) == [canary]


async def test_no_token_is_in_clear_in_the_files_after_writing_replacing_and_deleting(
    tmp_path: Path, sqlite_url: str
) -> None:
    store, keyring = await Store.open(sqlite_url), Keyring([new_key()])
    key = Vault(keyring, DataKeys(store.data_keys, keyring, SystemClock()))
    access, refresh, new, verifier = (Secret(canary) for canary in CANARIES)
    place = Binding("connections", "c1", ANNA, "acme", "sealed", 1)
    first = Connection(
        "c1", ANNA, "acme", CredentialKind.OAUTH2, "a", "Anna", frozenset(), ConnectionStatus.ACTIVE,
        await key.seal_tokens(TokenSet(access, refresh), place), NOW, NOW,
    )  # fmt: skip

    def search() -> set[str]:
        return {canary for file in (tmp_path / "data").iterdir() for canary in in_clear(file.read_bytes())}

    await store.connections.insert(first)
    assert search() == set()
    place = dataclasses.replace(place, version=2)
    second = dataclasses.replace(first, version=2, sealed=await key.seal_tokens(TokenSet(new, refresh), place))
    assert await store.connections.replace(second, expected_version=1)
    assert search() == set()
    flow = Flow("f1", ANNA, "h", "acme", CredentialKind.OAUTH2, frozenset(), None, NOW, NOW + timedelta(minutes=10))
    await store.flows.put(flow)
    sealed = await key.seal(verifier.reveal().encode(), Binding("flows", "f1", ANNA, "acme", "sealed_verifier", 1))
    await store.flows.begin(
        "f1", redirect_uri="http://x", state_hash="s", browser_hash="b", sealed_verifier=sealed, now=NOW
    )
    await store.flows.finish("f1", FlowStatus.CONNECTED, connection_id="c1")
    assert await store.connections.drop(ANNA, "c1")
    assert search() == set()
    await store.close()

    assert search() == set()
    left = (tmp_path / "data/gateway.db").read_bytes()
    assert first.sealed not in left, "deleted ciphertext is overwritten too"
    assert second.sealed not in left
    assert sealed not in left


async def test_a_ciphertext_copied_to_another_persons_row_does_not_open(store: Store, vault_of: MakeVault) -> None:
    """Someone who can write to the database gives Bernd's row Anna's tokens."""
    key, bernd = vault_of(new_key()), Principal("issuer", "bernd")
    place = Binding("connections", "c1", ANNA, "acme", "sealed", 1)
    stolen = await key.seal_tokens(TokenSet(Secret(CANARIES[0])), place)
    await store.connections.insert(
        Connection("c1", bernd, "acme", CredentialKind.OAUTH2, "a", None, frozenset(), ConnectionStatus.ACTIVE,
                   stolen, NOW, NOW)
    )  # fmt: skip
    row = await store.connections.find_by_id(bernd, "c1")
    assert row is not None

    with pytest.raises(VaultError):
        await key.open_tokens(row.sealed, dataclasses.replace(place, principal=row.principal))
