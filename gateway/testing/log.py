"""The log of a fake authorization server, which is the oracle of the tests that use one.

A line a request: what was asked, by whom, with which token, how it ended. A token is named by its grant and its
generation, never by its value, so that a log may be printed, kept and sent about. What must hold of a well-behaved
client can be asked of it: `replays`, `after_revoke`, `most_at_once`.

Below: nothing. Above: `authorization_server`, `sign_in`, twins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self

Kind = Literal["code", "access_token", "refresh_token"]
_USES = {"refresh", "api", "userinfo"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A token, without its value: the first access token of the third grant is `("access_token", 3, 1)`."""

    kind: Kind
    grant: int
    generation: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One request. `number` counts from 1 and never repeats.

    `what` is `authorize`, `consent`, `code`, `refresh`, `api`, `userinfo`, `introspect`, `revoke`, …; `outcome` is
    `ok`, an error code, or the name of a fault that took the request's place. `fault` is one that came after it: it was
    carried out, and its answer spoilt. `gave` is the generation of the refresh token in the answer; `at_once` how many
    requests of this kind were under way for the same grant when this one arrived, itself included.
    """

    number: int
    at: datetime
    what: str
    client_id: str | None
    person: str | None
    outcome: str
    shown: Shown | None = None
    gave: int | None = None
    at_once: int = 1
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        shown = Shown(**found["shown"]) if found["shown"] else None
        return cls(**{**found, "at": datetime.fromisoformat(found["at"]), "shown": shown})


class Log:
    """The hits, in order."""

    def __init__(self, hits: Iterable[Hit] = ()) -> None:
        self._hits = list(hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __len__(self) -> int:
        return len(self._hits)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._hits))

    def since(self, number: int) -> list[Hit]:
        """The hits that came after the one of this number."""
        return self._hits[number:]

    def note(
        self, at: datetime, what: str, client_id: str | None, person: str | None, outcome: str, **more: Any
    ) -> None:
        """Add a line. `more` are the other fields of a Hit."""
        self._hits.append(Hit(len(self._hits) + 1, at, what, client_id, person, outcome, **more))

    def count(self, what: str, outcome: str | None = "ok", *, person: str | None = None) -> int:
        """How often something was asked and ended so; None counts all outcomes, and all people."""
        return sum(
            hit.what == what and outcome in (None, hit.outcome) and person in (None, hit.person) for hit in self._hits
        )

    def replays(self, window: timedelta = timedelta(0)) -> list[Hit]:
        """Refreshes with a token that had been replaced, longer ago than `window`. A good client has none."""
        replaced: dict[Shown, datetime] = {}
        found = []
        for hit in self._hits:
            if hit.what != "refresh" or hit.shown is None:
                continue
            if hit.shown in replaced and hit.at - replaced[hit.shown] >= window:
                found.append(hit)
            if hit.outcome == "ok" and hit.gave not in (None, hit.shown.generation):
                replaced.setdefault(hit.shown, hit.at)
        return found

    def after_revoke(self) -> list[Hit]:
        """Uses of a token whose grant the client had already had revoked. A good client has none."""
        revoked: set[int] = set()
        found = []
        for hit in self._hits:
            if hit.shown is not None and hit.what in _USES and hit.shown.grant in revoked:
                found.append(hit)
            if hit.shown is not None and hit.what == "revoke" and hit.outcome == "ok":
                revoked.add(hit.shown.grant)
        return found

    def most_at_once(self, what: str = "refresh") -> int:
        """How many requests of a kind were ever under way at once for one grant."""
        return max((hit.at_once for hit in self._hits if hit.what == what), default=0)
