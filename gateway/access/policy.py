"""May this Principal see, and call, this Tool? Pure decisions, no I/O.

`OnePersonPolicy` is the laptop's: everything is theirs. Below: the vocabulary. Above: the executor and the lists
that the surfaces show.
"""

from __future__ import annotations

from typing import Protocol

from gateway.errors import NotAllowedError
from gateway.toolkit.tool import Tool
from gateway.types import Principal


class Policy(Protocol):
    def may_see(self, principal: Principal, tool: Tool) -> bool:
        """Whether the tool exists at all as far as this person is concerned."""
        ...

    def may_call(self, principal: Principal, tool: Tool) -> NotAllowedError | None:
        """None, or the refusal with its reason."""
        ...


class OnePersonPolicy:
    """One person, their own machine: they see and call everything, but what another tenant's toolkit brought."""

    def may_see(self, principal: Principal, tool: Tool) -> bool:
        return tool.tenant is None or tool.tenant == principal.tenant

    def may_call(self, principal: Principal, tool: Tool) -> NotAllowedError | None:
        return None
