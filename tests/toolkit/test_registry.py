"""The tools there are: found at once, listed in the same order every time, changed as a whole."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from gateway.errors import RegistrationError
from gateway.toolkit.tool import Tool


def named(name, toolkit="crm", origin=""):
    async def run(arguments, credential, context):
        return name

    return Tool(name, toolkit, "d", {"type": "object"}, run, lambda arguments: None, origin=origin)


def names(registry):
    return [tool.name for tool in registry.tools()]


def test_a_tool_is_found_by_its_exact_name(registry):
    registry.add(tool := named("find"))

    assert registry.find("find") is tool
    assert registry.find("Find") is None


def test_the_list_is_grouped_by_toolkit_in_order_of_loading(registry):
    for name, toolkit in [("z", "crm"), ("b", "mail"), ("a", "crm"), ("c", "mail")]:
        registry.add(named(name, toolkit))

    assert names(registry) == ["z", "a", "b", "c"]


def test_the_list_is_the_same_object_until_something_changes(registry):
    registry.add(named("a"))
    before = registry.tools()

    assert registry.tools() is before
    registry.drop("missing")
    assert registry.tools() == before
    registry.add(named("b"))
    assert before != registry.tools()


def test_two_tools_of_one_name_are_refused_with_where_both_are(registry):
    registry.add(named("find", origin="crm.py:3"))

    with pytest.raises(RegistrationError) as refused:
        registry.add(named("find", "mail", origin="mail.py:9"))
    assert str(refused.value) == (
        "find is registered at mail.py:9, and at crm.py:3 already. "
        "Tool names are unique across all toolkits: give one of the two another name."
    )


def test_the_same_place_twice_reads_differently(registry):
    registry.add(named("find", origin="crm.py:3"))

    with pytest.raises(RegistrationError, match=r"find is registered twice, at crm.py:3\."):
        registry.add(named("find", origin="crm.py:3"))


def test_replacing_is_all_or_nothing(registry):
    registry.replace((), [named("a"), named("b")])

    with pytest.raises(RegistrationError):
        registry.replace({"a"}, [named("c"), named("b")])
    assert names(registry) == ["a", "b"]
    registry.replace({"a"}, [named("c"), named("a")])
    assert names(registry) == ["b", "c", "a"]


def test_subscribers_hear_of_each_change_once_until_they_leave(registry):
    heard = []
    leave = registry.subscribe(lambda: heard.append(names(registry)))

    registry.replace((), [named("a"), named("b")])
    registry.drop("a")
    registry.drop("a")
    registry.replace((), [])
    leave()
    leave()
    registry.add(named("c"))

    assert heard == [["a", "b"], ["b"]]


def test_a_subscriber_may_leave_or_change_the_registry_when_it_is_called(registry):
    def once():
        leave()
        registry.add(named("b"))

    leave = registry.subscribe(once)
    registry.add(named("a"))

    assert names(registry) == ["a", "b"]


def test_threads_may_change_it_at_the_same_time(registry):
    def work(number):
        for step in range(50):
            registry.add(named(f"t{number}_{step}"))
            registry.drop(f"t{number}_{step - 1}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(names(registry)) == [f"t{number}_49" for number in range(8)]


def test_a_tool_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        named("a").name = "b"
