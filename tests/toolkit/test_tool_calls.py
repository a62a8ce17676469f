"""The calls a model asked for, out of what the LLM providers' libraries give."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.toolkit.tool_calls import asked_calls, model_message


@pytest.mark.parametrize(
    ("provider", "call"),
    [
        ("openai", {"call_id": "c", "name": "f", "arguments": '{"a": 1}'}),
        ("openai", {"call_id": "c", "name": "f", "arguments": {"a": 1}}),
        ("openai", {"function_call": {"call_id": "c", "name": "f", "arguments": '{"a": 1}'}}),
        ("openai", SimpleNamespace(type="function_call", call_id="c", name="f", arguments='{"a": 1}')),
        ("OpenAI", {"call_id": "c", "name": "f", "arguments": '{"a": 1}'}),
        ("anthropic", {"id": "c", "name": "f", "input": {"a": 1}}),
        ("anthropic", SimpleNamespace(type="tool_use", id="c", name="f", input={"a": 1})),
        ("mistral", {"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}),
        ("mistral", {"id": "c", "name": "f", "arguments": {"a": 1}}),
        ("mistralai", SimpleNamespace(id="c", function=SimpleNamespace(name="f", arguments={"a": 1}))),
    ],
)
def test_a_call_is_read_out_of_objects_and_dicts(provider: str, call: Any) -> None:
    (asked,) = asked_calls([call], provider)

    assert (asked.id, asked.function, asked.arguments, asked.problem) == ("c", "f", {"a": 1}, None)


@pytest.mark.parametrize("arguments", [None, "", "{}", {}])
def test_a_call_without_arguments_has_none(arguments: Any) -> None:
    assert asked_calls([{"name": "f", "arguments": arguments}], "openai")[0].arguments == {}


@pytest.mark.parametrize("arguments", ["{", "[1]", "7", 7, [1], "[" * 100_000])
def test_arguments_that_a_model_got_wrong_are_told_to_it(arguments: Any) -> None:
    (asked,) = asked_calls([{"name": "f", "arguments": arguments}], "openai")

    assert asked.problem is not None
    assert asked.problem.endswith((" with one.", " JSON object."))


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    first, second = asked_calls([{"name": "f"}, {"name": "f"}], "openai")

    assert first.id.startswith("call_")
    assert first.id != second.id


def test_text_reaches_the_model_as_it_is() -> None:
    (asked,) = asked_calls([{"call_id": "c", "name": "f"}], "openai")

    assert model_message("openai", asked, {"name": "Ада"})["output"] == '{"name": "Ада"}'
