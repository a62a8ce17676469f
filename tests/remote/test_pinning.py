"""What a toolkit says anew: taken as it is, or kept waiting; and what is served meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.remote.definition import Definition
from gateway.remote.pinning import FIRST_SET, Said, approved, pin, rejected, served, waits
from gateway.toolkit.remote_tool import RemoteSet, RemoteTool

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NEW = RemoteTool("default", "crm", "find", NOW)
WIRE = {"params": ["a"], "description": "Does.", "auth_provider": "hubspot", "scopes": ["a"]}
FORMER = Definition.of_metadata(WIRE)
COMMITTED = RemoteSet(NOW, "hash")

HARMLESS = [{"description": "Other."}, {"scopes": ["b"]}, {"annotations": {"read_only": True}}]
HARMFUL = [
    {"params": ["b"]},
    {"auth_provider": "google"},
    {"auth_type": "api_key"},
    {"output_schema": {"type": "object"}},
]


def said(at=NOW, code_hash="code", **changes):
    return Said(Definition.of_metadata(WIRE | changes), code_hash, at)


def pinned(former=None, whole=COMMITTED, review=True, **changes):
    return pin(NEW, former, whole, said(**changes), review=review)


@pytest.fixture
def live():
    return pinned(whole=None).tool


def test_the_first_set_of_a_toolkit_is_taken_as_it_is(live):
    assert served(live) == FORMER
    assert not waits(live)
    assert pinned(whole=RemoteSet(NOW)).action == "tool.added"


def test_a_toolkit_that_never_completes_a_set_has_ten_minutes_for_it():
    late = pinned(whole=RemoteSet(NOW), at=NOW + FIRST_SET + timedelta(seconds=1))

    assert late.action == "tool.waits"


def test_a_tool_that_was_not_there_before_waits_and_is_hidden():
    new = pinned()

    assert (new.action, new.what) == ("tool.waits", "new")
    assert waits(new.tool)
    assert served(new.tool) is None
    assert served(approved(new.tool, NOW)) == FORMER


@pytest.mark.parametrize("change", HARMLESS)
def test_other_words_and_scopes_wait_while_the_former_ones_are_served(live, change):
    changed = pinned(live, **change)

    assert changed.action == "tool.waits"
    assert waits(changed.tool)
    assert served(changed.tool) == FORMER


@pytest.mark.parametrize("change", HARMFUL)
def test_what_takes_or_signs_in_with_something_else_waits_and_is_hidden(live, change):
    changed = pinned(live, **change).tool

    assert waits(changed)
    assert served(changed) is None
    assert served(approved(changed, NOW)) == said(**change).definition


@pytest.mark.parametrize("change", HARMLESS + HARMFUL)
def test_without_review_a_change_takes_effect_and_goes_on_record(live, change):
    changed = pinned(live, review=False, **change)

    assert (changed.action, bool(changed.what)) == ("tool.changed", True)
    assert served(changed.tool) == said(**change).definition
    assert not waits(changed.tool)


def test_other_code_and_another_timeout_alone_do_not_wait(live):
    other = pinned(live, code_hash="other", timeout=7).tool

    assert other.code_hash == "other"
    assert served(other).timeout == 7
    assert not waits(other)


def test_saying_the_same_again_changes_nothing(live):
    assert pinned(live, at=NOW + timedelta(days=1)).tool == live
    waiting = pinned(live, description="Other.").tool
    assert pinned(waiting, description="Other.", at=NOW + timedelta(days=1)).tool == waiting


def test_a_toolkit_that_takes_it_back_waits_for_nothing(live):
    assert pinned(pinned(live, description="Other.").tool).tool == live


def test_what_was_turned_down_stays_so_however_often_it_is_said(live):
    no = rejected(pinned(live, description="Other.").tool, NOW)

    assert not waits(no)
    assert served(no) == FORMER
    assert not waits(pinned(no, description="Other.").tool)
    assert waits(pinned(no, description="A third.").tool)


def test_a_tool_that_comes_back_is_held_against_what_was_pinned(live):
    gone = replace(live, removed_at=NOW)

    assert served(gone) is None
    assert served(pinned(gone).tool) == FORMER
    back = pinned(gone, description="Other.").tool
    assert waits(back)
    assert served(back) == FORMER
