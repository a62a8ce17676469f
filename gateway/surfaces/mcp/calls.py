"""tools/call: a message becomes a Call, its Outcome becomes a message.

Below: executor, channel, challenge, encode. Above: server.
"""

from __future__ import annotations

import secrets
from typing import Any

from gateway.executor import Executor
from gateway.surfaces.mcp.challenge import Challenges
from gateway.surfaces.mcp.channel import HostChannel, Pushed, Replayed, Spent
from gateway.surfaces.mcp.encode import error_to_wire, result_to_wire
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.request import Request, Who, client_of, is_modern
from gateway.surfaces.mcp.rounds import Round, ask_questions, read_round
from gateway.types import Call, Done, Failed, NeedsConnection, NeedsInput


class Calls:
    """Answers `tools/call`."""

    def __init__(self, executor: Executor, challenges: Challenges, who: Who, limits: Limits, spent: Spent) -> None:
        self._executor = executor
        self._challenges = challenges
        self._who = who
        self._limits = limits
        self._spent = spent

    async def answer(self, request: Request) -> dict[str, Any]:
        """The result as JSON. Raises MCPError for what leaves as a JSON-RPC error."""
        params = request.params or {}
        principal = self._who(request)
        before = read_round(params) if is_modern(request) else Round()
        if ended := await self._challenges.settle(before, principal):
            return ended
        replay = Replayed(before, self._spent)
        asker = replay if is_modern(request) else Pushed(request, self._limits.ask_seconds)
        call = Call(
            principal=principal,
            client=client_of(request),
            tool=params["name"],
            arguments=params.get("arguments") or {},
            id=secrets.token_hex(8),
            channel=HostChannel(request, asker),
        )
        match await self._executor.call(call):
            case Done(result):
                return result_to_wire(result, request.protocol_version)
            case Failed(error):
                return error_to_wire(error, request.protocol_version)
            case NeedsConnection() as needs:
                await replay.go_on()
                return self._challenges.answer(needs, request, before, principal)
            case NeedsInput(asks):
                return ask_questions(asks, replay.given, await replay.go_on())
