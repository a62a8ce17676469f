"""The people of a gateway: noted when they sign in, and told apart by who vouches for them.

Whoever vouches cannot make itself somebody else: an issuer that names our own people, an app's users or the local
person is refused, whatever the settings say.

Below: the store's rows. Above: sign_in, the command line.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import AccountError, SignInError
from gateway.people_types import Person
from gateway.store.store import Store
from gateway.types import APP_ISSUER, AuditEvent, Principal

_LOCAL = "local"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who has proved who they are. `how`: company, or local."""

    principal: Principal
    name: str | None
    email: str | None
    how: str


class People:
    """`own_issuer` is the name under which we vouch for local accounts."""

    def __init__(self, store: Store, audit: AuditLog, clock: Clock, own_issuer: str) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._own_issuer = own_issuer

    async def arrive(self, arrival: Arrival) -> Person:
        """Note that they sign in. SignInError where they may not."""
        principal = arrival.principal
        if not self._may_vouch(principal.issuer, arrival.how):
            raise SignInError("Nobody can sign in like this here. Tell whoever runs the gateway: the issuer is wrong.")
        now = self._clock.now()
        told = Person(
            secrets.token_hex(8),
            principal,
            arrival.name and arrival.name[:_LONGEST],
            arrival.email and arrival.email[:_LONGEST].lower(),
            principal.groups,
            now,
            now,
        )

        def signs_in(person: Person) -> AuditEvent:
            outcome = "done" if person.disabled_at is None else "not_allowed"
            return self._audit.event(principal, "person.signed_in", outcome, reference=arrival.how)

        person = await self._store.people.put(told, signs_in)
        if person.disabled_at is not None:
            raise SignInError("You may not sign in here any more. Ask whoever runs this gateway.")
        return person

    async def list_all(self) -> list[Person]:
        return await self._store.people.list_all()

    async def called(self, name: str) -> Person:
        """Whoever has this id or e-mail address. AccountError if that is nobody, or several."""
        found = await self._store.people.list_called(name)
        if len(found) > 1:
            raise AccountError("Several people are called that. Name one by the id: atp-gateway people list")
        if not found:
            raise AccountError("There is nobody of that address or id. See: atp-gateway people list")
        return found[0]

    async def disable(self, person: Person, *, by: Principal) -> bool:
        """Let them in no more, and end their sessions and what they let in. False where that is how it was."""
        return await self._store.people.disable(person, self._clock.now(), self._event(by, "person.disabled", person))

    async def enable(self, person: Person, *, by: Principal) -> bool:
        """Let them in again. False where that is how it was."""
        return await self._store.people.enable(person.id, self._event(by, "person.enabled", person))

    def _may_vouch(self, issuer: str, how: str) -> bool:
        if how == "local":
            return issuer == self._own_issuer
        return issuer not in (_LOCAL, self._own_issuer) and not issuer.startswith(APP_ISSUER)

    def _event(self, by: Principal, action: str, person: Person) -> AuditEvent:
        return self._audit.event(by, action, "done", account=person.called, reference=person.id)
