"""What a program is told when its credential does not do: a refusal with a WWW-Authenticate that says what would.

Where no credential was sent there is no error code; a bad one is `invalid_token`, one that is good for less than what
was asked `insufficient_scope`. Each names the resource's metadata, where a client finds who gives out tokens, and the
scope to ask for.

Below: `refusal`. Above: the edge; the MCP surface, which alone knows what a tool needs.
Source: RFC 6750 section 3, RFC 9728 section 5.1, MCP 2026-07-28 Authorization.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.access.authenticator import Refused
from gateway.access.scopes import TOOLS
from gateway.surfaces.refusal import INSUFFICIENT_SCOPE, NO_CREDENTIAL, Refusal


@dataclass(frozen=True, slots=True)
class Bearer:
    """`metadata`: by a door's path, the URL of the metadata of the resource behind it; empty where there is none.

    `asked` is how a client asks for a scope of ours, where whoever issues the tokens calls it by another name.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)

    def unknown(self, door: str) -> Refusal:
        """401 for a request without a credential."""
        return self._refusal(NO_CREDENTIAL, door, {"scope": self._spelled({TOOLS})})

    def refused(self, door: str, why: Refused) -> Refusal:
        """401 for a credential that is no good."""
        refusal, scope = replace(NO_CREDENTIAL, text=why.description), self._spelled({TOOLS})
        return self._refusal(refusal, door, {"error": why.error, "error_description": why.description, "scope": scope})

    def insufficient(self, door: str, needed: Iterable[str], description: str) -> Refusal:
        """403 for a token that does not carry all of `needed`: everything that this operation takes."""
        refusal = replace(INSUFFICIENT_SCOPE, text=description)
        scope = self._spelled(needed)
        return self._refusal(
            refusal, door, {"error": "insufficient_scope", "scope": scope, "error_description": description}
        )

    def _spelled(self, scopes: Iterable[str]) -> str:
        return " ".join(dict.fromkeys(self.asked.get(scope, scope) for scope in sorted(scopes)))

    def _refusal(self, refusal: Refusal, door: str, told: Mapping[str, str]) -> Refusal:
        known = {"resource_metadata": self.metadata[door]} if door in self.metadata else {}
        parameters = ", ".join(f'{name}="{_quotable(text)}"' for name, text in {**known, **told}.items())
        return replace(refusal, headers={"www-authenticate": f"Bearer {parameters}"})


def _quotable(text: str) -> str:
    """What RFC 6750 lets stand between the quotes."""
    return "".join("'" if c in '"\\' else c if " " <= c <= "~" else "?" for c in text)
