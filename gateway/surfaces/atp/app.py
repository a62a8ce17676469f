"""An app that has shown its key: who it is, and what it may do. Made by `keys`; every endpoint is handed one.

What an app may not do is refused here, with what an administrator can do about it. Below: the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.key_types import Permission
from gateway.surfaces.atp.requests import RefusalError
from gateway.types import Principal

_DEEDS = {
    Permission.CALL: "call tools",
    Permission.CONNECT: "have people connect accounts",
    Permission.TOKENS: "read people's raw tokens",
}


class ReturnUrls(Protocol):
    """Where people may be sent after a consent."""

    def find(self, url: str) -> str | None:
        """The URL as people may be sent to it, or None where they may not."""
        ...


@dataclass(frozen=True, slots=True)
class App:
    """`toolkits` are those that it sees, None for all; `key_id` is what an administrator knows its key by.

    `person` is who all its users are, where that is one: the app of the settings is the local person's. None: it has
    users of its own.
    """

    name: str
    return_urls: ReturnUrls
    may: frozenset[str]
    tenant: str = "default"
    toolkits: frozenset[str] | None = None
    key_id: str | None = None
    person: Principal | None = None

    def check(self, permission: Permission) -> None:
        """RefusalError where the app may not do this."""
        if permission not in self.may:
            raise RefusalError(
                403, "not_allowed", f"The app {self.name} may not {_DEEDS[permission]}. {self.how_to_allow(permission)}"
            )

    def how_to_allow(self, permission: Permission) -> str:
        """What an administrator does to let the app do it."""
        if self.key_id is None:
            return "Set hand_out_tokens = true under [atp] in the gateway's settings."
        return f"An administrator can grant it: atp-gateway keys allow {self.key_id} --may {permission}"

    def how_to_return(self) -> str:
        """What an administrator does to let the app send people to a URL."""
        if self.key_id is None:
            return "Put its beginning, up to a /, on return_urls under [atp] in the gateway's settings."
        return f"An administrator can add it: atp-gateway keys allow {self.key_id} --return-url URL"

    def sees(self, toolkit: str) -> bool:
        return self.toolkits is None or toolkit in self.toolkits
