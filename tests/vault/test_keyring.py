"""Which keys a ring takes."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest

from gateway.errors import VaultError
from gateway.secret import Secret
from gateway.vault.key_sources import new_key
from gateway.vault.keyring import Keyring


def encoded(root: bytes) -> Secret:
    return Secret(base64.b64encode(root).decode())


def test_a_new_key_is_taken_and_no_two_are_alike() -> None:
    assert len({Keyring([new_key()]).first.id for _ in range(100)}) == 100


def test_random_bytes_are_always_taken() -> None:
    """The check for guessable keys never hits a random one."""
    for _ in range(2000):
        Keyring([encoded(os.urandom(32))])


def test_a_key_may_have_been_pasted_with_a_line_end_or_in_the_alphabet_for_urls() -> None:
    root = hashlib.sha256(b"any").digest()
    plain = encoded(root)
    for pasted in (Secret(f"  {plain.reveal()}\n"), Secret(base64.urlsafe_b64encode(root).decode())):
        assert Keyring([pasted]).first.id == Keyring([plain]).first.id


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Secret("canary!"), "not base64"),
        (Secret("canäry"), "not base64"),
        (Secret(""), "0 bytes long"),
        (encoded(b"canary"), "6 bytes long"),
        (encoded(os.urandom(31)), "31 bytes long"),
        (encoded(os.urandom(33)), "33 bytes long"),
        (encoded(bytes(32)), "can be guessed"),
        (encoded(b"\xff" * 32), "can be guessed"),
        (encoded(bytes(range(32))), "can be guessed"),
        (encoded(bytes(range(32, 0, -1))), "can be guessed"),
        (encoded(os.urandom(8) * 4), "can be guessed"),
        (encoded(b"canary change me change me pleas"), "can be guessed"),
    ],
)
def test_a_malformed_short_or_well_known_key_is_refused_without_showing_it(key: Secret, said: str) -> None:
    with pytest.raises(VaultError, match=said) as raised:
        Keyring([key])

    assert "canary" not in str(raised.value)
    assert "openssl rand -base64 32" in str(raised.value)


def test_a_ring_needs_a_key() -> None:
    with pytest.raises(VaultError, match="no key"):
        Keyring([])


def test_a_key_twice_is_a_mistake() -> None:
    key = new_key()
    with pytest.raises(VaultError, match="twice"):
        Keyring([key, new_key(), key])


def test_a_keys_name_gives_nothing_away() -> None:
    key = new_key()
    root = base64.b64decode(key.reveal())

    assert len(Keyring([key]).first.id) == 4
    assert Keyring([key]).first.id not in (root[:4], hashlib.sha256(root).digest()[:4])
