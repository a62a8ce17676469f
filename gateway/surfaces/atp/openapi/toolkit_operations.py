"""The operations of the toolkit's half: what `toolkit_routes` serves, in its order.

Source: AgentToolProtocol 0.2.5, `ToolKitClient`.
"""

from __future__ import annotations

from typing import Any

from gateway.surfaces.atp.openapi.operation import Operation, answer, in_header, in_path, ref

_KEY = in_path("api_key", "The toolkit's key.", "atpg_toolkit_…")
_WAIT = in_header(
    "Prefer", "How many seconds the gateway may keep the question open, 25 at most (RFC 7240).", "wait=5",
    pattern=r"^wait=[0-9]{1,4}$",
)  # fmt: skip
_CONCURRENCY = in_header(
    "ATP-Concurrency", "By its presence a worker says that it wants `credential` with a call.", "8"
)
_CALL = answer("A call, or nothing to do.", {"anyOf": [ref("ToolCall"), ref("NoCall")]})
_HEARD = {200: answer("Heard.", ref("Heard"))}
_UP_TO_DATE = {200: answer("Whether they are, or it is.", ref("UpToDate"))}


def _said(path: str, identity: str, summary: str, body: str, **more: Any) -> Operation:
    return Operation("POST", path, identity, summary, tag="toolkits", body=ref(body), **more)


def _inbox(
    path: str, identity: str, keys: tuple[str, ...], parameters: tuple[dict[str, Any], ...]
) -> tuple[Operation, Operation]:
    refusals = (404,) if parameters else ()
    return (
        Operation(
            "GET", path, f"poll{identity}", "Wait for a call", tag="toolkits", answers={200: _CALL}, keys=keys,
            parameters=(*parameters, _WAIT, _CONCURRENCY), refusals=(*refusals, 429),
        ),
        _said(
            f"{path}/respond", f"answer{identity}", "Answer a call", "ToolAnswer", answers=_HEARD, keys=keys,
            parameters=parameters, refusals=refusals,
        ),
    )  # fmt: skip


_SHOWN = ("toolkitKey", "keyInBody")
TOOLKIT_OPERATIONS = (
    _said(
        "/api/v1/toolkit/verify_hash", "verifyToolkit", "Ask whether all tools are known as they are", "HashQuestion",
        answers=_UP_TO_DATE, keys=_SHOWN,
    ),
    _said(
        "/api/v1/toolkit/verify_tool_hash", "verifyTool", "Ask whether one tool is", "ToolHashQuestion",
        answers=_UP_TO_DATE, keys=_SHOWN,
    ),
    _said(
        "/api/v1/register_tool", "registerTool", "Say what a tool is", "ToolRegistration",
        answers={200: answer("Taken down.", ref("Registered"))}, keys=_SHOWN, refusals=(409, 422),
    ),
    _said(
        "/api/v1/execute_function", "report", "Report what a function gave, which nobody waits for", "Report",
        answers=_HEARD,
    ),
    *_inbox("/api/v1/toolkit/inbox", "Inbox", ("toolkitKey",), ()),
    *_inbox("/api/v1/toolkit/{api_key}/inbox", "InboxByPath", (), (_KEY,)),
)  # fmt: skip
