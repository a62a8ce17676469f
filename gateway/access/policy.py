"""May this Principal see, and call, this Tool? Pure decisions, no I/O.

`OnePersonPolicy` is the laptop's: everything is theirs. `TeamPolicy` goes by an administrator's rules. Nobody sees what
another tenant's toolkit brought. Below: `rules`, the vocabulary. Above: the executor and the lists that the surfaces
show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from gateway.access.rules import CALL, NOTHING, Rule, deciding
from gateway.errors import NotAllowedError
from gateway.toolkit.tool import Tool
from gateway.types import Principal

K = TypeVar("K")
V = TypeVar("V")

_MOST_PEOPLE = 10_000
_MOST_STANDINGS = 1_000
_MOST_DECISIONS = 200_000


class Policy(Protocol):
    def may_see(self, principal: Principal, tool: Tool) -> bool:
        """Whether the tool exists at all as far as this person is concerned."""
        ...

    def may_call(self, principal: Principal, tool: Tool) -> NotAllowedError | None:
        """None, or the refusal with its reason."""
        ...

    def must_ask(self, principal: Principal, tool: Tool) -> bool:
        """Whether each call that they may make needs their yes."""
        ...


class OnePersonPolicy:
    """One person, their own machine: they see and call everything, but what another tenant's toolkit brought."""

    def may_see(self, principal: Principal, tool: Tool) -> bool:
        return tool.tenant is None or tool.tenant == principal.tenant

    def may_call(self, principal: Principal, tool: Tool) -> NotAllowedError | None:
        return None

    def must_ask(self, principal: Principal, tool: Tool) -> bool:
        return False


class TeamPolicy:
    """The first rule that fits decides; what no rule fits is not there.

    What was decided is remembered, once for all people whom the same rules fit: asking again costs two look-ups,
    however many people, tools and rules there are. Bounded; the oldest is forgotten first.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._people: dict[Principal, tuple[Rule, ...]] = {}
        self._standings: dict[tuple[int, ...], tuple[Rule, ...]] = {}
        self._decisions: dict[tuple[int, str], tuple[Tool, tuple[Rule, ...], Rule | None]] = {}

    def may_see(self, principal: Principal, tool: Tool) -> bool:
        rule = self._decide(principal, tool)
        return rule is not None and rule.may != NOTHING

    def may_call(self, principal: Principal, tool: Tool) -> NotAllowedError | None:
        rule = self._decide(principal, tool)
        if rule is not None and rule.may == CALL:
            return None
        return NotAllowedError(f"You may not call {tool.name}. Whoever runs this gateway can allow it, by its rules.")

    def must_ask(self, principal: Principal, tool: Tool) -> bool:
        rule = self._decide(principal, tool)
        return rule is not None and rule.approve

    def _decide(self, principal: Principal, tool: Tool) -> Rule | None:
        if tool.tenant is not None and tool.tenant != principal.tenant:
            return None
        standing = self._people.get(principal)
        if standing is None:
            standing = self._standing(principal)
        key = (id(standing), tool.name)
        known, whose, rule = self._decisions.get(key, (None, (), None))
        if known is not tool or whose is not standing:  # new, or registered anew: tools never change in place
            rule = deciding(standing, tool)
            _keep(self._decisions, key, (tool, standing, rule), _MOST_DECISIONS)
        return rule

    def _standing(self, principal: Principal) -> tuple[Rule, ...]:
        """The rules that fit a person: the same tuple for all whom the same rules fit."""
        fitting = tuple(number for number, rule in enumerate(self._rules) if rule.fits_person(principal))
        standing = self._standings.get(fitting)
        if standing is None:
            standing = tuple(self._rules[number] for number in fitting)
            _keep(self._standings, fitting, standing, _MOST_STANDINGS)
        _keep(self._people, principal, standing, _MOST_PEOPLE)
        return standing


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    kept.pop(key, None)
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value
