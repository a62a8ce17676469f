"""What an agent is told when a token was refused and the call could not simply go on: sentences, and how they travel.

Each says what happened, to which account, and what to do next. The tool's own answer follows them, whole.

Below: refusal. Above: `gateway.second_try`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.attempt import Attempt
from gateway.errors import GatewayError
from gateway.providers.provider import Provider
from gateway.redaction import Redactor
from gateway.refusal import Refusal
from gateway.toolkit.content import Text, ToolResult
from gateway.toolkit.json_value import compact
from gateway.toolkit.tool import Tool
from gateway.types import Call, Credential, Done, Failed, Outcome

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Told:
    """The sentences about one call, whose `credential` was refused by `provider` (None: nothing is known of it)."""

    call: Call
    tool: Tool
    credential: Credential
    provider: Provider | None

    @property
    def name(self) -> str:
        return self.provider.name if self.provider else self.credential.provider

    @property
    def account(self) -> str:
        return f"the {self.name} account {self.credential.account or ''}".rstrip()

    def what_happened(self, first: Attempt) -> str | None:
        """What the first run had done before its token was refused, None if nothing that matters is known."""
        acted = first.watch.acted if first.watch and not self.tool.annotations.read_only else []
        if not acted:
            return None
        names = list(map(str, acted[:_SHOWN])) + (["…"] if len(acted) > _SHOWN else [])
        return self._redacted(
            f"{self.name} refused the access token while {self.tool.name} ran. Before that it had sent "
            f"{', '.join(names)}, which may have taken effect, so it was not run again."
        )

    def why_not_again(self, first: Attempt, refusal: Refusal) -> str | None:
        """Why the tool must not run a second time, None where it may.

        It may where nothing was sent that could change anything, which the watch knows if it saw the refused request
        itself. Where it did not, only an author's word that the tool is read-only or idempotent counts.
        """
        if happened := self.what_happened(first):
            return happened
        hints = self.tool.annotations
        if not (refusal.seen or hints.read_only or hints.idempotent):
            return (
                f"{self.name} refused the access token while {self.tool.name} ran, and what the tool had done before "
                "that cannot be seen from here, so it was not run again."
            )
        if first.left <= 0:
            return f"{self.name} refused the access token while {self.tool.name} ran, and its time was up."
        return None

    def renewed(self) -> str:
        return "The token has been renewed now. Before you call again, check what has been done: it would be repeated."

    def refused_again(self) -> str:
        return (
            f"{self.name} refuses the access token although it has just been renewed. What {self.account} may do there "
            f"has to be looked into by the person{self._page}; calling again does not help."
        )

    def not_renewed(self, error: GatewayError) -> str:
        return f"{self.name} refused the access token, and there is no other one: {error.message}"

    def not_granted(self, scopes: Collection[str]) -> frozenset[str]:
        if self.provider is None:
            return frozenset(scopes) - self.credential.scopes
        return self.provider.scopes.missing(scopes, self.credential.scopes)

    def lacks(self, scopes: Collection[str], why_not_asked: str = "") -> str:
        because = f" It cannot be asked for now: {why_not_asked}" if why_not_asked else ""
        return self._redacted(
            f"{self.name} says that {self.account} lacks {', '.join(sorted(scopes))}, which {self.tool.name} needs"
            f"{self._page}.{because}"
        )

    def lacks_what_it_has(self, scopes: Collection[str]) -> str:
        return self._redacted(
            f"{self.name} says that {self.account} lacks {', '.join(sorted(scopes))}, but the connection has it. "
            f"Connecting again would change nothing: the person's own rights at {self.name} are what is missing"
            f"{self._page}."
        )

    def lacks_permission(self) -> str:
        return (
            f"{self.name} says that {self.account} lacks a permission that {self.tool.name} needs, and not which one. "
            f"The person can give it, or have it given by an administrator there{self._page}, and connect again."
        )

    @property
    def _page(self) -> str:
        return f" ({self.provider.access_page})" if self.provider and self.provider.access_page else ""

    def _redacted(self, text: str) -> str:
        return Redactor.of_credential(self.credential).redact(text)


def as_error(outcome: Outcome, sentence: str) -> Outcome:
    """The tool's own answer, after the sentence, as a result that is an error. As text alone: hosts that prefer the
    structured value would not show the sentence."""
    match outcome:
        case Done(result):
            own = result.content or ((Text(compact(result.structured)),) if result.has_structured else ())
            return Done(ToolResult((Text(sentence), *own), is_error=True))
        case Failed(error):
            return Done(ToolResult((Text(sentence), Text(error.message)), is_error=True))
        case _:
            return outcome
