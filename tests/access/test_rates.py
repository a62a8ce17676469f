"""How often one may call, by a clock that the test moves."""

from __future__ import annotations

import pytest

from gateway.access import rates
from gateway.access.rates import CallsPerMinute, Rates
from gateway.errors import SettingsError
from gateway.wire import wire
from tests.access.tools import person

ADA, BEA = person("ada"), person("bea")


class Timer:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> Timer:
    return Timer()


def calls(counted: Rates, who, tool: str = "find", tries: int = 100) -> int:
    """How many of these calls are let through."""
    return sum(counted.refusal(who, tool) is None for _ in range(tries))


def test_without_limits_everybody_calls_as_they_like(timer):
    assert calls(Rates(timer=timer), ADA, tries=1000) == 1000


@pytest.mark.parametrize("a_minute", [1, 7, 10, 60])
def test_a_minutes_calls_may_be_made_at_once_and_come_back_evenly(timer, a_minute):
    counted = Rates(CallsPerMinute(person=a_minute), timer)

    assert calls(counted, ADA) == a_minute
    for _ in range(5):
        timer.now += 60 / a_minute
        assert calls(counted, ADA) == 1
    timer.now += 3600
    assert calls(counted, ADA) == a_minute


def test_a_call_that_is_refused_says_when_to_try_again_and_is_right(timer):
    counted = Rates(CallsPerMinute(person=6), timer)
    assert calls(counted, ADA) == 6

    refused = counted.refusal(ADA, "find")
    assert str(refused) == "You have made the 6 calls that one person may make in a minute. Call again in 10 s."
    assert (refused.code, wire(refused)) == ("rate_limited", (None, 429))

    timer.now += 9.5
    assert str(counted.refusal(ADA, "find")).endswith("Call again in 1 s.")
    timer.now += 1
    assert counted.refusal(ADA, "find") is None


def test_one_tools_limit_leaves_the_others(timer):
    counted = Rates(CallsPerMinute(person=10, tool=3), timer)

    assert (calls(counted, ADA, "find"), calls(counted, ADA, "wipe"), calls(counted, BEA, "find")) == (3, 3, 3)
    assert "the 3 calls of find that one person may make" in str(counted.refusal(ADA, "find"))


def test_one_persons_flood_leaves_the_others_of_their_tenant_what_is_theirs(timer):
    """Refused calls count nowhere: a thousand of them take nothing from anybody."""
    counted = Rates(CallsPerMinute(person=10, tenant=25), timer)

    assert calls(counted, ADA, tries=1000) == 10
    assert calls(counted, BEA) == 10
    assert calls(counted, person("cy")) == 5
    assert "Everybody in your tenant has made the 25 calls" in str(counted.refusal(person("dan"), "find"))
    assert calls(counted, person("dan", tenant="acme")) == 10


def test_a_person_is_one_whatever_their_groups_and_another_at_another_issuer(timer):
    counted = Rates(CallsPerMinute(person=5), timer)

    assert calls(counted, ADA) == 5
    assert calls(counted, person("ada", "sales")) == 0
    assert calls(counted, person("ada", issuer="https://other.example")) == 5


def test_what_is_kept_is_bounded_and_what_is_full_again_goes(timer, monkeypatch):
    monkeypatch.setattr(rates, "_MOST", 100)
    counted = Rates(CallsPerMinute(person=1), timer)
    for number in range(1000):
        assert counted.refusal(person(str(number)), "find") is None
    assert len(counted._person._full_at) == 100

    timer.now += 61
    for number in range(150):
        counted.refusal(person(f"later {number // 2}"), "find")
    assert len(counted._person._full_at) == 75


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (CallsPerMinute(person=-1), r"\[access.calls_per_minute\] person is below 0"),
        (CallsPerMinute(tenant=100), "lets one person use up the 100 calls of everybody.*Set person"),
        (CallsPerMinute(person=101, tenant=100), "lets one person use up"),
        (CallsPerMinute(person=10, tool=11), "tool is 11, and nobody gets that far: person is 10"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(limits, says):
    with pytest.raises(SettingsError, match=says):
        limits.check()


@pytest.mark.parametrize(
    "limits", [CallsPerMinute(), CallsPerMinute(tool=5), CallsPerMinute(10, 10, 10), CallsPerMinute(person=1)]
)
def test_limits_that_can_be_meant_are_taken(limits):
    limits.check()
