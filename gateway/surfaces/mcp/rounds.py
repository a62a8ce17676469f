"""What travels between the rounds of one call, in MCP 2026-07-28's `requestState`.

There a host cannot be asked in the middle of a call: the call ends with the questions, and comes again with the
answers. What was asked, and what was answered so far, rides along as `requestState`. The boundary in `server` seals
it (AES-256-GCM, bound to the person, the tool, the arguments and ten minutes), so here it is plain and ours.

Source: MCP 2026-07-28, Multi-round-trip requests.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.surfaces.mcp.questions import fingerprint, to_wire
from gateway.toolkit.context import OURS, Ask
from gateway.types import NeedsConnection

CONNECT = "connect"
"""The key under which we ask the person to connect an account."""


@dataclass(frozen=True, slots=True)
class Round:
    """One arrival of a call. `flow_id` is the consent it was told to wait for; `asked` maps the tool's questions of
    the last round to their fingerprints; `answers` holds earlier rounds' fingerprints and responses; `responses` is
    what the host brings now, unread; `call` names all rounds of one call, None where it came without a state of ours.
    """

    flow_id: str | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    responses: Mapping[str, Any] = field(default_factory=dict)
    call: str | None = None

    def response(self, key: str, mark: str) -> Any:
        """What the host said to the question with this key and fingerprint, now or earlier; None if nothing.

        A host that knows a tool may answer ahead, without any state. Once there is one, only what was asked counts,
        and only while the question is still the same. The gateway's own questions are never answered ahead.
        """
        if key in self.answers:
            asked, response = self.answers[key]
            return response if asked == mark else None
        if (self.call or key.startswith(OURS)) and self.asked.get(key) != mark:
            return None
        return self.responses.get(key)

    def carried(self) -> dict[str, tuple[str, Any]]:
        """All the answers so far, with those of this round."""
        now = {key: (mark, self.responses[key]) for key, mark in self.asked.items() if key in self.responses}
        return {**self.answers, **now}

    def connect_action(self) -> str | None:
        """How the person reacted to our connect link: accept, decline, cancel; None if we did not ask or know."""
        response = self.responses.get(CONNECT)
        if self.flow_id is None or not isinstance(response, Mapping):
            return None
        action = response.get("action")
        return action if action in ("accept", "decline", "cancel") else None


def read_round(params: Mapping[str, Any]) -> Round:
    """The round in a call's parameters, whose `requestState` the boundary has opened."""
    responses = params.get("inputResponses")
    if not isinstance(responses, Mapping):
        responses = {}
    state = params.get("requestState")
    if not isinstance(state, str):
        return Round(responses=responses)
    kept = json.loads(state)
    return Round(
        flow_id=kept["flow"],
        asked=kept["asked"],
        answers={key: (mark, response) for key, (mark, response) in kept["answers"].items()},
        responses=responses,
        call=kept["call"],
    )


def ask_questions(
    asks: Mapping[str, Ask], answers: Mapping[str, tuple[str, Any]], call: str | None = None
) -> dict[str, Any]:
    """The `input_required` result that carries the tool's questions, and all the answers so far, to the host.

    `call` is the name of the call's rounds; None: it gets one.
    """
    asked = {key: fingerprint(ask) for key, ask in asks.items()}
    return _input_required({key: to_wire(ask) for key, ask in asks.items()}, None, asked, answers, call)


def ask_to_connect(needs: NeedsConnection, before: Round) -> dict[str, Any]:
    """The `input_required` result that sends the person to our connect page."""
    params = {"mode": "url", "message": needs.message, "url": needs.url}
    request = {"method": "elicitation/create", "params": params}
    return _input_required({CONNECT: request}, needs.flow_id, {}, before.carried(), before.call)


def _input_required(
    requests: Mapping[str, Any],
    flow_id: str | None,
    asked: Mapping[str, str],
    answers: Mapping[str, tuple[str, Any]],
    call: str | None,
) -> dict[str, Any]:
    kept = {"call": call or secrets.token_hex(16), "flow": flow_id, "asked": asked, "answers": answers}
    state = json.dumps(kept, separators=(",", ":"))
    return {"resultType": "input_required", "inputRequests": dict(requests), "requestState": state}
