"""What an app asks of a gateway, one description a request: method, path, body, and how to read the answer.

Pure: nothing is sent from here. `LLMClient` and `AsyncLLMClient` send them, each through its own line.

Below: `tool_calls`. Above: `llm_client`, `async_llm_client`. Source: AgentToolProtocol 0.2.5, `LLMClient`; the fields
`external_user_id`, `account` and `progress` are ours.
"""

from __future__ import annotations

import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.errors import GatewayError, UnexpectedAnswerError
from gateway.toolkit.tool_calls import AskedCall

T = TypeVar("T")

SECONDS = 30.0
"""How long a request may take, where nothing else is said."""

CALL_SECONDS = 120.0
"""How long a tool call may take, where nothing else is said."""

AT_ONCE = 8
"""How many of a model's calls a client has running at a time."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AppRequest(Generic[T]):
    """`path` is under the ATP paths of a gateway, with its query. `read` makes of the answer's JSON what one gets."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: Mapping[str, Any] | None = field(default=None, repr=False)  # there may be a token in it


@dataclass(frozen=True, slots=True)
class Whose:
    """For whom a tool is called: a user of the app, and perhaps which of their accounts; or a token of the app's."""

    external_user_id: str | None = None
    account: str | None = None
    auth_token: str | None = field(default=None, repr=False)


def begin_consent(platform_id: str, external_user_id: str, return_url: str | None) -> AppRequest[Json]:
    body = {"external_user_id": external_user_id}
    if return_url:
        body["developer_redirect_url"] = return_url
    return AppRequest("POST", f"oauth/confirmation/{_quote(platform_id)}/", _object, body)


def user_tokens(platform_id: str, external_user_id: str) -> AppRequest[Json]:
    return AppRequest("GET", f"oauth/tokens/{_quote(platform_id)}/{_quote(external_user_id)}/", _object)


def register_webhook(url: str, events: Sequence[str]) -> AppRequest[Json]:
    return AppRequest("POST", "webhooks/register/", _object, {"url": url, "events": list(events)})


def webhooks() -> AppRequest[list[Json]]:
    return AppRequest("GET", "webhooks/", _objects)


def delete_webhook(webhook_id: str) -> AppRequest[None]:
    return AppRequest("DELETE", f"webhooks/{_quote(webhook_id)}/delete/", lambda _: None)


def store_toolkits(page: int, page_size: int) -> AppRequest[Json]:
    return AppRequest("GET", f"store/toolkits/list/?page={page:d}&page_size={page_size:d}", _object)


def my_toolkits(page: int, page_size: int) -> AppRequest[Json]:
    return AppRequest("GET", f"developers/toolkits/?page={page:d}&page_size={page_size:d}", _object)


def toolkit_details(toolkit_id: str) -> AppRequest[Json]:
    return AppRequest("GET", f"store/toolkits/{_quote(toolkit_id)}/", _object)


def developer_profile(display_name: str) -> AppRequest[Json]:
    return AppRequest("GET", f"store/developers/{_quote(display_name)}/", _object)


def toolkit_context(toolkit_id: str, user_prompt: str, provider: str, whose: Whose) -> AppRequest[Json]:
    """Its answer, read, is the payload; its events are whole messages."""
    body = {
        "type": "get_toolkit_context",
        "toolkit_id": toolkit_id,
        "request_id": str(uuid.uuid4()),
        "provider": provider,
        "user_prompt": user_prompt,
        **_named(whose),
    }
    return AppRequest("POST", "process/", lambda answer: _object(_object(answer).get("payload")), body)


def task(
    toolkit_id: str, call: AskedCall, user_prompt: str | None, whose: Whose, *, progress: bool = False
) -> AppRequest[Any]:
    """Its answer, read, is what the model is to be told: the tool's result, or an error."""
    body = {
        "type": "task_request",
        "request_id": f"task_{uuid.uuid4()}",
        "toolkit_id": toolkit_id,
        "user_prompt": user_prompt,
        "auth_token": whose.auth_token,
        **_named(whose),
        **({"progress": True} if progress else {}),
        "payload": {
            "function": call.function,
            "parameters": call.arguments,
            "auth_token": whose.auth_token,
            "tool_call_id": call.id,
        },
    }
    return AppRequest("POST", "process/", _result, body)


def told(error: GatewayError) -> Json:
    """A failure, as the result that a model is told."""
    return {"error": error.message}


def failed_event(problem: str) -> Json:
    """The answer to a call that cannot be sent, as an event."""
    return {"type": "task_response", "status": "error", "code": "invalid_arguments", "message": problem}


def nobody_connected(platform_id: str, external_user_id: str, seconds: float) -> TimeoutError:
    """A wait for a connection that ran out."""
    return TimeoutError(
        f"Nobody connected {platform_id} for {external_user_id} within {seconds:g} s. "
        "Begin again with initiate_oauth_connection and open its authorization_url."
    )


def _named(whose: Whose) -> Json:
    named = {"external_user_id": whose.external_user_id, "account": whose.account}
    return {name: value for name, value in named.items() if value is not None}


def _result(answer: Any) -> Any:
    said = _object(answer)
    if said.get("status") == "error":
        return {"error": said.get("message")}
    try:
        return said["result"]["tool"]["result"]
    except (KeyError, TypeError):
        return {"error": "The gateway's answer holds no result."}


def _objects(answer: Any) -> list[Json]:
    if not isinstance(answer, list):
        raise _not_atp()
    return [_object(each) for each in answer]


def _object(answer: Any) -> Json:
    if not isinstance(answer, dict):
        raise _not_atp()
    return answer


def _not_atp() -> UnexpectedAnswerError:
    return UnexpectedAnswerError("The gateway's answer is not what ATP says. Is base_url the address of a gateway?")


def _quote(value: str) -> str:
    return urllib.parse.quote(value, safe="")
