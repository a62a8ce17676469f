"""Asks the person before a tool runs, where a rule says `approve = true`: which tool, which account, what arguments.

A yes is for this call alone. Who cannot be asked cannot say yes: then the call is refused. Where the host is asked in
the middle of a call, the call waits; where it is not (MCP 2026-07-28), the call ends with the question and comes again.
However it ends, it is on record.

Below: the call's channel, audit. Above: the executor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.audit import AuditLog
from gateway.errors import CapabilityMissingError, DeclinedError, NotAllowedError, StoreUnavailableError
from gateway.redaction import MASK, Redactor
from gateway.toolkit.context import OURS, Answer, Form, InputNeeded
from gateway.types import Call, Credential, Failed, NeedsInput

KEY = f"{OURS}approval"
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Yes, run it", "description": "Once, and exactly as shown."}
    },
    "required": ["approve"],
}
_MOST_ARGUMENTS = 30
_MOST_OF_ONE = 500
_SECRET_NAMES = re.compile(r"(?i)passw|secret|token|credential|api_?key|private_?key|authorization|\bpin\b")


class Approvals:
    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def refusal(self, call: Call, credential: Credential | None = None) -> Failed | NeedsInput | None:
        """None: the person said yes. `credential` is what the tool is to act with, if anything."""
        if "form" not in call.channel.capabilities:
            return self._cannot_ask(call)
        try:
            answer = (await call.channel.ask({KEY: Form(question(call, credential), SCHEMA)}))[KEY]
        except InputNeeded as needed:
            return NeedsInput(needed.asks)
        except CapabilityMissingError:
            return self._cannot_ask(call)
        except StoreUnavailableError as error:
            self._record(call, error.code)
            sentence = (
                f"{call.tool} was not run: whether the person's yes was used before cannot be seen, because the "
                "gateway's database does not answer. Try again in a moment."
            )
            return Failed(StoreUnavailableError(sentence))
        return self._told(call, answer)

    def _told(self, call: Call, answer: Answer) -> Failed | None:
        if answer.accepted and answer.content.get("approve") is True:
            self._record(call, "approved")
            return None
        if answer.action == "cancel":
            self._record(call, "dismissed")
            sentence = (
                f"The person was asked whether {call.tool} may run, and did not say. Ask them before calling again."
            )
            return Failed(DeclinedError(sentence))
        self._record(call, "declined")
        return Failed(DeclinedError(f"The person said no to {call.tool}. Call it again only if they ask for it."))

    def _cannot_ask(self, call: Call) -> Failed:
        self._record(call, "cannot_ask")
        return Failed(
            NotAllowedError(
                f"{call.tool} runs only after the person has said yes, and this program cannot ask. Use a host that "
                "supports elicitation with forms, or have whoever runs this gateway change its rules."
            )
        )

    def _record(self, call: Call, how: str) -> None:
        self._audit.record(
            call.principal, "tool.approval", how, client=call.client.name, tool=call.tool, reference=call.id
        )


def question(call: Call, credential: Credential | None) -> str:
    """What the person is shown. Nothing in it is a secret, and no argument can look like another line of it."""
    using = f" with your {credential.provider} account {_plain(credential.account or '')}" if credential else ""
    shown = sorted(call.arguments.items())
    lines = [f"{_plain(name)}: {_value(name, value)}" for name, value in shown[:_MOST_ARGUMENTS]]
    if len(shown) > _MOST_ARGUMENTS:
        lines.append(f"… and {len(shown) - _MOST_ARGUMENTS} more arguments")
    text = "\n".join([f"May {call.tool} run{using.rstrip()}?", *lines])
    return Redactor.of_live_secrets().redact(text)


def _value(name: str, value: Any) -> str:
    if _SECRET_NAMES.search(name):
        return MASK
    text = _plain(json.dumps(_without_secrets(value), ensure_ascii=False, default=str))
    return text if len(text) <= _MOST_OF_ONE else f"{text[:_MOST_OF_ONE]}… ({len(text):,} characters in all)"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: MASK if _SECRET_NAMES.search(str(k)) else _without_secrets(v) for k, v in value.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, list | tuple) else value


def _plain(text: str) -> str:
    """On one line, with everything in it to be seen: no line breaks, and nothing that turns the direction of text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
