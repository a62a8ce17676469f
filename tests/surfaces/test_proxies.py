"""Whom a request is from, behind proxies of our own and in front of none."""

from __future__ import annotations

import pytest

from gateway.surfaces.proxies import Proxies

OURS = Proxies(["10.0.0.0/24", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "said", "caller"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("192.0.2.7", "10.0.0.1", "192.0.2.7"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1,10.0.0.3 ,  10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:50123", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "198.51.100.1, localhost", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, ", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1<script>", "10.0.0.1"),
        ("testclient", "198.51.100.1", "testclient"),
    ],
)
def test_only_what_our_own_proxies_wrote_counts(peer: str, said: str | None, caller: str) -> None:
    assert OURS.caller(peer, said) == caller


def test_without_proxies_of_our_own_nothing_counts() -> None:
    assert Proxies().caller("10.0.0.1", "198.51.100.1") == "10.0.0.1"
