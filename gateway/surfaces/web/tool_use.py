"""Which of the tools that a person may see act with an account of theirs, and which accounts those are.

Who may see a tool is the policy's to say. Below: registry, policy. Above: the page of connections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.access.policy import Policy
from gateway.toolkit.tool import Tool
from gateway.types import CredentialKind, Principal

Need = tuple[str, CredentialKind]
"""A provider and a kind of credential."""
A_PERSONS = frozenset({CredentialKind.OAUTH2, CredentialKind.API_KEY, CredentialKind.BASIC})
"""Kinds of credentials that a person connects; the others are the operator's."""


class Tools(Protocol):
    def tools(self) -> Sequence[Tool]:
        """All that there are, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Use:
    """A tool that acts with an account: `scopes` are those it asks for, `lacks` those that the account has not."""

    name: str
    title: str | None
    scopes: tuple[str, ...]
    lacks: tuple[str, ...] = ()


class ToolUse:
    """What tools need of a person."""

    def __init__(self, registry: Tools, policy: Policy) -> None:
        self._registry = registry
        self._policy = policy

    def by_need(self, principal: Principal) -> Mapping[Need, Sequence[Tool]]:
        """The tools that the person may see and that act with an account of theirs, by what they need."""
        found: dict[Need, list[Tool]] = {}
        for tool in self._registry.tools():
            need = tool.requirement
            if need and need.kind in A_PERSONS and self._policy.may_see(principal, tool):
                found.setdefault((need.provider, need.kind), []).append(tool)
        return found


def scopes_of(tools: Sequence[Tool]) -> frozenset[str]:
    """All that these tools ask for."""
    return frozenset(scope for tool in tools if tool.requirement for scope in tool.requirement.scopes)


def uses_of(tools: Sequence[Tool], lacks: frozenset[str] = frozenset()) -> list[Use]:
    """These tools for a person to read; `lacks` are scopes that the account does not have."""
    return [
        Use(
            tool.name,
            tool.annotations.title,
            tuple(sorted(tool.requirement.scopes)),
            tuple(sorted(tool.requirement.scopes & lacks)),
        )
        for tool in tools
        if tool.requirement
    ]
