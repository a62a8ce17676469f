"""The tool calls a model asked for, out of each LLM provider's shape, and the message that answers one, into it.

Takes the provider SDK's objects as well as the same as plain dicts. Pure; nothing is sent from here.
Above: `gateway.toolkit.llm_client`.

Sources: OpenAI Responses API (`function_call`, `function_call_output`), Anthropic Messages API (`tool_use`,
`tool_result`), Mistral chat completions (`tool_calls`, role `tool`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class AskedCall:
    """One call the model asked for. `id` is the model's, or ours where it gave none.

    `problem` says what the model got wrong in writing it, for the model to mend; such a call cannot be run.
    """

    id: str
    function: str
    arguments: Mapping[str, Any]
    problem: str | None = None


def asked_calls(tool_calls: Sequence[Any], provider: str) -> list[AskedCall]:
    """Every call, in the model's order. ValueError for a provider whose shape nobody knows."""
    read = _shape(provider).read
    return [read(call) for call in tool_calls]


def model_message(provider: str, call: AskedCall, result: Any) -> dict[str, Any]:
    """What the model is to be sent in answer to `call`; the result goes in as JSON."""
    return _shape(provider).write(call, json.dumps(result, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class _Shape:
    read: Callable[[Any], AskedCall]
    write: Callable[[AskedCall, str], dict[str, Any]]


def _read_openai(call: Any) -> AskedCall:
    inner = _get(call, "function_call") or call
    return _asked(_get(inner, "call_id"), _get(inner, "name"), _get(inner, "arguments"))


def _write_openai(call: AskedCall, output: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call.id, "output": output}


def _read_anthropic(call: Any) -> AskedCall:
    return _asked(_get(call, "id"), _get(call, "name"), _get(call, "input"))


def _write_anthropic(call: AskedCall, output: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": output}]}


def _read_mistral(call: Any) -> AskedCall:
    inner = _get(call, "function") or call
    return _asked(_get(call, "id"), _get(inner, "name"), _get(inner, "arguments"))


def _write_mistral(call: AskedCall, output: str) -> dict[str, Any]:
    return {"role": "tool", "name": call.function, "content": output, "tool_call_id": call.id}


_MISTRAL = _Shape(_read_mistral, _write_mistral)
_SHAPES = {
    "openai": _Shape(_read_openai, _write_openai),
    "anthropic": _Shape(_read_anthropic, _write_anthropic),
    "mistral": _MISTRAL,
    "mistralai": _MISTRAL,
}


def _shape(provider: str) -> _Shape:
    try:
        return _SHAPES[provider.lower()]
    except KeyError:
        raise ValueError(f"Unsupported provider {provider!r}. Use one of {', '.join(_SHAPES)}.") from None


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _asked(call_id: Any, function: Any, arguments: Any) -> AskedCall:
    call = AskedCall(str(call_id or f"call_{uuid.uuid4()}"), str(function or ""), {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return replace(call, problem="The arguments are not JSON. Call again with a JSON object.")
    if not isinstance(arguments, Mapping | None):
        return replace(call, problem="The arguments are not a JSON object. Call again with one.")
    return replace(call, arguments=arguments or {})
