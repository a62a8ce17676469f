"""What is to go wrong, in which order: a script of faults, as data.

    server.script.add({"on": "refresh", "fault": "timeout_after"}, {"on": "refresh", "fault": "none"}, …)

Each request takes the first step that is meant for it, and steps are used up one by one. When none is left, the server
is honest again. Below: nothing. Above: `faults` (what each fault does), `authorization_server`, twins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

TOKEN = frozenset({"code", "refresh", "token"})
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to go wrong. `on` is what `Hit.what` says, `token` for codes and refreshes alike, or `*`.

    `fault` is a name out of `faults.FAULTS` or the vendor's own; `none` lets a request pass. `times` is how often, and
    None for ever; `person` whose requests alone are meant. `params` are the fault's own, such as `status`, `headers`,
    `body` or `seconds`.
    """

    on: str
    fault: str
    times: int | None = 1
    person: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Self:
        """A step out of a table: what is not a field of ours is one of the fault's parameters."""
        rest = {name: value for name, value in table.items() if name not in _FIELDS}
        return cls(**{name: table[name] for name in _FIELDS if name in table}, params=rest)

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        return {**found.pop("params"), **found}

    def means(self, what: str, person: str | None) -> bool:
        return self.on in {what, EVERYTHING, "token" if what in TOKEN else what} and self.person in {None, person}


_FIELDS = ("on", "fault", "times", "person")


class Script:
    """The steps that are still to come."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(self, *steps: Step | Mapping[str, Any]) -> None:
        """Put steps at the end."""
        self._steps += [step if isinstance(step, Step) else Step.read(step) for step in steps]

    def clear(self) -> None:
        """From now on, nothing goes wrong."""
        self._steps.clear()

    def steps(self) -> list[Step]:
        """What is left."""
        return list(self._steps)

    def take(self, what: str, person: str | None) -> Step | None:
        """The step for a request, used up by this; None when the request may pass."""
        for at, step in enumerate(self._steps):
            if step.means(what, person):
                if step.times is not None:
                    left = step.times - 1
                    self._steps[at : at + 1] = [replace(step, times=left)] if left > 0 else []
                return step if step.fault != "none" else None
        return None
