"""How a call is put to a worker, and its answer read: over a WebSocket and over the inbox alike.

The published SDK is sent a token and answers with a result, whatever that is. A client of ours, known by its header, is
sent what belongs to the token beside it, and may answer more: `is_error`, its tool failed with the sentence in
`{"error": …}`; `not_begun`, it is stopping and left the call alone, so another worker may have it.

Pure. Above: `toolkit_socket`, `toolkit_inbox`. Source: AgentToolProtocol 0.2.5, `ToolKitClient`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import ToolError
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.workers import Worker
from gateway.types import Credential

CONCURRENCY = "atp-concurrency"
"""The header by which a client of ours says how many calls it takes at a time."""


def as_sent(call: ToolRequest, *, ours: bool) -> dict[str, Any]:
    """A call as a worker is sent it."""
    credential = call.credential
    sent = {
        "request_id": call.id,
        "tool_name": call.tool,
        "params": dict(call.arguments),
        "auth_token": credential.token if credential else None,
    }
    return sent | {"credential": _beside_the_token(credential)} if ours and credential else sent


def answered(worker: Worker, request_id: str, answer: Mapping[str, Any], field: str) -> bool:
    """Have the answer count, whose result is in `field`. False: nobody waits for it."""
    if answer.get("not_begun") is True:
        return worker.decline(request_id)
    result = answer.get(field)
    if answer.get("is_error") is not True:
        return worker.answer(request_id, result)
    said = result.get("error") if isinstance(result, dict) else None
    return worker.fail(request_id, ToolError(said if isinstance(said, str) and said else "The tool failed."))


def _beside_the_token(credential: Credential) -> dict[str, Any]:
    return {
        "scopes": sorted(credential.scopes),
        "account": credential.account,
        "expires_at": credential.expires_at.isoformat() if credential.expires_at else None,
        "extras": dict(credential.extras),
    }
