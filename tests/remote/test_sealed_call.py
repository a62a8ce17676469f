"""A call between gateways opens for the one that it is sent to, for some seconds, and for nobody else."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.errors import (
    NotAllowedError,
    ToolError,
    ToolkitBusyError,
    ToolkitUnreachableError,
    UnknownOutcomeError,
    UnknownToolError,
)
from gateway.remote.sealed_call import PURPOSE, CallSeal, End, SentCall, meaningless_mark
from gateway.secret import Secret
from gateway.toolkit.replica import Replica
from gateway.toolkit.tool_request import ToolRequest
from gateway.types import Credential
from gateway.vault.keyring import Keyring
from gateway.vault.message_seal import MessageSeal
from gateway.vault.vault import Vault

NOW = datetime(2030, 1, 1, tzinfo=UTC)
THERE, OTHER = Replica("b", "http://10.0.0.2:8787"), Replica("c", "http://10.0.0.2:8787")
CREDENTIAL = Credential(
    "hubspot", "the-token", frozenset({"b", "a"}), "ada@example.com", NOW, {"instance_url": "https://x"}, "c1", 7
)


def new_key():
    return Secret(base64.b64encode(secrets.token_bytes(32)).decode())


RING = new_key()
VAULT = Vault(Keyring([RING]))
SEAL = CallSeal(VAULT.derive, THERE)


def call(seconds=30.0, waits=True, **request):
    return SentCall("default", "crm", ToolRequest("find", **({"arguments": {"q": 1}} | request)), seconds, waits)


def test_a_call_arrives_as_it_was_sent():
    whole = call(
        credential=CREDENTIAL, arguments={"q": "Grüße \ud83d\ude00", "half": "\ud83d", "list": [1.5, None, True]}
    )

    assert SEAL.open_call(SEAL.seal_call(whole, NOW), NOW) == whole
    assert SEAL.open_call(SEAL.seal_call(bare := call(waits=False), NOW), NOW) == bare


def test_nothing_of_it_can_be_read_on_its_way():
    sealed = SEAL.seal_call(call(credential=CREDENTIAL), NOW)

    assert not any(word in sealed for word in (b"the-token", b"crm", b"find", b"hubspot", b"ada"))


@pytest.mark.parametrize(
    "end",
    [
        End({"found": ["Ada"]}),
        End(None),
        End(error=ToolError("There is no such contact.")),
        End(error=NotAllowedError("not granted")),
        End(error=ToolkitBusyError("busy")),
        End(error=ToolkitUnreachableError("nobody")),
        End(error=UnknownOutcomeError("gone")),
    ],
)
def test_its_end_comes_back_as_it_was(end):
    sealed = SEAL.seal_call(call(), NOW)
    opened = SEAL.open_end(SEAL.seal_end(end, sealed), sealed)

    assert opened is not None
    assert (opened.value, type(opened.error), str(opened.error)) == (end.value, type(end.error), str(end.error))


def test_an_end_belongs_to_one_call():
    first, second = (SEAL.seal_call(call(), NOW) for _ in range(2))

    assert SEAL.open_end(SEAL.seal_end(End(1), first), second) is None
    assert SEAL.open_end(first, first) is None


def test_an_end_that_this_version_does_not_know_is_none():
    sealed = SEAL.seal_call(call(), NOW)

    assert SEAL.open_end(SEAL.seal_end(End(error=UnknownToolError("?")), sealed), sealed) is None


@pytest.mark.parametrize(
    ("age", "seconds", "opens"),
    [
        (0, 30, True),
        (9.9, 30, True),
        (10, 30, False),
        (-9.9, 30, True),
        (-10, 30, False),
        (1.9, 2, True),
        (2, 2, False),
    ],
)
def test_it_opens_for_ten_seconds_and_not_when_its_time_is_up(age, seconds, opens):
    sealed = SEAL.seal_call(call(seconds=seconds), NOW)

    assert (SEAL.open_call(sealed, NOW + timedelta(seconds=age)) is not None) is opens


def test_the_mark_of_a_call_that_was_taken_tells_whoever_sealed_it():
    first, second = (SEAL.seal_call(call(), NOW) for _ in range(2))
    mark = SEAL.seal_taken(first)

    assert SEAL.is_taken(mark, first)
    assert not any(SEAL.is_taken(other, first) for other in (meaningless_mark(), "", "no hex", SEAL.seal_taken(second)))
    assert not SEAL.is_taken(SEAL.seal_end(End(1), first).hex(), first)
    assert len(mark) == len(meaningless_mark())
    assert mark != SEAL.seal_taken(first)


def another_time(sealed):
    """As if it had been sealed a second later."""
    return sealed[:1] + (int.from_bytes(sealed[1:9], "big") + 1000).to_bytes(8, "big") + sealed[9:]


def plain(sealed):
    return sealed[:9] + secrets.token_bytes(12) + json.dumps({"tool": "find"}).encode()


def by_other_key(derive, addressed=THERE):
    return lambda _: CallSeal(derive, addressed).seal_call(call(), NOW)


def of_other_purpose(purpose):
    return by_other_key(lambda _: VAULT.derive(purpose))


def by_us_but_not_json(_):
    head = b"\x01" + int(NOW.timestamp() * 1000).to_bytes(8, "big")
    return head + MessageSeal(VAULT.derive(PURPOSE + THERE.id)).seal(b"[]", b"call " + head + THERE.id.encode())


FORGED = {
    "empty": lambda _: b"",
    "one byte": lambda _: b"\x01",
    "only a head": lambda sealed: sealed[:9],
    "cut short": lambda sealed: sealed[:-1],
    "cut off in the nonce": lambda sealed: sealed[:15],
    "longer": lambda sealed: sealed + b"\0",
    "another version": lambda sealed: b"\x02" + sealed[1:],
    "another time": another_time,
    "plain JSON": plain,
    "random": lambda sealed: secrets.token_bytes(len(sealed)),
    "for another gateway": by_other_key(VAULT.derive, OTHER),
    "by another vault": by_other_key(Vault(Keyring([new_key()])).derive),
    "by a key for something else": of_other_purpose("request-state"),
    "by one key for all gateways": of_other_purpose(PURPOSE),
    "by the key of another gateway": of_other_purpose(PURPOSE + OTHER.id),
    "an end": lambda sealed: sealed[:9] + SEAL.seal_end(End(1), sealed),
    "ours, and no call": by_us_but_not_json,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_is_no_call_to_this_gateway_does_not_open(forge):
    assert SEAL.open_call(forge(SEAL.seal_call(call(), NOW)), NOW) is None


@given(some.binary(max_size=200), some.integers(min_value=0))
def test_no_changed_byte_goes_through(noise, where):
    sealed = bytearray(SEAL.seal_call(call(), NOW))
    assert SEAL.open_call(noise, NOW) is None
    sealed[where % len(sealed)] ^= 1
    assert SEAL.open_call(bytes(sealed), NOW) is None


def test_a_former_key_of_the_ring_still_opens():
    """While keys are turned, gateways of one database have different ones in front."""
    former, new = RING, new_key()
    behind = Vault(Keyring([former, new]))
    in_front = Vault(Keyring([new, former]))
    sealed = CallSeal(in_front.derive, THERE).seal_call(call(), NOW)

    assert CallSeal(behind.derive, THERE).open_call(sealed, NOW) is not None
